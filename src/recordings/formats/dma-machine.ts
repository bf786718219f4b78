import { drainEvents } from '../../core/events.js';
import { EVENT_IOMMU_MAP, EVENT_IOMMU_UNMAP } from '../../core/generated/constants.js';
import { made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import type { DmaDomain } from '../../dma/dma-domain.js';
import type { DmaHost } from '../../dma/sg-table.js';

/** Shared by the replays of DMA API recordings: their machine, and readers of its state. */

const MEMORY_LIMIT = 0xffff0000;
const EVENT_RING_ORDER = 12;

/** IOVA ranges that the recording machine's host bridge and MSI window take, in pfns. */
export const RESERVED: readonly (readonly [number, number])[] = [
  [0xa0, 0xbf],
  [0x80000, 0xaffff],
  [0xc0000, 0xfebff],
  [0xfee00, 0xfeeff],
  [0x140000, 0x93ffff],
];

/** A bare machine of one CPU. With `events`, everything is recorded; `ram` is frames of memory. */
export function dmaMachine(events: boolean, ram = 1024): DmaHost {
  const core = new Core();
  const context = made(core.exports.machineCreate(MEMORY_LIMIT, 1, ram, 0, 1), 'machine_create', 'machine');
  if (events) core.exports.eventsStart(context, EVENT_RING_ORDER);
  return { core, context };
}

/** An iommu trace event as recordings write it: `m` iova, physical address, size, or `u` iova, size, unmapped. */
export type IommuEvent = ['m', string, string, number] | ['u', string, number, number];

/** The iommu trace events since the last look. */
export function iommuEvents({ core, context }: DmaHost): IommuEvent[] {
  const events: IommuEvent[] = [];
  drainEvents(core, context, ({ kind, a, b, c }) => {
    if (kind === EVENT_IOMMU_MAP) events.push(['m', a.toString(16), b.toString(16), c]);
    if (kind === EVENT_IOMMU_UNMAP) events.push(['u', a.toString(16), c, b]);
  });
  return events;
}

/** A domain's IOVA tree, as [lo, hi] pfns in order. */
export function iovaTree(domain: DmaDomain): [lo: number, hi: number][] {
  const { iovaFoundHi, iovaFoundLo } = domain.host.core.exports;
  const { iovaNextRange } = domain.host.core.tools;
  const ranges: [number, number][] = [];
  for (let more = iovaNextRange(domain.iova, 0); more; ) {
    const hi = iovaFoundHi(domain.iova);
    ranges.push([iovaFoundLo(domain.iova), hi]);
    more = iovaNextRange(domain.iova, hi + 1);
  }
  return ranges;
}
