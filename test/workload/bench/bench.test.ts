import { describe, expect, test } from 'vitest';
import { chart } from '../../../src/cli/chart.js';
import { compare, parseResult } from '../../../src/cli/compare.js';
import { batchLimit, benchMachine, benchOptions } from '../../../src/workload/bench/options.js';
import { type BenchResult, runBench } from '../../../src/workload/bench/run.js';
import { threadCounts } from '../../../src/workload/bench/scaling.js';
import { csv, runSweep } from '../../../src/workload/bench/sweep.js';

const quick = { seconds: 0.05 };

function plausible({ map, unmap, ...result }: BenchResult): void {
  for (const latency of [map, unmap]) {
    expect(latency.p50).toBeGreaterThan(0);
    expect(latency.p99).toBeGreaterThanOrEqual(latency.p50);
    expect(latency.p999).toBeGreaterThanOrEqual(latency.p99);
    expect(latency.max).toBeGreaterThanOrEqual(latency.p999);
    expect(latency.mean).toBeGreaterThan(0);
  }
  expect(result.failed).toBe(0);
  expect(result.mappings).toBe(result.batches * result.batch);
  expect(result.counters.maps - result.counters.unmaps).toBe(result.options.live);
  expect(result.pagesPerSecond).toBeCloseTo(result.mappingsPerSecond * result.options.granule, 0);
  expect(result.blocks.map.length).toBe(result.blocks.unmap.length);
}

describe('a benchmark run', () => {
  test.each([
    [{ mode: 'single' }],
    [{ mode: 'single', granule: 3, live: 100, fragmentation: 0.5 }],
    [{ mode: 'single', backend: 'swiotlb', direction: 'to-device' }],
    [{ mode: 'single', backend: 'passthrough', bits: 64 }],
    [{ mode: 'sg', granule: 64, fragmentation: 1, dmaDebug: true }],
    [{ mode: 'sg', granule: 8, kernel: 'linux-4.2', live: 50 }],
    [{ mode: 'single', backend: 'lazy', transfer: 50_000 }],
  ] as const)('%j: what goes in comes out', async (options) => {
    const result = await runBench({ ...quick, ...options });
    plausible(result);
    if (result.options.backend === 'lazy') expect(result.counters.flushesByTimer).toBeGreaterThan(0);
    if (result.options.backend === 'strict') expect(result.counters.iotlbPageInvalidations).toBeGreaterThan(0);
  });

  test('an object’s life has one mapping under the fixed policy and two under the one that leaks', async () => {
    const fixed = await runBench({ ...quick, mode: 'object', granule: 16, policy: 'i915-4.2' });
    expect(fixed.mappings).toBe(fixed.batches * fixed.batch);
    const leaky = await runBench({ ...quick, mode: 'object', granule: 16, policy: 'i915-4.1' });
    const left = ({ counters }: BenchResult): number => counters.maps - counters.unmaps;
    expect(left(fixed)).toBeLessThan(100);
    expect(left(leaky), 'every object leaves a mapping behind').toBeGreaterThanOrEqual(leaky.mappings);
  });

  test('a signal ends it early, with figures of what was measured', async () => {
    const controller = new AbortController();
    let steps = 0;
    const result = await runBench(
      { seconds: 3600 },
      {
        signal: controller.signal,
        onProgress: ({ phase }) => {
          if (phase === 'measure' || ++steps > 200) controller.abort();
        },
      },
    );
    expect(result.batches).toBeGreaterThan(0);
    expect(result.mappings).toBe(result.batches * result.batch);
  });

  test('options that cannot be are refused by name; live mappings without room say so', async () => {
    expect(() => benchOptions({ granule: 0 })).toThrow('"granule"');
    expect(() => benchOptions({ fragmentation: 2 })).toThrow('"fragmentation"');
    expect(() => benchOptions({ mode: 'object', threads: 2 })).toThrow('"threads"');
    expect(() => benchOptions({ threads: 2, transfer: 10 })).toThrow('"transfer"');
    expect(benchOptions({ live: 1_000_000 }).bits).toBe(48);
    expect(benchOptions({ live: 1000 }).bits).toBe(32);
    expect(batchLimit({ granule: 1024, mode: 'sg' })).toBe(64);
    expect(benchMachine(benchOptions({ backend: 'swiotlb' })).swiotlb).toMatchObject({ force: true });
    await expect(runBench({ ...quick, live: 5000, bits: 22 })).rejects.toMatchObject({ code: 'ENOSPC' });
  });
});

describe('sweep', () => {
  test('one result a value, and the same as CSV', async () => {
    const results: BenchResult[] = [];
    for await (const result of runSweep({ option: 'live', values: [10, 100] }, quick)) results.push(result);
    expect(results.map(({ options }) => options.live)).toEqual([10, 100]);
    const [head, ...lines] = csv('live', results).trimEnd().split('\n');
    expect(head).toMatch(/^live,map_mean_ns,.*mappings_per_second,pages_per_second,trusted$/);
    expect(lines.map((line) => line.split(',').length)).toEqual([head, head].map((line) => line.split(',').length));
    expect(lines[1].split(',')[0]).toBe('100');
    expect(Number(lines[1].split(',')[1])).toBeCloseTo(results[1].map.mean, 1);
  });

  test('the chart spans the values, from 0 to the highest', () => {
    const picture = chart([1000, 1e6], [{ name: 'map', values: [10, 40] }], String);
    const lines = picture.split('\n');
    expect(lines).toHaveLength(14);
    expect(lines[0]).toContain('40.0');
    expect(lines[12]).toContain('0.0');
    expect(lines[13].trim()).toMatch(/^1000 +1000000$/);
    expect(chart([5], [{ name: 'map', values: [3] }], String)).toContain('3.0');
  });
});

describe('comparison', () => {
  const saved = (factor: number, more = {}): BenchResult => {
    const blocks = [1, 1.02, 0.99, 1.01, 0.98, 1].map((x) => x * factor);
    return parseResult(
      JSON.stringify({ options: { live: 0, ...more }, blocks: { map: blocks, unmap: [5, 5.1, 4.9, 5, 5, 5] } }),
    );
  };

  test('a difference is called one only when the interval leaves out 1', () => {
    const { map, unmap, differences } = compare(saved(10), saved(12, { live: 5 }));
    expect(map.verdict).toBe('slower');
    expect(map.mean).toBeCloseTo(1.2, 6);
    expect(map.low).toBeGreaterThan(1);
    expect(unmap.verdict).toBe('no difference seen');
    expect(differences).toEqual([{ option: 'live', a: 0, b: 5 }]);
    expect(compare(saved(12), saved(10)).map.verdict).toBe('faster');
  });

  test('text that is no result is told apart', () => {
    expect(() => parseResult('{"a":1}')).toThrow('not a result');
    expect(() => parseResult('nonsense')).toThrow(SyntaxError);
  });
});

test('thread counts double up to the number asked for', () => {
  expect([1, 2, 3, 8].map(threadCounts)).toEqual([[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]);
});
