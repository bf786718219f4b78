import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ContextHandle, HistogramHandle } from '../../src/core/generated/exports.js';
import { RamStatsView } from '../../src/core/generated/records.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { sections } from './sections.js';

const MiB = 2 ** 20;
const [START, GLOBAL, CODE, DATA] = [8, 6, 10, 11];

/** A release core, its two modules apart, with a machine of 16 MiB of RAM. */
function release(): { core: Core; ctx: ContextHandle } {
  const core = new Core();
  return { core, ctx: made(core.exports.machineCreate(256 * MiB, 2, 4096, 0, 1)) };
}

afterEach(() => vi.restoreAllMocks());

describe('the tools, a module of their own', () => {
  test.each(['release-tools.wasm', 'threads-tools.wasm'])(
    '%s holds no state: it has no globals and no data',
    (file) => {
      const found = sections(file);
      expect(found.has(CODE)).toBe(true);
      expect([GLOBAL, START, DATA].filter((id) => found.has(id))).toEqual([]);
      // The core's one global is the number of its virtual CPU, which the tools would not have.
      expect(sections('release.wasm').has(GLOBAL)).toBe(true);
    },
  );

  test('are compiled when first asked for, once for all machines', async () => {
    vi.resetModules();
    const compiled = vi.spyOn(WebAssembly, 'Module');
    const { Machine } = await import('../../src/index.js');
    expect(compiled, 'importing compiles nothing').toHaveBeenCalledTimes(0);
    const machine = new Machine({ ram: '16MiB' });
    machine.ram.free(machine.ram.alloc(4));
    expect(compiled, 'a machine works without tools').toHaveBeenCalledTimes(1);
    machine.check();
    expect(compiled).toHaveBeenCalledTimes(2);
    new Machine({ ram: '16MiB' }).check();
    expect(compiled).toHaveBeenCalledTimes(2);
  });

  test('see what the core does, whatever CPU it runs as', () => {
    const { core, ctx } = release();
    const { machineCheck, machineRecords, ramStats } = core.tools;
    expect(core.tools).toBe(core.tools);
    core.exports.cpuSet(1);
    const before = machineRecords(ctx);
    const table = made(core.exports.sgAllocPages(ctx, 100, 0, 2 ** 31));
    expect(table).toBeGreaterThan(0);
    expect(machineRecords(ctx)).toBeGreaterThan(before);
    const at = core.staging(ctx);
    ramStats(ctx, at);
    expect(new RamStatsView(core, at).inUse).toBe(core.tools.ramInUse(ctx));
    core.exports.sgDestroy(table);
    expect(machineCheck(ctx)).toBe(0);
  });

  test('tell broken structures', () => {
    const { core, ctx } = release();
    const table = made(core.exports.sgAllocPages(ctx, 100, 0, 2 ** 31));
    const vector = core.exports.sgPfnVector(table);
    core.exports.sgDestroy(table);
    expect(core.tools.machineCheck(ctx)).toBe(0);
    // A free block's or record's first word is its link.
    core.fillWords(vector, 8, 0x12345678);
    expect(core.tools.machineCheck(ctx) >>> 28).toBeGreaterThan(0);
  });

  test('may make memory grow under the core', () => {
    const { core, ctx } = release();
    const bytes = core.memoryBytes;
    const all: HistogramHandle[] = [];
    while (core.memoryBytes === bytes) all.push(made(core.tools.histogramCreate(ctx)));
    core.tools.histogramRecord(all.at(-1)!, 5);
    expect(core.tools.histogramMean(all.at(-1)!)).toBe(5);
    const block = core.exports.blockAlloc(ctx, 0);
    core.fillBytes(block, 1, 1);
    expect(all).not.toContain(block);
    for (const at of all) core.tools.histogramDestroy(ctx, at);
    core.exports.blockFree(ctx, block);
    expect(core.tools.machineCheck(ctx)).toBe(0);
  });
});
