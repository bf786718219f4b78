import { describe, expect, test } from 'vitest';
import { complete } from '../../src/core/slices.js';
import { type LeakResult, leak } from '../../src/workload/scenarios/leak.js';

const run = (policy: 'i915-4.1' | 'i915-4.2', seed: number): LeakResult =>
  complete(leak.run({ policy, seed })) as LeakResult;

describe.each([20150709])('the leak, seed %i', (seed) => {
  const before = run('i915-4.1', seed);
  const after = run('i915-4.2', seed);

  test('both policies did the same work, and each came out as its kernel', () => {
    expect(before.objects).toBe(after.objects);
    expect(before.furtherBinds).toBe(after.furtherBinds);
    expect([before.ok, after.ok]).toEqual([true, true]);
  });

  test('mapping at bind loses one mapping for each further bind', () => {
    expect(before.leakedMappings).toBe(before.furtherBinds);
    expect(before.secondMaps).toBe(before.furtherBinds);
    expect(before.overwritten).toBe(before.furtherBinds);
    expect(before.maps - before.unmaps).toBe(before.live);
    expect(before.leakedIovaBytes).toBeGreaterThanOrEqual(before.leakedPages * 4096);
    expect(before.leakedObjects).toBe(before.objects);
    expect(before.leakedAt.map(({ site }) => site)).toEqual([expect.stringContaining('in bind')]);
  });

  test('and starves the IOVA space, kills dma-debug, and has another policy blamed', () => {
    expect(before.smallDomain).toMatchObject({
      failedAfter: expect.any(Number),
      error: expect.stringMatching(/^ENOSPC/),
    });
    expect(before.dmaDebug).toMatchObject({ fullAfter: expect.any(Number), disabled: true });
    expect(before.innocent).toMatchObject({ device: '0000:00:19.0', leftBy: expect.stringMatching(/^object \d+$/) });
  });

  test('the first address stays reachable after the object is gone', () => {
    expect(before.exhibit.first).not.toBe(before.exhibit.second);
    expect(before.exhibit).toMatchObject({ firstReachable: true, secondReachable: false });
  });

  test('mapping in get_pages does none of that', () => {
    expect(after).toMatchObject({ live: 0, leakedMappings: 0, leakedIovaBytes: 0, secondMaps: 0, innocent: null });
    expect(after.smallDomain.failedAfter).toBeNull();
    expect(after.dmaDebug).toMatchObject({ fullAfter: null, disabled: false });
    expect(after.exhibit.first).toBe(after.exhibit.second);
    expect(after.exhibit.firstReachable).toBe(false);
    expect(after.nestedGetPages).toBeGreaterThanOrEqual(after.furtherBinds);
  });

  test('a seed decides everything', () => {
    expect(run('i915-4.2', seed)).toEqual(after);
    expect(run('i915-4.2', seed + 1)).not.toEqual(after);
  });
});
