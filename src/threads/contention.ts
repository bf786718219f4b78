import type { Machine } from '../machine/machine.js';

/** What locks guard, in the order of the core's kinds (assembly/contention.ts). */
const KINDS = ['blocks', 'slabs', 'ram', 'iova', 'iommu', 'checker'] as const;

/** Acquisitions that found a lock held, since the machine was made, by what the lock guards. */
export type Contention = Record<(typeof KINDS)[number], number>;

export function contention(machine: Machine): Contention {
  const { lockContention } = machine.core.tools;
  return Object.fromEntries(
    KINDS.map((name, kind) => [name, lockContention(machine.context, kind) >>> 0]),
  ) as Contention;
}
