// The built package: a worker's module must be JavaScript.

import { WorkerPool } from 'gemdma/threads';
import { expect, test } from 'vitest';
import { DOMAIN_WRITE_IMPLIES_READ } from '../../src/core/generated/constants.js';
import { made } from '../../src/core/handle.js';

test.each([2, 3])('%i workers fill and clear one domain', async (workers) => {
  const seed = 20150707;
  await using pool = await WorkerPool.create(workers, { ram: '16MiB' });
  const { machine } = pool;
  const { domainCreate, domainDestroy } = machine.core.exports;
  const { domainAlreadySet, machineCheck } = machine.core.tools;
  const domain = made(domainCreate(machine.context, 4, 48, 0x40201000, DOMAIN_WRITE_IMPLIES_READ));
  const job = new URL('./jobs/tables.mjs', import.meta.url);
  for (const { steps, wrong } of await pool.run<{ steps: number; wrong: number }>(job, {
    domain,
    rounds: 20_000,
    seed,
  })) {
    expect(wrong, `seed ${seed}`).toBe(0);
    expect(steps).toBe(20_000);
  }
  expect(machineCheck(machine.context) >>> 0).toBe(0);
  expect(domainAlreadySet(domain)).toBe(0);
  expect(domainDestroy(domain)).toBe(1);
  expect(machineCheck(machine.context) >>> 0).toBe(0);
});
