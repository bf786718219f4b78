import { hostTimeline } from '../core/arguments.js';
import {
  LOCKS_BLOCKS,
  LOCKS_DMA_DEBUG,
  LOCKS_IOMMU,
  LOCKS_IOVA,
  LOCKS_RAM,
  LOCKS_SLABS,
} from '../core/generated/constants.js';
import type { BaseMachine } from '../machine/machine.js';

/** What locks guard. */
export type LockKind = 'blocks' | 'slabs' | 'ram' | 'iova' | 'iommu' | 'dmaDebug';

/** What locks guard, with the core's number of each kind. */
const KINDS: Readonly<Record<LockKind, number>> = {
  blocks: LOCKS_BLOCKS,
  slabs: LOCKS_SLABS,
  ram: LOCKS_RAM,
  iova: LOCKS_IOVA,
  iommu: LOCKS_IOMMU,
  dmaDebug: LOCKS_DMA_DEBUG,
};

/** Acquisitions that found a lock held, since the machine was made, by what the lock guards. */
export type Contention = Record<LockKind, number>;

/** How often each kind of lock of a machine was found held, since the machine was made. */
export function contention(machine: BaseMachine): Contention {
  hostTimeline(machine, 'contention');
  const { lockContention } = machine.core.tools;
  return Object.fromEntries(
    Object.entries(KINDS).map(([name, kind]) => [name, lockContention(machine.context, kind) >>> 0]),
  ) as Contention;
}
