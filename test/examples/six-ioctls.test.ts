import { expect, test } from 'vitest';

const { sixIoctls } = await import('../../examples/six-ioctls.mjs' as string);

test('six ioctls lose a mapping of 1 MiB under the policy of Linux 4.1, and none under that of 4.2', () => {
  const before = sixIoctls('i915-4.1');
  expect(before.lost).toBeGreaterThan(0);
  expect(before.iovaBytes).toBe(1024 * 1024);
  expect(before.where).toMatch(/bind/);
  expect(sixIoctls('i915-4.2')).toMatchObject({ lost: 0, iovaBytes: 0 });
});
