import { describe, expect, test } from 'vitest';
import { IOCTL, packStruct, stress } from '../../src/index.js';
import { ioctlOperations } from '../../src/stress-i915/ioctls.js';
import { Client } from './client.js';

describe('the profile of requests', () => {
  test.each([1, 2, 3])('seed %i: whatever a client asks, the answer is one of the kernel', async (seed) => {
    const { failure, done } = await stress({ profile: 'ioctl', operations: 4000, seed, seconds: 60, faults: 0.02 });
    expect(failure).toBe(null);
    expect(done.ioctl).toBeGreaterThan(2500);
  });

  test('a wrong answer is found', () => {
    const client = new Client();
    const part = (rc: number) =>
      ({
        client: () => ({ objects: client.file.objects, profile: client.file.profile, ioctl: () => rc }),
        memory: client.memory,
      }) as never;
    const [{ apply }] = ioctlOperations;
    const close = (rc: number): boolean =>
      apply(part(rc), {
        ...{ op: 'ioctl', gpu: 0, client: 0, request: IOCTL.GEM_CLOSE, memory: [] },
        struct: [...packStruct('gem_close', { handle: 7 })],
      });
    expect(close(-22)).toBe(true);
    expect(() => close(0)).toThrow('request 0x40086409 returns 0, not EINVAL');
    const other = (rc: number): boolean =>
      apply(part(rc), { op: 'ioctl', gpu: 0, client: 0, request: IOCTL.VERSION, struct: [], memory: [] });
    expect([other(-14)]).toEqual([true]);
    expect(() => other(-75)).toThrow('returns EOVERFLOW, not one that the kernel has');
  });
});
