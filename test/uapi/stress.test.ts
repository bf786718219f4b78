import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { complete } from '../../src/core/slices.js';
import { IOCTL, packStruct, stress } from '../../src/index.js';
import { StressFailure } from '../../src/stress/engine/failure.js';
import type { Operation } from '../../src/stress/engine/operation.js';
import { printProgram } from '../../src/stress/shrink/print.js';
import { courseOf } from '../../src/stress/world/run.js';
import { ioctlOperations } from '../../src/stress-i915/ioctls.js';
import { repertoireOf, stressConfig } from '../../src/workload/stress.js';
import { temporaryFolder } from '../folder.js';
import { Client } from './client.js';

const library = new URL('../../dist/bundle/index.js', import.meta.url).href;
const folder = temporaryFolder();

test('requests print as a program that runs', async () => {
  const ioctl = (client: number, request: number, struct: Uint8Array, memory: number[] = []): Operation => ({
    ...{ op: 'ioctl', client, request, struct: [...struct], memory },
  });
  const list = [...packStruct('gem_exec_object2', { handle: 1 })];
  const operations = [
    { op: 'client', id: 1, gpu: 0, profile: 0 },
    { op: 'client', id: 2, gpu: 0, profile: 1 },
    ioctl(1, IOCTL.I915_GEM_CREATE, packStruct('gem_create', { size: 4096 })),
    ioctl(
      1,
      IOCTL.I915_GEM_EXECBUFFER2,
      packStruct('gem_execbuffer2', { buffers_ptr: 0x10000, buffer_count: 1 }),
      list,
    ),
    ioctl(2, IOCTL.SYNCOBJ_CREATE, packStruct('syncobj_create')),
  ];
  const config = stressConfig({ profile: 'ioctl' });
  const repertoire = repertoireOf();
  const { refused } = complete(courseOf(config, operations, repertoire));
  expect(refused.size).toBe(0);
  const text = printProgram(config, new StressFailure('teardown', 'x', 'x'), operations, repertoire, refused);
  expect(text).toContain("file2 = gpu0.open({ profile: 'modern', process })");
  const file = join(folder, 'requests.mjs');
  writeFileSync(file, text.replace("'gemdma'", `'${library}'`));
  await expect(import(file)).resolves.toBeDefined();
});

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
        clients: { get: () => ({ objects: client.file.objects, profile: client.file.profile, ioctl: () => rc }) },
        memory: client.memory,
      }) as never;
    const apply = ioctlOperations[2].apply as (part: never, operation: Operation) => boolean;
    const close = (rc: number): boolean =>
      apply(part(rc), {
        ...{ op: 'ioctl', client: 0, request: IOCTL.GEM_CLOSE, memory: [] },
        struct: [...packStruct('gem_close', { handle: 7 })],
      });
    expect(close(-22)).toBe(true);
    expect(() => close(0)).toThrow('request 0x40086409 returns 0, not EINVAL');
    const other = (rc: number): boolean =>
      apply(part(rc), { op: 'ioctl', client: 0, request: IOCTL.SET_MASTER, struct: [], memory: [] });
    expect(other(0)).toBe(true);
    expect(() => other(-75)).toThrow('returns EOVERFLOW, not one that the kernel has');
  });
});
