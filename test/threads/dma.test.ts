// The built package: a worker's module must be JavaScript.
import { contention, WorkerPool } from 'gemdma/threads';
import { describe, expect, test } from 'vitest';

const job = new URL('./jobs/dma.mjs', import.meta.url);
const seed = 1204;

interface Reply {
  doubles: number;
  failed: number;
  pages: number[];
}

describe.each([
  ['strict', { iommu: 'strict', dmaDebug: false }],
  ['lazy', { iommu: 'lazy', dmaDebug: false }],
  ['strict with dma-debug', { iommu: 'strict', dmaDebug: true }],
  ['strict, without magazines', { iommu: { mode: 'strict', allocator: 'tree-6.12' }, dmaDebug: false }],
  ['strict, our own allocator', { iommu: { mode: 'strict', allocator: 'fast' }, dmaDebug: false }],
] as const)('several workers on one domain, %s', (_, options) => {
  test('every DMA page has one owner, all counters add up, every structure checks out', async () => {
    await using pool = await WorkerPool.create(3, { ram: '256MiB', memoryLimit: '512MiB', ...options });
    const { machine } = pool;
    const device = machine.addDevice({ maxSegment: 2 ** 31 });
    const marks = new Int32Array(new SharedArrayBuffer(2 ** 20 * 4));
    const data = { device: device.handle, rounds: 30_000, seed, marks, order: 7 };
    const replies = await pool.run<Reply>(job, data);
    for (const { doubles, failed } of replies)
      expect({ doubles, failed }, `seed ${seed}`).toEqual({ doubles: 0, failed: 0 });
    expect(marks.every((owner) => owner === 0)).toBe(true);
    const { maps, unmaps, pagesMapped, pagesUnmapped } = device.counts;
    expect(unmaps).toBe(maps);
    expect(pagesUnmapped).toBe(pagesMapped);
    machine.check();
    if (options.dmaDebug) expect([...machine.dmaDebug.entries()]).toEqual([]);
    if (!options.dmaDebug) expect(contention(machine).dmaDebug).toBe(0);
  });
});

test('no two workers hold pages whose table entries share a cache line, as long as lines are to be had', async () => {
  await using pool = await WorkerPool.create(2, { ram: '64MiB', dmaDebug: false });
  const device = pool.machine.addDevice();
  const marks = new Int32Array(new SharedArrayBuffer(2 ** 20 * 4));
  // Few at a time: everything comes from a worker's own two magazines, nothing by way of the depot.
  const replies = await pool.run<Reply>(job, { device: device.handle, rounds: 200, seed, marks, order: 0 });
  const [a, b] = replies.map(({ pages }) => new Set(pages.map((page) => Math.floor(page / 8))));
  expect(a.size).toBeGreaterThan(3);
  expect([...a].filter((line) => b.has(line))).toEqual([]);
});
