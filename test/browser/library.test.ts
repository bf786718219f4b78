import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import { expect, test } from 'vitest';
import { packedProject, root } from '../package/packed.js';
import { type Chromium, describeInChromium, serve } from './chromium.js';

/** The packed library in a page and in its worker: as it is, and out of the two bundlers. */

const project = packedProject();
const { write, folder } = project;

// The example of the README, as it stands there.
const EXAMPLE = 'two-address-spaces.mjs';
copyFileSync(join(root, 'examples', EXAMPLE), join(folder, 'example.mjs'));

const PAGE = `
import './example.mjs';
import { GemDmaError, runScenarioAsync, stressThreads, verifyAsync } from 'gemdma';
for (const policy of ['i915-4.1', 'i915-4.2']) {
  const { ok, leakedMappings, overwritten } = await runScenarioAsync('leak', { policy });
  console.log(policy, ok, leakedMappings, overwritten);
}
for (const call of [() => verifyAsync('file'), () => stressThreads({ threads: 1 })]) {
  await call().catch((error) => console.log(GemDmaError.is(error) ? error.code + ' ' + error.reason : String(error)));
}
const worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' });
worker.onerror = (event) => console.error(event.message);
worker.onmessage = ({ data }) => console.log(data);
`;
const WORKER = `
const { stress, bench } = await import('GEMDMA');
const good = await stress({ operations: 3000, seed: 7 });
const bad = await stress({ operations: 3000, seed: 7, policy: 'i915-4.1', shrink: false });
const { mappings } = await bench({ seconds: 0.1 });
postMessage([good.operations, good.failure, bad.failure.id, mappings > 0].map(String).join(' '));
`;
const html = (script: string, imports = {}): string =>
  `<!doctype html><html lang="en"><title>gemdma</title>
<script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="${script}"></script></html>`;

write('page.mjs', PAGE);
write('worker.mjs', WORKER.replace('GEMDMA', 'gemdma'));
// Without a bundler: a page has an import map, a worker has none.
const entry = '/node_modules/gemdma/dist/bundle/index.js';
mkdirSync(join(folder, 'plain'));
write('plain/page.mjs', PAGE.replace('./example.mjs', '../example.mjs'));
write('plain/worker.mjs', WORKER.replace('GEMDMA', entry));
write('plain/index.html', html('page.mjs', { gemdma: entry }));
write('index.html', html('./page.mjs'));
write('esbuild.html', html('/out/page.js'));

const bundling = { bundle: true, format: 'esm', logLevel: 'silent', absWorkingDir: folder } as const;

describeInChromium('the library in a page and a worker', (chromium) => {
  const server = serve(folder);

  test('as it is', async () => {
    await runs(chromium, `${server.url}/plain/index.html`);
  });

  test('bundled by esbuild', async () => {
    const { warnings } = await esbuild({
      ...bundling,
      entryPoints: ['page.mjs', 'worker.mjs'],
      outdir: 'out',
      outExtension: { '.js': '.mjs' },
    });
    expect(warnings).toEqual([]);
    write('esbuild.html', html('/out/page.mjs'));
    await runs(chromium, `${server.url}/esbuild.html`);
  });

  test('bundled by vite', async () => {
    await vite({
      ...{ root: folder, base: './', logLevel: 'error', configFile: false },
      build: { outDir: 'site', target: 'es2023' },
      worker: { format: 'es' },
    });
    await runs(chromium, `${server.url}/site/index.html`);
  });
});

/** Opens the page and looks at all that it says. */
async function runs(chromium: Chromium, url: string): Promise<void> {
  const example = execFileSync(process.execPath, [join(root, 'examples', EXAMPLE)], { encoding: 'utf8' });
  const { lines, errors } = await chromium.visit(url);
  const expected = [
    ...example.trim().split('\n'),
    'i915-4.1 true 10015 10015',
    'i915-4.2 true 0 0',
    'ENODEV NOT_ON_THIS_PLATFORM',
    'ENODEV NOT_ON_THIS_PLATFORM',
    '3000 null DOUBLE_MAP true',
  ];
  await expect.poll(() => [...lines, ...errors], { timeout: 50_000 }).toHaveLength(expected.length);
  expect(errors).toEqual([]);
  expect(lines).toEqual(expected);
}

const ALONE = "import { IovaDomain } from 'gemdma';\nglobalThis.bundled = IovaDomain.standalone;\n";
const EVERYTHING = "import * as everything from 'gemdma';\nglobalThis.bundled = everything;\n";

test.each(['esbuild', 'vite'] as const)('%s: IovaDomain alone costs a third of everything at most', async (bundler) => {
  const size = async (name: string, text: string): Promise<number> => {
    const file = write(`${name}.mjs`, text);
    const out = join(folder, `${name}-${bundler}.mjs`);
    if (bundler === 'esbuild') await esbuild({ ...bundling, entryPoints: [file], outfile: out, minify: true });
    else {
      const lib = { entry: file, formats: ['es' as const], fileName: `${name}-vite`, name };
      const codeSplitting = false;
      await vite({
        ...{ root: folder, logLevel: 'error', configFile: false },
        build: { lib, outDir: '.', emptyOutDir: false, minify: true, rolldownOptions: { output: { codeSplitting } } },
      });
      return Math.max(...['.js', '.mjs'].map((end) => sizeOf(join(folder, `${name}-vite${end}`))));
    }
    return sizeOf(out);
  };
  const alone = await size('alone', ALONE);
  const everything = await size('everything', EVERYTHING);
  expect(alone).toBeGreaterThan(100_000);
  expect(alone / everything).toBeLessThan(1 / 3);
});

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
