import type { OperationKind } from './operation.js';
import type { World } from './world.js';

/** Kinds of allocation that can be made to fail, in the order of the core's (assembly/memory/context.ts, FAULT_*). */
export const FAULT_KINDS = ['block', 'slab', 'ram', 'iova', 'page-table', 'sg', 'swiotlb', 'dma-debug', 'gtt'] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

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
    world.armFault(FAULT_KINDS.indexOf(kind as FaultKind), nth as number);
    return true;
  },
  print: ({ kind, nth }) => [`machine.failAllocation('${kind}', ${nth});`],
};
