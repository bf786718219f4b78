import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { complete } from '../../src/core/slices.js';
import { DmaDevice } from '../../src/dma/device.js';
import { GemObject } from '../../src/i915/object.js';
import type { MappingPolicy } from '../../src/i915/policy/policy.js';
import { KERNEL_NAMES } from '../../src/kernels/kernels.js';
import { sumResults } from '../../src/stress/campaign.js';
import { StressFailure } from '../../src/stress/engine/failure.js';
import type { Operation } from '../../src/stress/engine/operation.js';
import { printProgram } from '../../src/stress/shrink/print.js';
import { Replayer } from '../../src/stress/shrink/replayer.js';
import type { StressResult } from '../../src/stress/stress.js';
import { readTrace, traceContent } from '../../src/stress/trace.js';
import { courseOf } from '../../src/stress/world/run.js';
import { PROFILE_NAMES, PROFILES, type ProfileName } from '../../src/stress-i915/profiles.js';
import { FAIL_NTH_SCENARIOS, repertoireOf, stress, stressConfig } from '../../src/workload/stress.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

const untimed = ({ timing: _, ...result }: StressResult) => result;
const library = new URL('../../dist/index.js', import.meta.url);

describe('correct presets run clean', () => {
  test.each(PROFILE_NAMES)('%s, on the DMA stack of 6.12', async (profile) => {
    const result = await stress({ profile, seed: 11, operations: 12_000, checkEvery: 500 });
    expect(result.failure).toBeNull();
    expect(result).toMatchObject({ operations: 12_000, ended: 'operations', checks: 25 });
    // Every operation that has a weight was really done.
    const idle = Object.keys(result.config.weights).filter((name) => result.done[name] === 0);
    expect(idle).toEqual([]);
  });

  test.each(['linux-4.2'] as const)('on the DMA stack of %s', async (kernel) => {
    for (const profile of ['churn', 'lazy', 'fragment'] satisfies ProfileName[]) {
      const result = await stress({ profile, machine: { kernel }, seed: 5, operations: 6000, checkEvery: 500 });
      expect(result.failure).toBeNull();
    }
  });

  test.each(['kernel', 'own'] as const)('two-step mappings add up with the %s checker alone', async (checkers) => {
    const result = await stress({
      ...{ profile: 'share', machine: { dmaDebug: { checkers } }, seed: 5, operations: 4000, checkEvery: 100 },
      weights: { reserve: 60, link: 80, unlink: 30, unreserve: 20 },
    });
    expect(result.failure).toBeNull();
    expect(result.done.link).toBeGreaterThan(200);
  });

  test('without an IOMMU, bouncing what a device cannot reach', async () => {
    for (const iommu of ['off', 'passthrough'] as const) {
      const machine = { iommu, ram: '128MiB', swiotlb: { size: '1MiB', force: iommu === 'off' } };
      const result = await stress({ profile: 'exhaust', machine, seed: 3, operations: 5000 });
      expect(result.failure).toBeNull();
      if (iommu === 'off') expect(result.refused).not.toEqual({});
    }
  });
});

describe('through the bounce pool, the CPU and the device see each other', () => {
  const profile = { ...PROFILES.exhaust, devices: [32, 64], limits: { objects: 100, contexts: 2, mappings: 300 } };
  const machine = { iommu: 'off', swiotlb: { size: '4MiB', force: true } } as const;
  test.each(
    KERNEL_NAMES.flatMap(
      (kernel) =>
        [
          [kernel, 0],
          [kernel, 0.02],
        ] as const,
    ),
  )('%s, with failing allocations at %f', async (kernel, faults) => {
    const options = { profile, machine: { ...machine, kernel }, seed: 3, operations: 6000, faults };
    const result = await stress(options);
    expect(result.failure).toBeNull();
    expect(result.done.sync).toBeGreaterThan(200);
    expect(result.done.deviceWrite).toBeGreaterThan(200);
  });

  test.each(['syncForCpu', 'syncForDevice', 'syncSgForCpu', 'syncSgForDevice'] as const)(
    'a %s that does nothing is found',
    async (name) => {
      const spy = vi.spyOn(DmaDevice.prototype, name).mockImplementation(() => {});
      const { failure } = await stress({ profile, machine, seed: 3, operations: 6000, shrink: 0 });
      spy.mockRestore();
      expect(failure).toMatchObject({ kind: 'contents' });
    },
  );
});

test('a rotated view whose pages are in another order is found', async () => {
  const { operations } = FAIL_NTH_SCENARIOS.find(({ name }) => name === 'views')!;
  const config = stressConfig({});
  expect(new Replayer(config, repertoireOf()).run(operations)).toBeNull();
  const swapped = operations.map((operation) =>
    operation.op === 'bindView' && (operation.view as number[])[0] === 0
      ? { ...operation, view: [0, 6, 4] }
      : operation,
  );
  // The object has one rotated view, whatever its geometry: what is written through it is still found.
  expect(new Replayer(config, repertoireOf()).run(swapped)).toBeNull();
  const real = GemObject.prototype.bind;
  const spy = vi.spyOn(GemObject.prototype, 'bind').mockImplementation(function (this: GemObject, vm, options) {
    const vma = real.call(this, vm, options);
    // What the driver says of the view is not what it wrote into the table.
    if (vma.view?.type === 'rotated') Object.assign(vma, { view: { ...vma.view, width: 6, height: 4 } });
    return vma;
  });
  const failure = new Replayer(config, repertoireOf()).run(operations);
  spy.mockRestore();
  expect(failure).toMatchObject({ kind: 'contents', id: 'gpu' });
});

test('every kind of operation prints as a program that runs', async () => {
  for (const scenario of FAIL_NTH_SCENARIOS) {
    const config = { ...stressConfig({}), ...scenario.config };
    const failure = new StressFailure('teardown', 'x', 'x');
    const file = join(folder, 'scenario.mjs');
    const { refused } = complete(courseOf(config, scenario.operations, repertoireOf()));
    writeFileSync(
      file,
      printProgram(config, failure, scenario.operations, repertoireOf(), refused).replace("'gemdma'", `'${library}'`),
    );
    await expect(import(file), scenario.name).resolves.toBeDefined();
  }
  const printed = new Set(FAIL_NTH_SCENARIOS.flatMap(({ operations }) => operations.map(({ op }) => op)));
  const missing = repertoireOf().names.filter((name) => !printed.has(name));
  // Requests: test/uapi.
  expect(missing).toEqual(['caching', 'shrink', 'client', 'clientClose', 'ioctl']);
});

test.each(['churn', 'pressure', 'exhaust', 'userptr'] satisfies ProfileName[])(
  'failing allocations leave %s in order, dma-debug included',
  async (profile) => {
    const result = await stress({ profile, seed: 22, operations: 8000, faults: 0.05, checkEvery: 200 });
    expect(result.failure).toBeNull();
    expect(result.done.fault).toBeGreaterThan(200);
    expect(result.refused.ENOMEM).toBeGreaterThan(50);
  },
);

describe('buggy presets are found', () => {
  test.each([1, 2, 3])('i915-4.1 with seed %i, cut down to at most 8 operations', async (seed) => {
    const result = await stress({ policy: 'i915-4.1', seed });
    expect(result.failure).toMatchObject({ kind: 'finding', id: 'DOUBLE_MAP' });
    expect(result.reproducer!.operations.length).toBeLessThanOrEqual(8);
    expect(new Replayer(result.config, repertoireOf()).run(result.reproducer!.operations)).toMatchObject({
      id: 'DOUBLE_MAP',
    });
  });

  test('without dma-debug, the leak shows in the accounts', async () => {
    const result = await stress({ policy: 'i915-4.1', machine: { dmaDebug: false }, checkEvery: 100 });
    expect(result.failure).toMatchObject({ kind: 'accounting' });
    expect(result.reproducer!.operations.length).toBeLessThanOrEqual(8);
  });

  test('a policy of your own that forgets to unmap', async () => {
    const forgetful: MappingPolicy = {
      name: 'forgetful',
      getPages: (object) => object.mapSg(),
      putPages: (object) => {
        if (object.size < 16384) object.unmapSg();
      },
    };
    const result = await stress({ policy: forgetful, seed: 1 });
    expect(result.subject).toBe('forgetful');
    expect(result.failure).not.toBeNull();
    const sizes = result.reproducer!.operations.filter(({ op }) => op === 'create').map(({ pages }) => pages as number);
    expect(sizes.some((pages) => pages >= 4)).toBe(true);
    expect(result.reproducer!.operations.length).toBeLessThanOrEqual(4);
  });

  test.each([
    ['a finding', { policy: 'i915-4.1', seed: 4 }, 'DOUBLE_MAP'],
    ['a leak', { policy: 'i915-4.1', machine: { dmaDebug: false }, checkEvery: 100 }, 'DMA mappings are left'],
  ] as const)('the printed program fails by itself: %s', async (_, options, words) => {
    const { reproducer } = await stress(options);
    const run = (policy: string): string => {
      const file = join(folder, 'again.mjs');
      const program = reproducer!.program.replace("'gemdma'", `'${library}'`).replaceAll("'i915-4.1'", `'${policy}'`);
      writeFileSync(file, program);
      try {
        execFileSync(process.execPath, [file], { encoding: 'utf8', stdio: 'pipe' });
      } catch (error) {
        return (error as { stderr: string }).stderr;
      }
      return '';
    };
    expect(run('i915-4.1')).toContain(words);
    expect(run('i915-4.2'), 'the fixed driver passes the same program').toBe('');
  });

  test('operations that are refused on the way are printed as such', () => {
    const config = stressConfig({ policy: 'i915-4.1' });
    const operations: Operation[] = [
      { op: 'create', id: 1, gpu: 0, pages: 1 },
      { op: 'bind', bo: 1, gpu: 0, ctx: 0 },
      { op: 'putPages', bo: 1 },
    ];
    const { refused } = complete(courseOf(config, operations, repertoireOf()));
    expect([...refused]).toEqual([2]);
    const program = printProgram(config, new StressFailure('finding', 'X', 'x'), operations, repertoireOf(), refused);
    expect(program).toContain('refused(() => {\n  bo1.putPages();\n});');
  });

  test('a trace file holds the run and fails again', async () => {
    const result = await stress({ policy: 'i915-4.1', seed: 6 });
    for (const name of ['run.jsonl', 'run.jsonl.gz']) {
      const file = join(folder, name);
      const { config, failure, reproducer } = result;
      const { kind, id, message } = failure!;
      const failed = { kind, id, message };
      writeFileSync(file, traceContent(file, { config, failure: failed, operations: reproducer!.operations }));
      const trace = readTrace(file, repertoireOf());
      expect(trace.operations).toEqual(reproducer!.operations);
      expect(new Replayer(trace.config, repertoireOf()).run(trace.operations)).toMatchObject({ kind, id });
    }
  });
});

describe('a seed decides everything', () => {
  test('same seed, same result to the last counter; another seed, another', async () => {
    const run = (seed: number) => stress({ profile: 'pressure', seed, operations: 5000, checkEvery: 700 });
    const [a, b, c] = [await run(7), await run(7), await run(8)];
    expect(untimed(b)).toEqual(untimed(a));
    expect(untimed(c).done).not.toEqual(untimed(a).done);
  });

  test('shards sum to the whole campaign, in any order', async () => {
    const results = await Promise.all([1, 2, 3].map((seed) => stress({ seed, operations: 2000 })));
    const whole = sumResults(results);
    expect(sumResults([...results].reverse())).toEqual(whole);
    expect(whole).toMatchObject({ runs: 3, operations: 6000, failures: [], differing: [] });
    expect(sumResults([...results, results[0]]).runs).toBe(3);
    const other = { ...results[0], checks: 99 };
    expect(sumResults([...results, other]).differing).toEqual([1]);
  });
});

describe('options', () => {
  test('a signal ends the run with what there is', async () => {
    const controller = new AbortController();
    const result = await stress({
      operations: 50_000_000,
      signal: controller.signal,
      onProgress: ({ operations }) => {
        if (operations > 0) controller.abort();
      },
    });
    expect(result.ended).toBe('signal');
    expect(result.operations).toBeLessThan(50_000_000);
    expect(result.failure).toBeNull();
  });

  test.each([
    [{ profile: 'churm' as ProfileName }, 'ERR_INVALID_ARG_VALUE'],
    [{ operations: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ seconds: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ faults: 2 }, 'ERR_OUT_OF_RANGE'],
    [{ seed: 1.5 }, 'ERR_OUT_OF_RANGE'],
    [{ signal: {} as AbortSignal }, 'ERR_INVALID_ARG_TYPE'],
  ])('%o is refused', async (options, code) => {
    await expect(stress(options)).rejects.toMatchObject({ code });
  });
});

test.each([
  ['linux-6.12', 'off'],
  ['linux-4.2', 'passthrough'],
] as const)('what one device maps twice under one address is no mistake: %s, IOMMU %s', async (kernel, iommu) => {
  const result = await stress({
    profile: 'share',
    machine: { kernel, iommu },
    seed: 8008,
    operations: 20_000,
    shrink: 0,
  });
  expect(result.failure).toBeNull();
  expect(result.done.attach).toBeGreaterThan(200);
});

test('registers of other devices never begin in one cacheline by chance', async () => {
  const options = { profile: 'exhaust', machine: { kernel: 'linux-6.12' }, seed: 2021, shrink: 0 } as const;
  const result = await stress({ ...options, operations: 90_000 });
  expect(result.failure).toBeNull();
  expect(result.done.mapResource).toBeGreaterThan(100);
});
