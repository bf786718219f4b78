import { FAULT_KINDS, type FaultKind } from '../../core/faults.js';
import type { KindIn, OperationKind } from '../engine/operation.js';
import type { World } from './world.js';

/** Operations on the machine itself, which every run has. */
export interface CommonOperations {
  /** `ms`: milliseconds of virtual time. */
  advance: { ms: number };
  /** The `nth` allocation of a kind from here on fails. */
  fault: { kind: FaultKind; nth: number };
}

type Kind<Name extends keyof CommonOperations> = KindIn<World, CommonOperations, Name>;

/** Failures strike at most so many allocations later: about what one operation makes. */
const REACH = 12;

/** Time passes: flush queues and depots run, requests of the GPU complete, deferred work is done. */
const advance: Kind<'advance'> = {
  name: 'advance',
  generate: (_world, random) => ({ op: 'advance', ms: random.oneIn(20) ? 10 + random.below(100) : random.below(4) }),
  apply: (world, operation) => {
    world.machine.clock.advance(operation.ms);
    return true;
  },
  print: ({ ms }) => [`machine.clock.advance(${ms});`],
  *simpler(operation) {
    if (operation.ms > 0) yield { ...operation, ms: 0 };
  },
};

/** Makes one of the next allocations of a kind fail: no memory where there is nearly always some. */
export const faultOperation: Kind<'fault'> = {
  name: 'fault',
  generate: (_world, random) => ({
    op: 'fault',
    kind: random.pick(FAULT_KINDS),
    nth: 1 + random.below(REACH),
  }),
  apply: (world, { kind, nth }) => {
    world.machine.failAllocation(kind, nth);
    return true;
  },
  print: ({ kind, nth }) => [`machine.failAllocation('${kind}', ${nth});`],
};

export const commonKinds: readonly OperationKind<World>[] = [advance, faultOperation];
