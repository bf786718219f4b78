import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCompiler } from '../../dist/driver/compiler.js';
import { buildDriver, type DriverTest, runDriver } from '../../dist/driver/index.js';
import { symbolsOf } from '../../dist/driver/symbols.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();
const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const compiler = await findCompiler().catch(() => null);

function source(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const HEAD =
  '#include <linux/module.h>\n#include <linux/slab.h>\n#include <linux/pci.h>\n#include <linux/dma-mapping.h>\n';
const PROBE = `
static const struct pci_device_id ids[] = { { PCI_DEVICE(0x1234, 0x0001) }, { } };
static struct pci_driver driver = { .name = "x", .id_table = ids, .probe = probe, .remove = remove };
module_pci_driver(driver);
`;

async function run(name: string, body: string, scenario: DriverTest['run'] = () => {}) {
  const { wasm } = await buildDriver({ files: [source(name, HEAD + body + PROBE)], cache });
  return runDriver(wasm, { run: scenario });
}

const EMPTY = `
static int probe(struct pci_dev *p, const struct pci_device_id *id) { return 0; }
static void remove(struct pci_dev *p) { }
`;

describe.skipIf(compiler === null)('building a driver (needs clang)', { timeout: 300_000 }, () => {
  test('an object comes from the cache until its source or a header changes', async () => {
    const header = source('value.h', '#define VALUE 1\n');
    const files = [source('cached.c', '#include "value.h"\nint value(void) { return VALUE; }\n')];
    await buildDriver({ files, cache });
    expect((await buildDriver({ files, cache })).compiled).toBe(0);
    writeFileSync(header, `#define VALUE ${2 + (process.pid % 1000)}\n`);
    expect((await buildDriver({ files, cache })).compiled).toBe(1);
  });

  test("diagnostics are the compiler's own, with what is missing named", async () => {
    const files = [source('missing.c', '#include <linux/usb.h>\n')];
    await expect(buildDriver({ files, cache })).rejects.toMatchObject({
      code: 'EINVAL',
      reason: 'DRIVER_COMPILE',
      message: expect.stringMatching(
        /fatal error: 'linux\/usb.h' file not found[\s\S]*<linux\/usb.h> is missing: own mode/,
      ),
    });
    await expect(buildDriver({ files: ['/nowhere.c'], cache })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(buildDriver({ files, kernel: folder, cache })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a function that nobody has is told before, and stops the driver when it is called', async () => {
    const body = `${EMPTY}int nobody_has_it(int);\nint ask(void) { return nobody_has_it(1); }\n`;
    const { wasm } = await buildDriver({ files: [source('nobody.c', HEAD + body + PROBE)], cache });
    const kinds = new Map(symbolsOf(wasm).map(({ name, kind }) => [name, kind]));
    expect(kinds.get('nobody_has_it')).toBe('missing');
    expect(kinds.get('__pci_register_driver')).toBe('real');
    const { findings, missing } = runDriver(wasm, { run: (t) => void t.call('ask') });
    expect(missing).toEqual(['nobody_has_it']);
    expect(findings).toEqual([
      expect.objectContaining({ id: 'MISUSE', message: 'calls nobody_has_it, which is not modelled' }),
    ]);
  });

  test("the compiler of npm builds what the system's does", { timeout: 900_000 }, async () => {
    const text = `${EMPTY}int act(void) { kfree(kmalloc(1, GFP_KERNEL)); return 42; }\n`;
    const files = [source('npm.c', HEAD + text + PROBE)];
    const { wasm, compiler: name } = await buildDriver({ files, cache, compiler: 'npm' });
    expect(name).toMatch(/^@yowasp\/clang /);
    const { findings, probed } = runDriver(wasm, { run: (t) => expect(t.call('act')).toBe(42) });
    expect({ findings, probed }).toEqual({ findings: [], probed: 0 });
  });

  test('a module that is no driver is refused', () => {
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    expect(() => runDriver(empty, {})).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'init_module' }));
  });
});

describe.skipIf(compiler === null)('what stops a driver (needs clang)', { timeout: 300_000 }, () => {
  test.each([
    ['NULL_ACCESS', 'null.c', 'int act(void) { struct pci_dev *volatile p = NULL; return p->irq; }'],
    ['OOPS', 'call.c', 'int act(void) { int (*volatile f)(void) = NULL; return f(); }'],
    ['BUG', 'bug.c', 'int act(void) { BUG_ON(1); return 0; }'],
    [
      'OOPS',
      'recursion.c',
      'int deep(int n) { volatile int a[64]; a[n & 63] = n; return deep(n + 1) + a[n & 63]; }\nint act(void) { return deep(0); }',
    ],
    [
      'HANG',
      'wait.c',
      '#include <linux/completion.h>\nint act(void) { DECLARE_COMPLETION_ONSTACK(c); wait_for_completion(&c); return 0; }',
    ],
  ])('%s (%s)', async (id, name, text) => {
    const { findings } = await run(name, `${EMPTY}${text}\n`, (t) => void t.call('act'));
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(findings[0].stack.map(({ func }) => func)).toContain(
      id === 'OOPS' && name === 'recursion.c' ? 'deep' : 'act',
    );
  });

  test('a wild write to memory of the core is seen, not made unseen', async () => {
    const text = 'int act(void) { *(volatile int *)0x2000 = *(volatile int *)0x2000; return 0; }';
    const { findings } = await run('wild.c', `${EMPTY}${text}\n`, (t) => void t.call('act'));
    expect(new Set(findings.map((finding) => finding.id))).toEqual(new Set(['WILD_ACCESS']));
  });

  test('an edge of a mapping is exact to the byte', async () => {
    const text = `
static u8 *buffer;
static dma_addr_t dma;
static struct device *dev;
int map(u32 from, u32 length)
{
	buffer = kmalloc(64, GFP_KERNEL);
	dma = dma_map_single(dev, buffer + from, length, DMA_FROM_DEVICE);
	return dma_mapping_error(dev, dma);
}
int read(u32 at) { return buffer[at]; }
void unmap(u32 length) { dma_unmap_single(dev, dma, length, DMA_FROM_DEVICE); kfree(buffer); }
static int probe(struct pci_dev *p, const struct pci_device_id *id) { dev = &p->dev; return 0; }
static void remove(struct pci_dev *p) { }
`;
    for (const [from, length] of [
      [3, 10],
      [0, 5],
      [8, 8],
      [13, 51],
      [7, 1],
    ]) {
      const seen: number[] = [];
      await run('edge.c', text, (t) => {
        t.call('map', from, length);
        for (let at = 0; at < 64; ++at) {
          const before = t.driver.findings.list.reduce((sum, { count }) => sum + count, 0);
          t.call('read', at);
          if (t.driver.findings.list.reduce((sum, { count }) => sum + count, 0) !== before) seen.push(at);
        }
        t.call('unmap', length);
        t.call('read', 0);
      });
      expect(seen, `mapped ${from} to ${from + length}`).toEqual(Array.from({ length }, (_, i) => from + i));
    }
  });

  test("going back to a snapshot takes the driver's memory along", async () => {
    const text = `${EMPTY}static int count;\nstatic void *held;\nint act(void) { kfree(held); held = kmalloc(100, GFP_KERNEL); return ++count; }\nvoid end(void) { kfree(held); }\n`;
    const { findings } = await run('snapshot.c', text, (t) => {
      expect(t.call('act')).toBe(1);
      const snapshot = t.machine.snapshot();
      expect([t.call('act'), t.call('act')]).toEqual([2, 3]);
      t.machine.restore(snapshot);
      expect(t.call('act')).toBe(2);
      t.call('end');
    });
    expect(findings).toEqual([]);
  });
});
