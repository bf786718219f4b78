import type { MappingPolicy } from '../../i915/policy/policy.js';
import type { StressFailure } from './failure.js';
import { kindOf } from './kinds.js';
import type { Operation } from './operation.js';
import { printProgram } from './print.js';
import type { StressConfig } from './profiles.js';
import { Replayer } from './replayer.js';
import { refusedOperations, StressRun } from './run.js';
import { ddmin, type ShrinkBudget, simplify } from './shrink.js';

/** A failing run, cut down. */
export interface Reproducer {
  /** What must be done, in order, for the failure to happen. */
  operations: Operation[];
  /** The same as a program against the public API, which ends with an error. */
  program: string;
  /** Shorter sequences that were tried. */
  tries: number;
  /** Whether no operation can be left out any more; false when time ran out before. */
  minimal: boolean;
}

/** How long shrinking may take when nothing else was asked for. */
export const SHRINK_SECONDS = 8;
const OF_CHECKS: ReadonlySet<string> = new Set(['structure', 'accounting', 'teardown']);
const MAX_RECORDED = 2_000_000;

/**
 * Finds the shortest sequence it can that fails in the same way.
 * @param step operations after which the run failed
 * @param seconds how long to look for a shorter one
 * @returns null when the failure does not come again, or the run was too long to be recorded
 */
export function reproduce(
  config: StressConfig,
  policy: MappingPolicy | undefined,
  failure: StressFailure,
  step: number,
  seconds = SHRINK_SECONDS,
): Reproducer | null {
  if (step > MAX_RECORDED) return null;
  const recorded: Operation[] = [];
  const again = new StressRun(config, policy);
  again.step(step, (operation) => recorded.push(operation));
  return shrinkOperations(config, policy, failure, recorded, seconds);
}

/** Cuts recorded operations down to the few that lead to the failure; null when they do not lead to it. */
export function shrinkOperations(
  config: StressConfig,
  policy: MappingPolicy | undefined,
  failure: StressFailure,
  recorded: readonly Operation[],
  seconds = SHRINK_SECONDS,
): Reproducer | null {
  const until = performance.now() + seconds * 1000;
  const budget: ShrinkBudget = { tries: Number.POSITIVE_INFINITY, expired: () => performance.now() > until };
  // One check, at the end: what a periodic check would have found is there to be found then.
  const quiet = { ...config, checkEvery: Number.MAX_SAFE_INTEGER };
  const replayer = new Replayer(quiet, policy);
  let tries = 0;
  const fails = (part: readonly Operation[]): boolean => {
    ++tries;
    return failure.same(replayer.run(part));
  };
  if (!fails(recorded)) return null;
  // A failure of an operation itself comes with the last one; one that a check found came at some time before.
  let best = OF_CHECKS.has(failure.kind) ? shortestPrefix(recorded, fails, budget) : [...recorded];
  best = related(best, failure, fails);
  best = bySubject(best, fails, budget);
  let { items, minimal } = ddmin(best, fails, budget);
  const simpler = (operation: Operation): Iterable<Operation> => kindOf(operation).simpler?.(operation) ?? [];
  const simplified = simplify(items, simpler, fails, budget).items;
  if (simplified.some((operation, i) => operation !== items[i]))
    ({ items, minimal } = ddmin(simplified, fails, budget));
  const operations = renumbered(items);
  const refused = refusedOperations(quiet, operations, policy);
  return { operations, program: printProgram(config, failure, operations, refused), tries, minimal };
}

/** The first operations that fail: what comes after the culprit goes in a few tries, as nearly always it does not matter. */
function shortestPrefix(
  operations: readonly Operation[],
  fails: (part: readonly Operation[]) => boolean,
  budget: ShrinkBudget,
): Operation[] {
  let passing = 0;
  let failing = operations.length;
  while (failing - passing > 1 && !budget.expired()) {
    const middle = (passing + failing) >> 1;
    if (fails(operations.slice(0, middle))) failing = middle;
    else passing = middle;
  }
  return operations.slice(0, failing);
}

const ID_ARGUMENTS = ['id', 'bo', 'ctx', 'map', 'range', 'linked'] as const;

/** Ids that an operation mentions. They are unique over all things of a run. */
function idsOf(operation: Operation): number[] {
  const ids = ID_ARGUMENTS.map((name) => operation[name] as number).filter((id) => id > 0);
  return operation.bos ? [...ids, ...(operation.bos as readonly number[])] : ids;
}

/** What the last operation has to do with, directly or through something between, is tried before anything else. */
function related(
  operations: Operation[],
  failure: StressFailure,
  fails: (part: readonly Operation[]) => boolean,
): Operation[] {
  const ids = new Set(idsOf(operations.at(-1)!));
  if (typeof failure.details.subject === 'number') ids.add(failure.details.subject);
  for (let round = 0; round < 3; ++round) {
    const part = operations.filter((operation) => idsOf(operation).some((id) => ids.has(id)));
    // Things are needed, too, that the others are made of.
    for (const operation of part) for (const id of idsOf(operation)) ids.add(id);
    const closed = operations.filter((operation) => ids.has(operation.id as number) || part.includes(operation));
    if (closed.length < operations.length && closed.length > 0 && fails(closed)) return closed;
  }
  return operations;
}

/** Leaves out whole things with all that was done to them, while there are many operations. */
function bySubject(
  operations: Operation[],
  fails: (part: readonly Operation[]) => boolean,
  budget: ShrinkBudget,
): Operation[] {
  const subjectOf = (operation: Operation): string => String(idsOf(operation)[0] ?? operation.op);
  const subjects = [...new Set(operations.map(subjectOf))];
  if (subjects.length < 3) return operations;
  const part = (kept: string[]): Operation[] => {
    const set = new Set(kept);
    return operations.filter((operation) => set.has(subjectOf(operation)));
  };
  return part(ddmin(subjects, (kept) => fails(part(kept)), budget).items);
}

/**
 * Gives things the ids 1, 2, 3 in order of appearance, so that the program reads well. What ends a mapping repeats
 * what made it, which may have become simpler since.
 */
function renumbered(operations: readonly Operation[]): Operation[] {
  const ids = new Map<number, number>();
  const numberOf = (id: number): number => {
    if (id === 0) return 0;
    if (!ids.has(id)) ids.set(id, ids.size + 1);
    return ids.get(id)!;
  };
  const makers = new Map(operations.map((operation) => [operation.id, operation]));
  return operations.map((operation) => {
    const copy: Record<string, Operation[string]> = { ...operation };
    const maker = operation.op.startsWith('un') && makers.get(operation.map);
    if (maker) for (const name of ['length', 'dir'] as const) if (name in maker) copy[name] = maker[name];
    for (const name of ID_ARGUMENTS) if (name in operation) copy[name] = numberOf(operation[name] as number);
    if (operation.bos) copy.bos = (operation.bos as readonly number[]).map(numberOf);
    return copy as Operation;
  });
}
