import { GemDmaError } from '../../core/errors.js';
import { FAULT_KINDS, type FaultKind } from '../../core/faults.js';
import type { DriverName } from '../scenario.js';
import { StressFailure } from './failure.js';
import { ALL_KINDS, kindOf } from './kinds.js';
import type { Operation } from './operation.js';
import type { StressConfig } from './profiles.js';
import { Runner } from './runner.js';
import { stressConfig } from './stress.js';
import { World, type WorldState } from './world.js';

/**
 * Every single allocation fails once. For each operation of a scenario, each kind of allocation and each n, a machine
 * is brought to the moment before the operation, its n-th allocation of the kind from there is made to fail, and then
 *
 *   either the operation says so, with an errno that fits, and everything is as it was before it, and the very same
 *   operation succeeds when it is tried again,
 *   or it got along without that memory (by evicting, by reclaiming, by doing less), and did all that it should,
 *
 * and in both cases the rest of the scenario runs and nothing is left when all is given back. This is what SQLite does
 * with its malloc and iommufd's selftest with fail_nth.
 */

export interface FailNthScenario {
  name: string;
  title: string;
  /** Changes to the churn profile's configuration: other devices, other back ends. */
  config?: Partial<Pick<StressConfig, 'gpus' | 'devices' | 'machine'>>;
  operations: readonly Operation[];
}

export interface FailNthOptions {
  driver?: DriverName;
  machine?: StressConfig['machine'];
  signal?: AbortSignal;
}

/** What came of a scenario: plain JSON. */
export interface FailNthResult {
  scenario: string;
  /** Allocations that were made to fail: by the operation in which they are, and by their kind. */
  points: number;
  byOperation: { op: string; points: number }[];
  byKind: Partial<Record<FaultKind, number>>;
  /** Points at which the operation was refused, by errno, and those at which it got along without. */
  refused: Record<string, number>;
  absorbed: number;
  failures: { operation: number; op: string; kind: FaultKind | 'no'; nth: number; failure: string }[];
}

/** Errnos that "there was no memory, no room" may come out as, in the kernel's own functions. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOMEM', 'ENOSPC', 'EIO', 'EAGAIN']);
/** No operation makes more allocations of one kind than this. */
const MOST = 10_000;

/** Runs one scenario with each of its allocations failing in turn. */
export function failNth(scenario: FailNthScenario, options: FailNthOptions = {}): FailNthResult {
  const config = scenarioConfig(scenario, options);
  const result: FailNthResult = {
    ...{ scenario: scenario.name, points: 0, byOperation: [], byKind: {}, refused: {}, absorbed: 0, failures: [] },
  };
  // A driver that is wrong with all the memory in the world need not be asked what it does without.
  const plain = new Runner(new World(config), ALL_KINDS, config.checkEvery);
  const stopped = scenario.operations.findIndex((operation) => !plain.apply(operation));
  if (stopped >= 0 || !plain.finish()) {
    const operation = stopped >= 0 ? stopped : scenario.operations.length - 1;
    const { kind, id, message } = plain.failure!;
    const { op } = scenario.operations[operation];
    result.failures.push({ operation, op, kind: 'no', nth: 0, failure: `${kind} ${id}: ${message}` });
    return result;
  }
  scenario.operations.forEach((operation, at) => {
    let points = 0;
    for (const kind of FAULT_KINDS) {
      for (let nth = 1; nth < MOST && !options.signal?.aborted; ++nth) {
        const outcome = point(config, scenario.operations, at, kind, nth);
        if (outcome === 'not reached') break;
        ++points;
        result.byKind[kind] = (result.byKind[kind] ?? 0) + 1;
        if (outcome instanceof StressFailure) {
          const failure = `${outcome.kind} ${outcome.id}: ${outcome.message}`;
          result.failures.push({ operation: at, op: operation.op, kind, nth, failure });
        } else if (outcome === 'absorbed') ++result.absorbed;
        else result.refused[outcome] = (result.refused[outcome] ?? 0) + 1;
      }
    }
    result.byOperation.push({ op: operation.op, points });
    result.points += points;
  });
  return result;
}

function scenarioConfig({ config }: FailNthScenario, { driver, machine }: FailNthOptions): StressConfig {
  const base = stressConfig({ ...(driver && { driver }), checkEvery: Number.MAX_SAFE_INTEGER });
  return {
    ...{ ...base, ...config },
    machine: { ...base.machine, ...config?.machine, ...machine },
    gpus: (config?.gpus ?? base.gpus).map((gpu) => ({ ...gpu, driver: base.gpus[0].driver! })),
    expected: ['OOM_DISABLED', 'CACHELINE_ENOMEM', 'CACHELINE_OVERLAP', 'SEG_LEN'],
  };
}

/**
 * One point.
 * @returns the errno's name, `absorbed`, `not reached` when the operation makes fewer allocations, or what went wrong
 */
function point(
  config: StressConfig,
  operations: readonly Operation[],
  at: number,
  kind: FaultKind,
  nth: number,
): string | StressFailure {
  const world = new World(config);
  const runner = new Runner(world, ALL_KINDS, config.checkEvery);
  for (const operation of operations.slice(0, at)) runner.apply(operation);
  const before = world.state();
  const struck = world.faultsStruck(kind);
  let said: string | undefined;
  try {
    world.machine.failAllocation(kind, nth);
    try {
      kindOf(operations[at]).apply(world, operations[at]);
    } catch (error) {
      if (!(error instanceof GemDmaError)) throw error;
      said = error.code;
    }
    world.machine.failAllocation(kind, 0);
    if (world.faultsStruck(kind) === struck) return 'not reached';
    if (said !== undefined) {
      world.rewind(before);
      unchanged(before, world.state(), said);
      if (!NO_ROOM.has(said))
        throw new StressFailure('error', said, `${said} is not what having no ${kind} looks like`);
    }
    world.watch();
    world.check();
  } catch (error) {
    if (error instanceof StressFailure) return error;
    return new StressFailure('error', (error as Error).name, (error as Error).message);
  }
  if (said !== undefined && !runner.apply(operations[at])) return runner.failure!;
  const refusedBefore = total(runner.tally.refused);
  for (const operation of operations.slice(at + 1)) if (!runner.apply(operation)) return runner.failure!;
  if (said !== undefined && total(runner.tally.refused) > refusedBefore) {
    return new StressFailure('error', 'retry', 'what follows is refused though the operation succeeded in the end');
  }
  return runner.finish() ? (said ?? 'absorbed') : runner.failure!;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function unchanged(before: WorldState, after: WorldState, said: string): void {
  for (const [name, value] of Object.entries(before)) {
    if (JSON.stringify(value) === JSON.stringify(after[name])) continue;
    const [was, is] = [value, after[name]].map((one) => JSON.stringify(one));
    throw new StressFailure('accounting', name, `after ${said}, ${name} is ${is} where it was ${was}`);
  }
}

const create = (id: number, pages: number, gpu = 0): Operation => ({ op: 'create', id, gpu, pages });
const bind = (bo: number, ctx: number, gpu = 0): Operation => ({ op: 'bind', bo, gpu, ctx });

/** What `gemdma stress --fail-nth` runs. Ids are the things of a scenario; context 0 is the global GTT. */
export const FAIL_NTH_SCENARIOS: readonly FailNthScenario[] = [
  {
    name: 'object',
    title: "an object's life: pages, two address spaces, bytes, unbound and bound again",
    operations: [
      { op: 'context', id: 1, gpu: 0 },
      create(2, 20),
      { op: 'getPages', bo: 2 },
      { op: 'pwrite', bo: 2, offset: 4090, length: 100, stamp: 7 },
      bind(2, 0),
      bind(2, 1),
      { op: 'gpuRead', bo: 2, gpu: 0, ctx: 1, offset: 4000, length: 200 },
      { op: 'unbind', bo: 2, gpu: 0, ctx: 0 },
      bind(2, 0),
      { op: 'pread', bo: 2, offset: 4000, length: 200 },
      { op: 'close', bo: 2 },
      { op: 'contextClose', ctx: 1 },
    ],
  },
  {
    name: 'batch',
    title: 'a batch of several objects, then eviction and another batch',
    operations: [
      { op: 'context', id: 1, gpu: 0 },
      create(2, 1),
      create(3, 40),
      create(4, 600),
      { op: 'exec', gpu: 0, ctx: 1, bos: [2, 3, 4], busy: 1 },
      { op: 'evict', gpu: 0, ctx: 1 },
      { op: 'exec', gpu: 0, ctx: 1, bos: [4, 2], busy: 0 },
    ],
  },
  {
    name: 'mappings',
    title: 'pages, lists and coherent buffers of a device, strict',
    config: { gpus: [{}], devices: [32, 64] },
    operations: [
      { op: 'map', id: 1, device: 0, offset: 100, length: 3000, dir: 1, stamp: 3 },
      { op: 'deviceRead', map: 1, device: 0, offset: 0, length: 10 },
      { op: 'mapSg', id: 2, device: 0, pages: 700, dir: 0, window: 650, stamp: 5 },
      { op: 'coherent', id: 3, device: 1, length: 12288 },
      { op: 'unmapSg', map: 2, device: 0, length: 0, dir: 0 },
      { op: 'map', id: 4, device: 1, offset: 0, length: 4096, dir: 2, stamp: 9 },
      { op: 'unmap', map: 1, device: 0, length: 3000, dir: 1 },
      { op: 'coherentFree', map: 3, device: 1, length: 12288, dir: 0 },
      { op: 'unmap', map: 4, device: 1, length: 4096, dir: 2 },
    ],
  },
  {
    name: 'lazy',
    title: 'the same with a flush queue, and time passing',
    config: { gpus: [{}], devices: [32], machine: { ram: '64MiB', iommu: 'lazy' } },
    operations: [
      { op: 'mapSg', id: 1, device: 0, pages: 3, dir: 0, window: 1, stamp: 5 },
      { op: 'unmapSg', map: 1, device: 0, length: 0, dir: 0 },
      { op: 'map', id: 2, device: 0, offset: 0, length: 4096, dir: 1, stamp: 3 },
      { op: 'unmap', map: 2, device: 0, length: 4096, dir: 1 },
      { op: 'advance', ms: 20 },
      { op: 'mapSg', id: 3, device: 0, pages: 40, dir: 0, window: 0, stamp: 5 },
      { op: 'unmapSg', map: 3, device: 0, length: 0, dir: 0 },
    ],
  },
  {
    name: 'bounce',
    title: 'the bounce pool: single pages and a list through it',
    config: {
      ...{ gpus: [{}], devices: [32] },
      machine: { ram: '64MiB', iommu: 'off', swiotlb: { size: '1MiB', force: true } },
    },
    operations: [
      { op: 'map', id: 1, device: 0, offset: 77, length: 2000, dir: 0, stamp: 3 },
      { op: 'deviceWrite', map: 1, device: 0, offset: 5, length: 50, stamp: 11 },
      { op: 'sync', map: 1, device: 0, dir: 0, sg: false, offset: 5, length: 50, stamp: 12 },
      { op: 'mapSg', id: 2, device: 0, pages: 5, dir: 1, window: 4, stamp: 5 },
      { op: 'sync', map: 2, device: 0, dir: 1, sg: true, offset: 0, length: 20, stamp: 13 },
      { op: 'deviceRead', map: 2, device: 0, offset: 0, length: 30 },
      { op: 'unmap', map: 1, device: 0, length: 2000, dir: 0 },
      { op: 'unmapSg', map: 2, device: 0, length: 0, dir: 1 },
    ],
  },
  {
    name: 'views',
    title: 'rotated and partial views beside the whole object, and bytes through them',
    operations: [
      create(1, 24),
      bind(1, 0),
      { op: 'bindView', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6] },
      { op: 'bindView', bo: 1, gpu: 0, ctx: 0, view: [1, 3, 10] },
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6], offset: 16_434, length: 50, stamp: 5 },
      { op: 'gpuRead', bo: 1, gpu: 0, ctx: 0, view: [1, 3, 10], offset: 4096, length: 200 },
      { op: 'unbind', bo: 1, gpu: 0, ctx: 0 },
      { op: 'unbind', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6] },
      { op: 'close', bo: 1 },
    ],
  },
  {
    name: 'contiguous',
    title: 'an object of stolen memory, and one that is made contiguous',
    config: { gpus: [{ stolen: '4MiB' }] },
    operations: [
      { op: 'stolen', id: 1, gpu: 0, pages: 5 },
      bind(1, 0),
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200, stamp: 5 },
      { op: 'gpuRead', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200 },
      create(2, 3),
      { op: 'pwrite', bo: 2, offset: 4090, length: 100, stamp: 7 },
      { op: 'putPages', bo: 2 },
      { op: 'attachPhys', bo: 2 },
      bind(2, 0),
      { op: 'gpuRead', bo: 2, gpu: 0, ctx: 0, offset: 4090, length: 100 },
      { op: 'close', bo: 2 },
      { op: 'close', bo: 1 },
    ],
  },
  {
    name: 'ranges',
    title: 'address space reserved, linked and unlinked, and registers of another device',
    config: { gpus: [{}], devices: [32] },
    operations: [
      { op: 'reserve', id: 1, device: 0, pages: 4 },
      { op: 'link', id: 2, range: 1, page: 1, dir: 1, stamp: 3 },
      { op: 'link', id: 3, range: 1, page: 0, dir: 0, stamp: 4 },
      { op: 'deviceRead', map: 2, device: 0, offset: 0, length: 10 },
      { op: 'deviceWrite', map: 3, device: 0, offset: 100, length: 10, stamp: 5 },
      { op: 'mapResource', id: 4, device: 0, physical: 0xe0001004, length: 8192, dir: 0 },
      { op: 'unlink', map: 2, range: 1, page: 1, dir: 1 },
      { op: 'unreserve', map: 1, linked: 3, dir: 0 },
      { op: 'unmapResource', map: 4, device: 0, length: 8192, dir: 0 },
    ],
  },
  {
    name: 'share',
    title: 'an object lent to another GPU and to a device',
    config: { gpus: [{}, { gen: 7 }], devices: [32] },
    operations: [
      create(1, 10),
      { op: 'import', id: 2, bo: 1, gpu: 1 },
      bind(2, 0, 1),
      { op: 'attach', id: 3, bo: 1, device: 0 },
      { op: 'gpuRead', bo: 2, gpu: 1, ctx: 0, offset: 0, length: 50 },
      { op: 'detach', map: 3 },
      { op: 'close', bo: 2 },
    ],
  },
  {
    name: 'userptr',
    title: "a process's memory as an object, invalidated and used again",
    operations: [
      { op: 'userptr', id: 1, gpu: 0, pages: 6, populate: true },
      bind(1, 0),
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200, stamp: 5 },
      { op: 'invalidate', bo: 1 },
      { op: 'advance', ms: 1 },
      { op: 'pwrite', bo: 1, user: true, offset: 0, length: 9, stamp: 5 },
      { op: 'close', bo: 1 },
    ],
  },
];
