import { inspect } from 'node:util';
import { GemDmaError } from '../../../src/core/errors.js';
import type { Core } from '../../../src/core/instance.js';
import { CHECKS } from '../../../src/dma-debug/checks.js';
import { anyCall } from './calls.js';
import { Source } from './source.js';
import { CallbackError, type Records, THROWN, World } from './world.js';

/** Whether logs tell objects and arguments: only where the log will be read. */
let detailed = false;

export function setDetailed(on: boolean): void {
  detailed = on;
}

/** Runs sequences of calls and holds both machines against what must be true after each. */

const FINDINGS: ReadonlySet<string | undefined> = new Set(CHECKS.map(({ id }) => id as string));

/**
 * Steps on two new machines, each a list of numbers that decide everything. Throws what is wrong.
 * @param step called before each, with its number
 */
export function runSteps(
  core: () => Core,
  steps: readonly (readonly number[])[],
  step?: (n: number) => void,
  entered?: (name: string) => void,
  names?: readonly string[],
): void {
  const world = new World(core, new Source(steps[0] ?? []));
  world.entered = entered;
  world.names = names;
  try {
    run(world, steps, step);
  } catch (error) {
    if (error instanceof Error) Object.assign(error, { calls: world.log });
    throw error;
  }
}

/** Every n-th step is followed by a check of both machines, and the last; each when a failure is run again. */
let interval = 1;

export function setCheckInterval(n: number): void {
  interval = n;
}

function run(world: World, steps: readonly (readonly number[])[], step?: (n: number) => void): void {
  for (let i = 1; i < steps.length; ++i) {
    step?.(i);
    const before = world.records();
    const held = world.pagesHeld();
    world.reentered = false;
    world.callsBack = 0;
    let thrown: unknown;
    const source = new Source(steps[i]);
    try {
      anyCall(world, source);
    } catch (error) {
      thrown = error;
      world.log.push(`  ${String(error)}`);
      if (!documented(error)) throw error;
    }
    if (detailed)
      world.log.push(
        `  chose ${source.chosen.map((one) => inspect(one, { depth: 0, compact: true, breakLength: 1000 })).join(', ')}`,
      );
    if (i % interval === 0) world.check();
    const refused = thrown !== undefined && !world.reentered && refusal(thrown);
    if (refused && world.pagesHeld() === held && !explained(before, world.records(), world.byDriver && thrown)) {
      throw new Error(`${before} records before a call that was refused, ${world.records()} after it`, {
        cause: thrown,
      });
    }
  }
  step?.(steps.length);
  world.end();
}

// A driver that refuses may have given something back before: attach_phys has unbound the object, and finds its pages pinned.
function explained(before: Records, after: Records, byDriver: unknown): boolean {
  return before.every((n, i) => n === after[i] || (byDriver instanceof GemDmaError && after[i]! < n!));
}

// Whether a call was refused before it did anything. A finding that is thrown comes after the call's own effects; where
// memory ran out, what was mapped and unmapped again waits in the caches of the IOVA allocator. An object that was refused
// a place in an address space keeps the pages that it got for it.
function refusal(error: unknown): boolean {
  // What a hook returned is looked at after it has run.
  if (!(error instanceof GemDmaError)) return (error as { code?: string }).code !== 'ERR_INVALID_RETURN_VALUE';
  return !FINDINGS.has(error.reason) && !['ENOMEM', 'ENOSPC', 'E2BIG', 'EFAULT'].includes(error.code);
}

function documented(error: unknown): boolean {
  if (error instanceof GemDmaError || error instanceof CallbackError || error === THROWN) return true;
  if (!(error instanceof TypeError || error instanceof RangeError)) return false;
  // What the engine itself says of a BigInt, a Symbol, or an object without toString has no code.
  return typeof (error as { code?: unknown }).code === 'string' || /BigInt|Symbol|primitive value/.test(error.message);
}
