// The built package: a worker's module must be JavaScript.
import { stressThreads } from 'gemdma';
import { expect, test } from 'vitest';

test.each([
  ['strict', { iommu: 'strict' }],
  ['lazy', { iommu: 'lazy' }],
  ['strict with dma-debug', { iommu: 'strict', dmaDebug: true }],
  ['no IOMMU, RAM above 4 GiB', { iommu: 'off', ram: '5GiB' }],
] as const)('three workers on one domain, %s: every page owned once, all counters add up', async (_, machine) => {
  const result = await stressThreads({ threads: 3, seed: 41, operations: 60_000, machine });
  expect(result.failures).toEqual([]);
  expect(result).toMatchObject({ threads: 3, operations: 60_000, refused: 0 });
  expect(result.mapped).toBeGreaterThan(20_000);
});

test('a signal stops all workers, and what they did checks out', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);
  const result = await stressThreads({ operations: 1e9, signal: controller.signal });
  expect(result.failures).toEqual([]);
  expect(result.operations).toBeLessThan(1e9);
});

test('thread counts that cannot be are refused', async () => {
  await expect(stressThreads({ threads: 0 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
});
