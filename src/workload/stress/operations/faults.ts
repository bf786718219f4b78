import { FAULT_KINDS } from '../../../core/faults.js';
import type { Kind } from './types.js';

/** Failures strike at most so many allocations later: about what one operation makes. */
const REACH = 12;

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
