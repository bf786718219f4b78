import { GemDmaError } from '../core/errors.js';
import { FAULT_KINDS, type FaultKind } from '../core/faults.js';
import type { CallProgress, LongCallOptions, Sliced } from '../core/slices.js';
import { scenarioConfig } from './config/configure.js';
import type { OperationScenario } from './config/scenario.js';
import { StressFailure } from './engine/failure.js';
import type { Operation } from './engine/operation.js';
import type { Runner } from './engine/runner.js';
import { Replayer } from './shrink/replayer.js';
import { faultOperation } from './world/common.js';
import type { StressConfig } from './world/profile.js';
import type { Repertoire } from './world/vocabulary.js';
import type { World, WorldState } from './world/world.js';

/**
 * Every single allocation fails once. For each operation of a scenario, each kind of allocation and each n, a machine
 * is brought to the moment before the operation, its n-th allocation of the kind from there is made to fail, and then
 *
 *   either the operation returns an errno that fits, everything is as it was before it, and the same
 *   operation succeeds when it is tried again,
 *   or it succeeded without that memory (by evicting, by reclaiming, by doing less),
 *
 * and in both cases the rest of the scenario runs and nothing is left when all is given back. This is what SQLite does
 * with its malloc and iommufd's selftest with fail_nth.
 */

export interface FailNthRunOptions extends LongCallOptions {
  /** Options of the machine, over those of the scenario. */
  machine?: StressConfig['machine'];
}

/** What came of a scenario: plain JSON. */
export interface FailNthResult {
  /** Name of the scenario. */
  scenario: string;
  /** Allocations that were made to fail. */
  points: number;
  /** The same by the operation in which they are. */
  byOperation: {
    /** Kind of the operation. */
    op: string;
    /** Allocations in it. */
    points: number;
  }[];
  /** The same by what is allocated. */
  byKind: Partial<Record<FaultKind, number>>;
  /** Points at which the operation was refused, by errno name. */
  refused: Record<string, number>;
  /** Points at which the operation succeeded without the allocation. */
  absorbed: number;
  /** Points after which something did not hold; empty when all did. */
  failures: {
    /** Number of the operation in the scenario, from 0. */
    operation: number;
    /** Kind of that operation. */
    op: string;
    /** What was to be allocated; `no` for what fails without any injected failure. */
    kind: FaultKind | 'no';
    /** Which allocation of that kind in the operation failed, from 1; 0 where none was made to fail. */
    nth: number;
    /** What did not hold, in words. */
    failure: string;
  }[];
  /** Only when the signal was aborted: points remain that were not tried. */
  interrupted?: true;
}

/** Errnos that a failed allocation may lead to in the kernel's own functions. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOMEM', 'ENOSPC', 'EIO', 'EAGAIN']);
/** No operation makes more allocations of one kind than this. */
const MOST = 10_000;

/**
 * Runs one scenario with each of its allocations failing in turn.
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 */
export function* failNthPoints(
  scenario: OperationScenario,
  options: FailNthRunOptions,
  repertoire: Repertoire,
): Sliced<FailNthResult, CallProgress> {
  const result: FailNthResult = {
    ...{ scenario: scenario.name, points: 0, byOperation: [], byKind: {}, refused: {}, absorbed: 0, failures: [] },
  };
  // Every allocation fails in its turn: the failures that the scenario has of its own are among them.
  const operations = scenario.operations.filter(({ op }) => op !== faultOperation.name);
  const { signal, machine } = options;
  const config = {
    ...scenarioConfig(scenario, { ...(machine && { machine }), checkEvery: Number.MAX_SAFE_INTEGER }, repertoire),
    expected: ['OOM_DISABLED', 'CACHELINE_ENOMEM', 'CACHELINE_OVERLAP', 'SEG_LEN'],
  };
  const course = new Course(config, operations, repertoire);
  // A driver that fails with enough memory is not run without it.
  const failure = course.plain();
  if (failure) {
    const operation = course.plainRefusals.length - 1;
    result.failures.push({ operation, op: operations[operation].op, kind: 'no', nth: 0, failure: text(failure) });
    return result;
  }
  for (const [at, { op }] of operations.entries()) {
    const before = result.points;
    course.goTo(at);
    for (const kind of FAULT_KINDS) {
      for (let nth = 1; nth < MOST; ++nth) {
        yield { done: at, total: operations.length, what: `${scenario.name}: ${op}` };
        if (signal?.aborted) return { ...result, interrupted: true };
        const outcome = course.point(at, kind, nth);
        if (outcome === 'not reached') break;
        ++result.points;
        result.byKind[kind] = (result.byKind[kind] ?? 0) + 1;
        if (outcome instanceof StressFailure) {
          result.failures.push({ operation: at, op, kind, nth, failure: text(outcome) });
        } else if (outcome === 'absorbed') ++result.absorbed;
        else result.refused[outcome] = (result.refused[outcome] ?? 0) + 1;
      }
    }
    result.byOperation.push({ op, points: result.points - before });
  }
  return result;
}

function text({ kind, id, message }: StressFailure): string {
  return `${kind} ${id}: ${message}`;
}

/** A run of a scenario, operation by operation. */
class Course {
  readonly #repertoire: Repertoire;
  readonly #replayer: Replayer;
  readonly #operations: readonly Operation[];
  #before: WorldState | undefined;
  /** What each operation was refused for when nothing was made to fail; undefined where it was not. */
  readonly plainRefusals: (string | undefined)[] = [];

  constructor(config: StressConfig, operations: readonly Operation[], repertoire: Repertoire) {
    this.#repertoire = repertoire;
    this.#replayer = new Replayer(config, repertoire);
    this.#operations = operations;
  }

  /** Runs the scenario through and takes the world down. Returns what was wrong, or null. */
  plain(): StressFailure | null {
    const runner = this.#replayer.after([]);
    const { tally } = runner;
    const going = this.#operations.every((operation) => {
      const before = { ...tally.refused };
      const well = runner.apply(operation);
      this.plainRefusals.push(Object.keys(tally.refused).find((code) => tally.refused[code] !== before[code]));
      return well;
    });
    if (going) runner.finish();
    return runner.failure;
  }

  /** Goes on to the moment before operation `at`. */
  goTo(at: number): void {
    this.#before = this.#replayer.stand(this.#operations.slice(0, at)).state();
  }

  /**
   * One point of operation `at`, to which it has gone.
   * @returns the errno's name, `absorbed`, `not reached` when the operation makes fewer allocations, or what went wrong
   */
  point(at: number, kind: FaultKind, nth: number): string | StressFailure {
    const runner = this.#replayer.after(this.#operations.slice(0, at));
    const { world } = runner;
    const before = this.#before!;
    const operation = this.#operations[at];
    const plain = this.plainRefusals[at];
    const struck = world.faultsStruck(kind);
    let said: string | undefined;
    try {
      world.machine.failAllocation(kind, nth);
      try {
        this.#repertoire.kindOf(operation).apply(world, operation);
      } catch (error) {
        if (!(error instanceof GemDmaError)) throw error;
        said = error.code;
      }
      world.machine.failAllocation(kind, 0);
      if (world.faultsStruck(kind) === struck) return 'not reached';
      if (said !== undefined) {
        world.rewind(before, operation);
        unchanged(before, world.state(), said);
        if (!NO_ROOM.has(said) && said !== plain)
          throw new StressFailure('error', said, `${said} is not what having no ${kind} looks like`);
      }
      world.watch();
      world.check();
    } catch (error) {
      if (error instanceof StressFailure) return error;
      return new StressFailure('error', (error as Error).name, (error as Error).message);
    }
    // An operation that was refused is tried again; then everything goes as it would have gone without the failure.
    const first = said === undefined ? at + 1 : at;
    for (let i = first; i < this.#operations.length; ++i) {
      const refused = refusals(runner);
      if (!runner.apply(this.#operations[i])) return runner.failure!;
      const expected = this.plainRefusals[i] === undefined ? 0 : 1;
      if (said !== undefined && refusals(runner) - refused !== expected) {
        const how = expected === 0 ? 'is refused though the failure is over' : 'succeeds where it was refused before';
        return new StressFailure('error', 'retry', `operation ${i} (${this.#operations[i].op}) ${how}`);
      }
    }
    if (!runner.finish()) return runner.failure!;
    return said === undefined || said === plain ? 'absorbed' : said;
  }
}

function refusals({ tally }: Runner<World>): number {
  return Object.values(tally.refused).reduce((sum, count) => sum + count, 0);
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function unchanged(before: WorldState, after: WorldState, said: string): void {
  for (const [name, value] of Object.entries(before)) {
    if (same(value, after[name])) continue;
    const other = after[name];
    // Of two lists, only where they part.
    const at = Array.isArray(value) && Array.isArray(other) ? value.findIndex((one, i) => !same(one, other[i])) : -1;
    const [was, is] = [value, other].map((one) => JSON.stringify(at < 0 ? one : (one as unknown[])[at]));
    throw new StressFailure('accounting', name, `after ${said}, ${name} is ${is} where it was ${was}`);
  }
}
