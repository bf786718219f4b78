import { PAGE_SIZE } from '../../core/generated/constants.js';
import { PageIndex } from './page-index.js';

/** Live mappings as columns with a free list, indexed by the page of their address, lists by their first entry. */

/** What a mapping is: how it was made decides how it must be ended. */
export const MAPPING = { PAGE: 0, SG: 1, COHERENT: 2, RESOURCE: 3, IOMMU: 4 } as const;
export const MAPPING_NAMES: readonly string[] = ['page', 'sg', 'coherent', 'resource', 'iommu'];

/** States of a record. */
export const STATE = {
  FREE: 0,
  LIVE: 1,
  /** iommu:unmap was seen, the event of the DMA API for the same unmap comes after it. */
  CLOSING: 2,
} as const;

export class LiveMappings {
  /** Records that are or were in use: for walks over all of them. */
  used = 0;
  count = 0;
  state: Uint8Array = new Uint8Array(1024);
  kind: Uint8Array = new Uint8Array(1024);
  direction: Uint8Array = new Uint8Array(1024);
  device: Uint32Array = new Uint32Array(1024);
  task: Uint32Array = new Uint32Array(1024);
  page: Float64Array = new Float64Array(1024);
  offset: Uint16Array = new Uint16Array(1024);
  /** Bytes that the driver asked for, and bytes from the first address to the last. */
  size: Float64Array = new Float64Array(1024);
  span: Float64Array = new Float64Array(1024);
  physical: Float64Array = new Float64Array(1024);
  time: Float64Array = new Float64Array(1024);
  closed: Float64Array = new Float64Array(1024);
  /** Group of the overtaken rule, and how many of it are older. */
  group: Uint32Array = new Uint32Array(1024);
  rank: Float64Array = new Float64Array(1024);
  entries: Uint32Array = new Uint32Array(1024);
  /** Physical entries and segments of lists with more than one of either, as in a batch. */
  readonly lists = new Map<number, { values: Float64Array; entries: number; segments: number }>();
  private free: Int32Array = new Int32Array(1024);
  private freeCount = 0;
  private readonly byPage = new PageIndex();
  private readonly byList = new PageIndex();

  add(): number {
    ++this.count;
    if (this.freeCount > 0) return this.free[--this.freeCount];
    if (this.used === this.state.length) this.grow();
    return this.used++;
  }

  /** Makes a record that is filled findable. */
  enter(record: number): void {
    this.state[record] = STATE.LIVE;
    this.byPage.add(this.page[record], record);
    if (this.kind[record] === MAPPING.SG) this.byList.add(this.listKey(record), record);
  }

  remove(record: number): void {
    this.byPage.remove(this.page[record], record);
    if (this.kind[record] === MAPPING.SG) this.byList.remove(this.listKey(record), record);
    if (this.lists.size > 0) this.lists.delete(record);
    this.state[record] = STATE.FREE;
    this.free[this.freeCount++] = record;
    --this.count;
  }

  private listKey(record: number): number {
    return listKey(this.physical[record]);
  }

  /** Records whose address lies in a page, newest first. */
  firstAt(page: number): number {
    return this.byPage.first(page);
  }

  nextAt(node: number): number {
    return this.byPage.next(node);
  }

  recordAt(node: number): number {
    return this.byPage.value(node);
  }

  /** Lists whose first entry is at a physical address. */
  firstList(physical: number): number {
    return this.byList.first(listKey(physical));
  }

  nextList(node: number): number {
    return this.byList.next(node);
  }

  recordOfList(node: number): number {
    return this.byList.value(node);
  }

  /** Whether a device address lies in a record, by pages. */
  covers(record: number, page: number): boolean {
    const first = this.page[record];
    const list = this.lists.get(record);
    if (list === undefined || list.segments < 2) {
      return (
        page >= first && page < first + Math.max(1, Math.ceil((this.offset[record] + this.span[record]) / PAGE_SIZE))
      );
    }
    for (let i = 0; i < list.segments; ++i) {
      const start = list.values[list.entries + i];
      const end = start + list.values[list.entries + list.segments + i];
      if (page >= Math.floor(start / PAGE_SIZE) && page < Math.ceil(end / PAGE_SIZE)) return true;
    }
    return false;
  }

  private grow(): void {
    const size = this.state.length * 2;
    const grown = <T extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(
      from: T,
      into: T,
    ): T => {
      into.set(from);
      return into;
    };
    this.state = grown(this.state, new Uint8Array(size));
    this.kind = grown(this.kind, new Uint8Array(size));
    this.direction = grown(this.direction, new Uint8Array(size));
    this.device = grown(this.device, new Uint32Array(size));
    this.task = grown(this.task, new Uint32Array(size));
    this.page = grown(this.page, new Float64Array(size));
    this.offset = grown(this.offset, new Uint16Array(size));
    this.size = grown(this.size, new Float64Array(size));
    this.span = grown(this.span, new Float64Array(size));
    this.physical = grown(this.physical, new Float64Array(size));
    this.time = grown(this.time, new Float64Array(size));
    this.closed = grown(this.closed, new Float64Array(size));
    this.group = grown(this.group, new Uint32Array(size));
    this.rank = grown(this.rank, new Float64Array(size));
    this.entries = grown(this.entries, new Uint32Array(size));
    this.free = grown(this.free, new Int32Array(size));
  }
}

/** Distinguishes entries within a page as well: half pages are mapped by network drivers. */
function listKey(physical: number): number {
  return Number.isNaN(physical) ? -1 : physical;
}
