import { badValue, checkInteger, invalidType } from '../../core/errors.js';
import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { EVENT, type EventNumber, NO_CPU, ROW, type TraceBatch } from '../batches/batch.js';
import type { LiveMappings } from './live.js';
import { type AddressEvent, addressText, seconds } from './result.js';

const MAX_HISTORY = 10_000;

/** How the history of an address calls events. */
const EVENT_LABELS: Partial<Record<EventNumber, string>> = {
  ...{ [EVENT.IOMMU_MAP]: 'iommu:map', [EVENT.IOMMU_UNMAP]: 'iommu:unmap', [EVENT.MAP_PAGE]: 'dma_map_page' },
  ...{ [EVENT.UNMAP_PAGE]: 'dma_unmap_page', [EVENT.MAP_RESOURCE]: 'dma_map_resource', [EVENT.FREE]: 'dma_free' },
  ...{
    [EVENT.UNMAP_RESOURCE]: 'dma_unmap_resource',
    [EVENT.ALLOC]: 'dma_alloc',
    [EVENT.ALLOC_PAGES]: 'dma_alloc_pages',
  },
  ...{ [EVENT.FREE_PAGES]: 'dma_free_pages', [EVENT.ALLOC_SGT]: 'dma_alloc_sgt', [EVENT.FREE_SGT]: 'dma_free_sgt' },
  ...{
    [EVENT.MAP_SG]: 'dma_map_sg',
    [EVENT.UNMAP_SG]: 'dma_unmap_sg',
    [EVENT.FAULT]: 'fault',
    [EVENT.DMA_DEBUG]: 'dma-debug',
  },
  ...{ [EVENT.DUMP]: 'dma-api/dump', [EVENT.BOUNCED]: 'swiotlb_bounced' },
};

/** Every event that touches one device address. */
export class AddressHistory {
  readonly events: AddressEvent[] = [];
  count = 0;
  private readonly page: number;
  private readonly live: LiveMappings;
  private readonly strings: { get(number: number): string };

  /** @throws TypeError if the text is not an address in hexadecimal digits */
  constructor(at: string | number, live: LiveMappings, strings: { get(number: number): string }) {
    this.page = pageOf(at);
    this.live = live;
    this.strings = strings;
  }

  /** Looks whether an event touches the address. `device` and `names` are the audit's numbers of strings. */
  add(kind: EventNumber, batch: TraceBatch, row: number, names: Uint32Array, device: number): void {
    if ((batch.flags[row] & ROW.ADDRESS) === 0 && kind !== EVENT.UNMAP_SG) return;
    const { page } = this;
    let first = batch.page[row];
    let pages = Math.max(1, Math.ceil((batch.offset[row] + batch.size[row]) / PAGE));
    if (kind === EVENT.UNMAP_SG && (batch.flags[row] & ROW.ADDRESS) === 0) {
      // The list's address is that of its mapping.
      const node = this.live.firstList(batch.values[batch.list[row]]);
      if (node < 0) return;
      const record = this.live.recordOfList(node);
      if (this.live.device[record] !== device || !this.live.covers(record, page)) return;
      first = this.live.page[record];
      pages = Math.ceil((this.live.offset[record] + this.live.span[record]) / PAGE);
    }
    const segments = batch.segments[row];
    let inside = page >= first && page < first + pages;
    for (let i = 0; i < segments && segments > 1 && !inside; ++i) {
      const at = batch.list[row] + batch.entries[row] + i;
      const start = batch.values[at];
      inside = page >= Math.floor(start / PAGE) && page < Math.ceil((start + batch.values[at + segments]) / PAGE);
    }
    if (!inside) return;
    ++this.count;
    if (this.events.length >= MAX_HISTORY) return;
    this.events.push({
      ...{ time: seconds(batch.time[row]), what: EVENT_LABELS[kind] ?? String(kind), device: this.strings.get(device) },
      ...{
        address: addressText(first, batch.offset[row]),
        size: batch.size[row],
        task: this.strings.get(names[batch.task[row]]),
      },
      cpu: batch.cpu[row] === NO_CPU ? null : batch.cpu[row],
    });
  }
}

function pageOf(at: string | number): number {
  if (typeof at === 'number') return Math.floor(checkInteger('at', at, 0, Number.MAX_SAFE_INTEGER) / PAGE);
  if (typeof at !== 'string') throw invalidType('at', 'an address: a number, or hexadecimal digits', at);
  const digits = at.trim().replace(/^0x/i, '');
  if (!/^[0-9a-f]{1,16}$/i.test(digits)) throw badValue(`at: '${at}' is no address in hexadecimal digits`);
  return Number.parseInt(digits.slice(0, -3) || '0', 16);
}
