import type { AbortSignalLike, Sliced } from '../../core/slices.js';
import type { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import type { StressConfig } from '../world/profile.js';
import { courseOf, StressRun } from '../world/run.js';
import type { Repertoire } from '../world/vocabulary.js';
import { printProgram } from './print.js';
import { runProgram } from './program.js';
import { Replayer } from './replayer.js';
import { ddmin, type ShrinkBudget, simplify } from './shrink.js';

/** A failing run, cut down. */
export interface Reproducer {
  /** What must be done, in order, for the failure to happen. */
  operations: Operation[];
  /** The same as a program against the public API, which ends with an error. */
  program: string;
  /** The failure that these lead to: the same kind and id as the run's. */
  failure: Pick<StressFailure, 'kind' | 'id' | 'message'>;
  /** Whether the program was run and ended with that failure. When it did not, only `operations` lead to it. */
  confirmed: boolean;
  /** Shorter sequences that were tried. */
  tries: number;
  /** Whether every operation was left out by itself and the failure did not come without it; false when time ran out. */
  minimal: boolean;
}

/** What a reproducer is looked for with. */
export interface ReproduceOptions {
  repertoire: Repertoire;
  /** How long to look for a shorter sequence. */
  seconds: number;
  signal?: AbortSignalLike;
}

/** How long shrinking may take when nothing else was asked for. */
export const SHRINK_SECONDS = 8;
const OF_CHECKS: ReadonlySet<string> = new Set(['structure', 'accounting', 'teardown']);
const MAX_RECORDED = 2_000_000;
/** Operations that are recorded between two yields. */
const SLICE = 512;

/**
 * Finds the shortest sequence it can that fails in the same way.
 * @param step operations after which the run failed
 * @returns null when the failure does not come again, the run was too long to be recorded, or the signal was aborted
 */
export function* reproduce(
  config: StressConfig,
  failure: StressFailure,
  step: number,
  options: ReproduceOptions,
): Sliced<Reproducer | null> {
  if (step > MAX_RECORDED) return null;
  const recorded: Operation[] = [];
  const again = new StressRun(config, options.repertoire);
  while (recorded.length < step && !options.signal?.aborted) {
    if (!again.step(Math.min(SLICE, step - recorded.length), (operation) => recorded.push(operation))) break;
    yield;
  }
  return yield* shrinkOperations(config, failure, recorded, options);
}

/** Cuts recorded operations down to the few that lead to the failure; null when they do not lead to it. */
export function* shrinkOperations(
  config: StressConfig,
  failure: StressFailure,
  recorded: readonly Operation[],
  { repertoire, seconds, signal }: ReproduceOptions,
): Sliced<Reproducer | null> {
  const until = performance.now() + seconds * 1000;
  const stopped = (): boolean => signal?.aborted ?? false;
  const budget: ShrinkBudget = {
    tries: Number.POSITIVE_INFINITY,
    expired: () => stopped() || performance.now() > until,
  };
  // One check, at the end: it finds what a periodic check would have found.
  const quiet = { ...config, checkEvery: Number.MAX_SAFE_INTEGER };
  const replayer = new Replayer(quiet, repertoire);
  let tries = 0;
  function* fails(part: readonly Operation[]): Sliced<boolean> {
    ++tries;
    const work = replayer.sliced(part);
    for (;;) {
      const slice = work.next();
      if (slice.done) return failure.same(slice.value);
      yield;
      // The budget has expired with this: nothing else is tried, and the best so far is the result.
      if (stopped()) return false;
    }
  }
  /** Operations that do nothing have no place in a program, which has no name for what they are about. */
  function* withoutIdle(part: Operation[]): Sliced<Operation[]> {
    const { idle } = yield* courseOf(quiet, part, repertoire);
    const rest = part.filter((_, i) => !idle.has(i));
    return rest.length < part.length && (yield* fails(rest)) ? rest : part;
  }
  if (!(yield* fails(recorded))) return null;
  // A failure of an operation itself comes with the last one; one that a check found came at some time before.
  let best = OF_CHECKS.has(failure.kind) ? yield* shortestPrefix(recorded, fails, budget) : [...recorded];
  best = yield* related(best, failure, repertoire, fails, budget);
  best = yield* bySubject(best, repertoire, fails, budget);
  best = yield* withoutIdle(best);
  let { items } = yield* ddmin(best, fails, budget);
  const simpler = (operation: Operation): Iterable<Operation> =>
    repertoire.kindOf(operation).simpler?.(operation) ?? [];
  const simplified = (yield* simplify(items, simpler, fails, budget)).items;
  if (simplified.some((operation, i) => operation !== items[i])) ({ items } = yield* ddmin(simplified, fails, budget));
  if (stopped()) return null;
  // The renumbered operations were not tried yet: they are tried, and the result is about them.
  items = yield* withoutIdle(items);
  let operations = renumbered(items, repertoire);
  if (!(yield* fails(operations))) operations = items;
  const minimal = yield* isMinimal(operations, fails, budget);
  const { refused } = yield* courseOf(quiet, operations, repertoire);
  const found = replayer.run(operations) ?? failure;
  const program = printProgram(config, found, operations, repertoire, refused);
  const { kind, id, message } = found;
  return {
    operations,
    program,
    failure: { kind, id, message },
    confirmed: runProgram(program, found, repertoire),
    tries,
    minimal,
  };
}

/** Whether the failure needs each of the operations. */
function* isMinimal(
  operations: readonly Operation[],
  fails: (part: readonly Operation[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<boolean> {
  for (let i = 0; i < operations.length; ++i) {
    if (budget.expired() || (yield* fails(operations.toSpliced(i, 1)))) return false;
  }
  return !budget.expired();
}

/** The first operations that fail: a few tries drop the operations after the one that matters. */
function* shortestPrefix(
  operations: readonly Operation[],
  fails: (part: readonly Operation[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<Operation[]> {
  let passing = 0;
  let failing = operations.length;
  while (failing - passing > 1 && !budget.expired()) {
    const middle = (passing + failing) >> 1;
    if (yield* fails(operations.slice(0, middle))) failing = middle;
    else passing = middle;
  }
  return operations.slice(0, failing);
}

/** What the last operation has to do with, directly or through something between, is tried before anything else. */
function* related(
  operations: Operation[],
  failure: StressFailure,
  repertoire: Repertoire,
  fails: (part: readonly Operation[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<Operation[]> {
  const ids = new Set(repertoire.idsOf(operations.at(-1)!));
  if (typeof failure.details.subject === 'number') ids.add(failure.details.subject);
  for (let round = 0; round < 3 && !budget.expired(); ++round) {
    const part = operations.filter((operation) => repertoire.idsOf(operation).some((id) => ids.has(id)));
    // Objects that others depend on are also needed.
    for (const operation of part) for (const id of repertoire.idsOf(operation)) ids.add(id);
    const closed = operations.filter((operation) => ids.has(operation.id as number) || part.includes(operation));
    if (closed.length < operations.length && closed.length > 0 && (yield* fails(closed))) return closed;
  }
  return operations;
}

/** Leaves out whole things with all that was done to them, while there are many operations. */
function* bySubject(
  operations: Operation[],
  repertoire: Repertoire,
  fails: (part: readonly Operation[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<Operation[]> {
  const subjectOf = (operation: Operation): string => String(repertoire.idsOf(operation)[0] ?? operation.op);
  const subjects = [...new Set(operations.map(subjectOf))];
  if (subjects.length < 3) return operations;
  const part = (kept: string[]): Operation[] => {
    const set = new Set(kept);
    return operations.filter((operation) => set.has(subjectOf(operation)));
  };
  return part((yield* ddmin(subjects, (kept) => fails(part(kept)), budget)).items);
}

/**
 * Gives things the ids 1, 2, 3 in order of appearance, so that the program reads well. What ends a thing repeats arguments
 * of what made it, which may have become simpler since.
 */
function renumbered(operations: readonly Operation[], repertoire: Repertoire): Operation[] {
  const ids = new Map<number, number>();
  const numberOf = (id: number): number => {
    if (id === 0) return 0;
    if (!ids.has(id)) ids.set(id, ids.size + 1);
    return ids.get(id)!;
  };
  const ends = new Map(operations.map((operation) => [operation.id, repertoire.endOf(operation)]));
  const { idArguments, idLists } = repertoire;
  return operations.map((operation) => {
    const copy: Record<string, Operation[string]> = { ...operation };
    const [ended] = repertoire.endedBy(operation);
    const end = ended === undefined ? undefined : ends.get(ended);
    for (const name in end) if (name in copy && end.op === operation.op) copy[name] = end[name];
    for (const name of idArguments) if (name in operation) copy[name] = numberOf(operation[name] as number);
    for (const name of idLists) if (name in operation) copy[name] = (operation[name] as number[]).map(numberOf);
    return copy as Operation;
  });
}
