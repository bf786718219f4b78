import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';
import { root } from '../package/packed.js';
import { type Chromium, describeInChromium, type Visit } from './chromium.js';

/** Reports of --html as a person opens them: from disk, without a network. */

const folder = temporaryFolder();
const cli = join(root, 'dist/bundle/cli.js');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const screenshots = join(root, 'build/screenshots');
mkdirSync(screenshots, { recursive: true });

function gemdma(...args: string[]): { out: string; code: number | null; err: string } {
  const { stdout, status, stderr } = spawnSync(process.execPath, [cli, ...args], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return { out: stdout, code: status, err: stderr };
}

/** Opens a report wide and narrow, light and dark; looks for errors, requests and what axe finds; keeps a picture. */
async function look(chromium: Chromium, name: string): Promise<Visit> {
  const url = pathToFileURL(join(folder, `${name}.html`)).href;
  let first: Visit | undefined;
  for (const [width, colorScheme] of [
    [1280, 'light'],
    [400, 'dark'],
  ] as const) {
    const visit = await chromium.visit(url, { width, colorScheme });
    first ??= visit;
    expect(visit.errors).toEqual([]);
    expect(await visit.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    await visit.page.screenshot({ path: join(screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    // The policy of the page lets no script in; a debugger's evaluation is none of the page's.
    const violations = await visit.page.evaluate<{ id: string; nodes: unknown[] }[]>(
      `${axe}; axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) })))`,
    );
    expect(violations).toEqual([]);
  }
  return first!;
}

const marks = (visit: Visit, section: string, kind = '.mark'): Promise<number> =>
  visit.page
    .locator('section', { has: visit.page.getByRole('heading', { name: section, exact: true }) })
    .locator(kind)
    .count();

describeInChromium('reports', (chromium) => {
  test('run L1: the IOVA map has a mark per mapping of an object, red where it is left', async () => {
    const { out } = gemdma('run', 'L1', '--policy', 'i915-4.1', '--events', '--json', '--html', 'run.html');
    const { steps } = JSON.parse(out) as { steps: { events: { kind: string; object?: string }[] }[] };
    const all = steps.flatMap((step) => step.events);
    const events = all.filter(({ object }) => object !== undefined);
    const maps = events.filter(({ kind }) => /^dma_map_/.test(kind)).length;
    const unmaps = events.filter(({ kind }) => /^dma_unmap_/.test(kind)).length;
    const visit = await look(chromium, 'run');
    expect(maps).toBeGreaterThan(unmaps);
    expect(await marks(visit, 'i915-4.1: IOVA map over time')).toBe(maps);
    expect(await marks(visit, 'i915-4.1: IOVA map over time', '.mark.lost')).toBe(maps - unmaps);
    expect(await marks(visit, 'i915-4.1: live mappings')).toBe(2 * steps.length);
    expect(await marks(visit, 'i915-4.1: findings', 'tbody tr')).toBe(
      all.filter(({ kind }) => kind === 'dma_debug').length,
    );
    expect(await visit.page.getByText('gemdma run L1 --policy i915-4.1').count()).toBe(1);
  });

  test('run leak: both policies, the lost bytes by call site', async () => {
    const results = JSON.parse(gemdma('run', 'leak', '--json', '--html', 'leak.html').out);
    const visit = await look(chromium, 'leak');
    expect(await marks(visit, 'Device address space lost')).toBe(results.length);
    expect(await marks(visit, 'Device address space lost', '.mark.lost')).toBe(1);
    expect(await marks(visit, 'Lost by call site')).toBe(results[0].leakedAt.length);
    expect(await visit.page.getByRole('cell', { name: '10,015' }).count()).toBeGreaterThan(0);
  });

  test('stress: the failure with its program, a bar per kind of operation', async () => {
    const { out } = gemdma('stress', '--ops', '2k', '--policy', 'i915-4.1', '--json', '--html', 'stress.html');
    const { done, failure, reproducer } = JSON.parse(out);
    const visit = await look(chromium, 'stress');
    const kinds = Object.values(done as Record<string, number>).filter((count) => count > 0).length;
    expect(await marks(visit, 'Operations')).toBe(kinds);
    expect(await visit.page.getByText(failure.id, { exact: true }).count()).toBe(1);
    expect(await visit.page.locator('section', { hasText: 'Findings' }).first().locator('pre').textContent()).toBe(
      reproducer.program,
    );
  });

  test('bench: a mark per block and percentile; two runs are drawn both', async () => {
    const saved = ['a.json', 'b.json'].map((file) => {
      const out = execFileSync(
        process.execPath,
        [cli, 'bench', '--seconds', '0.05', '--json', '--html', 'bench.html'],
        {
          cwd: folder,
          encoding: 'utf8',
        },
      );
      writeFileSync(join(folder, file), out);
      return JSON.parse(out) as { blocks: { map: number[]; unmap: number[] } };
    });
    const blocks = saved.map((result) => result.blocks.map.length + result.blocks.unmap.length);
    const one = await look(chromium, 'bench');
    expect(await marks(one, 'Over time')).toBe(blocks[1]);
    expect(await marks(one, 'Distribution')).toBe(6);
    expect(gemdma('bench', '--compare', 'a.json', 'b.json', '--html', 'compare.html')).toMatchObject({
      code: 0,
      err: '',
    });
    const both = await look(chromium, 'compare');
    expect(await marks(both, 'Over time')).toBe(blocks[0] + blocks[1]);
    expect(await marks(both, 'Throughput')).toBe(2);
  });
});

test('a report loads nothing and runs nothing', () => {
  expect(gemdma('run', 'L2', '--policy', 'i915-4.2', '--html', 'quiet.html').code).toBe(0);
  const html = readFileSync(join(folder, 'quiet.html'), 'utf8');
  expect(html).toContain("default-src 'none'; style-src 'sha256-");
  expect(html).not.toMatch(/<script|https?:|src=|url\(|@import/);
});

test.each([
  [['run', '--html', 'x.html'], '--html goes with the name of a scenario'],
  [['run', 'L1', '--html', 'no/such/folder/x.html'], '--html'],
  [['bench', '--threads', '2', '--html', 'x.html'], '--html goes with one thread'],
  [['stress', '--seeds', '2', '--html', 'x.html'], '--html goes with one seed'],
])('%j is refused before any work', (args, message) => {
  const { code, err, out } = gemdma(...args);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toContain(message);
});
