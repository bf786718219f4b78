import { checkInteger, GemDmaError, outOfRange } from '../core/errors.js';
import { reasonName } from '../core/reasons.js';
import { type IovaStats, iovaStats } from '../iova/domain.js';
import type { IovaModel } from '../iova/models.js';
import type { DmaDevice } from './device.js';
import type { DmaHost } from './sg-table.js';

/**
 * A translating domain with what the DMA API keeps for it: VT-d tables, IOVA allocator, flush queue (struct iommu_domain with
 * its iommu_dma_cookie; assembly/dma/cookie.ts). Devices are attached to it, one or several.
 */

export interface DomainOptions {
  /** Strict: an unmapped range is flushed and free at once. Lazy: after a flush for many. Default strict. */
  mode?: 'strict' | 'lazy';
  /** Levels of the second-stage tables: 39, 48 or 57 bits of address. Default 4. */
  levels?: 3 | 4 | 5;
  /** Bits of an IOVA, at most what the levels give, which is the default. */
  width?: number;
  /** Page sizes of leaves, as iommu_domain.pgsize_bitmap: 0x1000, 0x201000 or 0x40201000, the default. */
  pageSizes?: number;
  /** Which allocator hands out ranges. Default `rcache`, that of Linux 6.12 with its magazines. */
  allocator?: IovaModel;
  /** Ranges that are never handed out, [first, last] pfns: bridge windows, the MSI range. Default none. */
  reserved?: readonly (readonly [number, number])[];
  /** A lazy domain's flush queue: places of a CPU's ring, a power of two, and how long a range waits. Default 256, 10 ms. */
  flushQueue?: { entries?: number; milliseconds?: number };
  /** Lists become as few segments as the device allows; otherwise each entry is one, as in 2015. Default true. */
  mergeSegments?: boolean;
  /** Unmapping ends the whole range that holds the address, as in 2015, not the size given. Default false. */
  unmapWholeRange?: boolean;
  /** A device with more than 32 bits tries below 4 GiB every time, as in 2015, not until it failed once. Default false. */
  retryBelow4GiB?: boolean;
  /** Lazy unmaps wait on one list of 250 for the whole machine, as in 2015, not in rings. Default false. */
  deferredList?: boolean;
  /** A mapping that the device may write it may read, too, as 6.12 has it. Default true. */
  writeImpliesRead?: boolean;
}

const LAZY = 1;
const MAP_ENTRIES = 2;
const UNMAP_RANGE = 4;
const RETRY_32BIT = 8;
const DEFERRED_LIST = 16;
const TREE_ONLY = 32;

const WRITE_IMPLIES_READ = 1;
const UNMAP_EXACT = 4;

/** Allocator models of assembly/iova/domain.ts, and the 32-bit line as each has it. */
const MODELS: Readonly<Record<IovaModel, { model: number; line: number }>> = {
  'linux-4.2': { model: 1, line: 0xfffff },
  'linux-6.12': { model: 2, line: 0x100000 },
  rcache: { model: 0x102, line: 0x100000 },
  fast: { model: 3, line: 0x100000 },
};

const NS_PER_MS = 1e6;
const MAX_PFN = 2 ** 52 - 1;

export class DmaDomain {
  readonly host: DmaHost;
  readonly lazy: boolean;
  private record: number;

  /** Makes a domain. Throws ERR_OUT_OF_RANGE for a shape that cannot be, GemDmaError ENOMEM. */
  constructor(host: DmaHost, options: DomainOptions = {}) {
    this.host = host;
    this.lazy = options.mode === 'lazy';
    const levels = checkInteger('levels', options.levels ?? 4, 3, 5);
    const width = checkInteger('width', options.width ?? 0, 0, 12 + 9 * levels);
    const pageSizes = options.pageSizes ?? 0x40201000;
    if (![0x1000, 0x201000, 0x40201000].includes(pageSizes)) {
      throw outOfRange('pageSizes', '0x1000, 0x201000 or 0x40201000', pageSizes);
    }
    const entries = checkInteger('flushQueue.entries', options.flushQueue?.entries ?? 256, 2, 65536);
    const deferred = options.deferredList === true;
    if (!deferred && (entries & (entries - 1)) !== 0) {
      throw outOfRange('flushQueue.entries', 'a power of two', entries);
    }
    const milliseconds = checkInteger('flushQueue.milliseconds', options.flushQueue?.milliseconds ?? 10, 1, 1e6);
    const allocator = options.allocator ?? 'rcache';
    const { model, line } = MODELS[allocator];
    const flags =
      (this.lazy ? LAZY : 0) |
      (options.mergeSegments === false ? MAP_ENTRIES : 0) |
      (options.unmapWholeRange ? UNMAP_RANGE : 0) |
      (options.retryBelow4GiB ? RETRY_32BIT : 0) |
      (deferred ? DEFERRED_LIST : 0) |
      (allocator === 'linux-4.2' ? TREE_ONLY : 0);
    const tables =
      (options.writeImpliesRead === false ? 0 : WRITE_IMPLIES_READ) | (options.unmapWholeRange ? UNMAP_EXACT : 0);
    const ns = milliseconds * NS_PER_MS;
    const { exports } = host.core;
    this.record = exports.cookieCreate(host.context, levels, width, pageSizes, tables, model, line, flags, entries, ns);
    if (this.record === 0) throw new GemDmaError('ENOMEM', 'iommu_domain_alloc', 'no memory for an IOMMU domain');
    try {
      for (const [first, last] of options.reserved ?? []) this.reserve(first, last);
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  /** Handle of the cookie in the core; 0 after destroy. */
  get handle(): number {
    return this.record;
  }

  /** Handle of the domain's tables in the core, for dumps and counters. */
  get tables(): number {
    return this.host.core.exports.cookieIommu(this.record);
  }

  /** Handle of the domain's IOVA allocator in the core. */
  get iova(): number {
    return this.host.core.exports.cookieIova(this.record);
  }

  /** Ranges and free pages of the allocator up to a pfn; default: below 4 GiB. */
  iovaStats(limit = 0xfffff): IovaStats {
    return iovaStats(this.host.core, this.iova, limit);
  }

  /** Keeps the pfns from first to last from being handed out. Throws ENOMEM. */
  reserve(first: number, last: number): void {
    checkInteger('first', first, 0, MAX_PFN);
    checkInteger('last', last, first, MAX_PFN);
    if (!this.host.core.exports.cookieReserve(this.record, first, last)) {
      throw new GemDmaError(
        'ENOMEM',
        'reserve_iova',
        `no memory to reserve pfns 0x${first.toString(16)} to 0x${last.toString(16)}`,
      );
    }
  }

  /** Attaches a device: from now on its mappings go through this domain. Throws EEXIST when it is attached, ENOMEM. */
  attach(device: DmaDevice): void {
    const rc = this.host.core.exports.cookieAttach(this.record, device.handle);
    if (rc === 0) return;
    const reason = reasonName(this.host.core.exports.lastReason(this.host.context));
    if (rc === -17) throw new GemDmaError('EEXIST', 'iommu_attach_device', `device ${device.id} has a domain already`);
    if (rc === -16) {
      throw new GemDmaError('EBUSY', 'iommu_attach_device', `the requester id of device ${device.id} is another's`);
    }
    throw new GemDmaError(
      rc === -12 ? 'ENOMEM' : 'EINVAL',
      'iommu_attach_device',
      `device ${device.id} cannot be attached`,
      { reason },
    );
  }

  /** Ranges that are unmapped but wait for a flush. */
  get pending(): number {
    const { cookieQueue } = this.host.core.exports;
    const { deferredPending, flushQueuePending } = this.host.core.tools;
    const queue = cookieQueue(this.record);
    return queue === 0 ? deferredPending(this.host.context) : flushQueuePending(queue);
  }

  /** Flushes of the queue so far, by cause. */
  get flushes(): { full: number; timer: number } {
    const { cookieQueue } = this.host.core.exports;
    const { flushQueueFullFlushes, flushQueueTimerFlushes } = this.host.core.tools;
    const queue = cookieQueue(this.record);
    return queue === 0
      ? { full: 0, timer: 0 }
      : { full: flushQueueFullFlushes(queue), timer: flushQueueTimerFlushes(queue) };
  }

  /** Flushes what waits at once. */
  flush(): void {
    const { cookieQueue, deferredFlush, flushQueueFlush } = this.host.core.exports;
    const queue = cookieQueue(this.record);
    if (queue !== 0) flushQueueFlush(queue);
    else if (this.lazy) deferredFlush(this.host.context);
  }

  /** Frees the domain with its tables and ranges. Throws EBUSY while a device is attached. */
  destroy(): void {
    if (this.record === 0) return;
    if (this.host.core.exports.cookieDestroy(this.record) < 0) {
      throw new GemDmaError('EBUSY', 'iommu_domain_free', 'devices are still attached to the domain');
    }
    this.record = 0;
  }
}
