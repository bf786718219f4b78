import { FAULT_KINDS, type FaultKind } from '../../core/faults.js';
import type { OperationKind } from './operation.js';
import type { World } from './world.js';

/** Failures strike at most so many allocations later: about what one operation makes. */
const REACH = 12;

/** Makes one of the next allocations of a kind fail: no memory where there is nearly always some. */
export const faultOperation: OperationKind<World> = {
  name: 'fault',
  generate: (_world, random) => ({
    op: 'fault',
    kind: random.pick(FAULT_KINDS),
    nth: 1 + random.below(REACH),
  }),
  apply: (world, { kind, nth }) => {
    world.machine.failAllocation(kind as FaultKind, nth as number);
    return true;
  },
  print: ({ kind, nth }) => [`machine.failAllocation('${kind}', ${nth});`],
};
