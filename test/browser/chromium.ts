import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, extname, join, normalize } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe } from 'vitest';

/** A headless Chromium of the system, and a server for the files that its pages load. */

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const path = process.env.CHROMIUM ?? found();

function found(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find((file) => existsSync(file));
}

/** What a page has said and what went wrong in it. */
export interface Visit {
  page: Page;
  /** Lines of console.log, in order. */
  lines: string[];
  /** Errors and warnings of the console, exceptions nobody caught, requests that failed. Empty for a good page. */
  errors: string[];
}

export interface Chromium {
  /** Opens an address, or a file by its file: URL, in a page of its own. */
  visit(url: string, options?: { width?: number; height?: number; colorScheme?: 'dark' | 'light' }): Promise<Visit>;
}

/** Tests in Chromium; skipped where there is none. */
export function describeInChromium(name: string, tests: (chromium: Chromium) => void): void {
  describe.skipIf(path === undefined)(`${name} (Chromium${path ? '' : ' is not installed'})`, () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: path, args: ['--no-sandbox'] });
    });
    afterAll(() => browser?.close());
    tests({
      async visit(url, { width = 1280, height = 800, colorScheme = 'light' } = {}) {
        const context = await browser.newContext({ viewport: { width, height }, colorScheme });
        const page = await context.newPage();
        const visit: Visit = { page, lines: [], errors: [] };
        page.on('console', (message) => {
          if (message.type() === 'log') visit.lines.push(message.text());
          else if (['error', 'warning'].includes(message.type())) visit.errors.push(message.text());
        });
        page.on('pageerror', (error) => visit.errors.push(String(error)));
        page.on('requestfailed', (request) => visit.errors.push(`${request.url()} failed`));
        await page.goto(url);
        return visit;
      },
    });
  });
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.svg': 'image/svg+xml',
};

/** Serves the files of a folder while the tests run. Returns the address, known once they do. */
export function serve(folder: string): { readonly url: string } {
  let server: Server;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const file = join(folder, normalize(new URL(request.url!, 'http://localhost').pathname));
      if (!existsSync(file) || !extname(file)) {
        // The browser asks for an icon by itself.
        response.writeHead(file.endsWith('favicon.ico') ? 204 : 404).end();
        return;
      }
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
      response.end(readFileSync(file));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server?.closeAllConnections();
    server?.close();
  });
  return {
    get url() {
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
  };
}
