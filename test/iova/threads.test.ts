// The built package: a worker's module must be JavaScript.
import { IovaDomain } from 'gemdma';
import { WorkerPool } from 'gemdma/threads';
import { expect, test } from 'vitest';

const LIMIT = 0xfffff;

test.each(['tree-6.12', 'rcache', 'fast'] as const)(
  '%s: two workers on one domain share no page',
  async (allocator) => {
    const seed = 20261122;
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    const { machine } = pool;
    using domain = new IovaDomain(machine, { allocator, cpus: 2 });
    const marks = new Int32Array(new SharedArrayBuffer((LIMIT + 1) * 4));
    const boxes = new Int32Array(new SharedArrayBuffer(8));
    const data = { domain: domain.handle, limit: LIMIT, rounds: 40_000, seed, marks, boxes };
    const job = new URL('./jobs/share.mjs', import.meta.url);
    const results = await pool.run<{ steps: number; doubles: number; failed: number }>(job, data);
    for (const result of results) expect(result, `seed ${seed}`).toEqual({ steps: data.rounds, doubles: 0, failed: 0 });
    for (const left of boxes) if (left !== 0) domain.freeFast(left & LIMIT, (left >>> 20) + 1);
    expect(domain.check()).toBe(0);
    const { freePages, cachedPages } = domain.stats();
    expect(freePages + cachedPages).toBe(LIMIT);
    expect(machine.core.tools.machineCheck(machine.context)).toBe(0);
  },
);
