import { checkBoolean, checkOptions, hostTimeline, oneOf, readList } from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType, outOfRange } from '../core/errors.js';
import {
  COOKIE_DEFERRED_LIST,
  COOKIE_LAZY,
  COOKIE_MAP_ENTRIES,
  COOKIE_NO_MIN_ALIGN,
  COOKIE_RETRY_32BIT,
  COOKIE_TREE_ONLY,
  COOKIE_UNMAP_RANGE,
  MAGAZINE_PFNS,
  PAGE_SIZE,
} from '../core/generated/constants.js';
import type { FlushQueueHandle, IommuDomainHandle, IovaDomainHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { held } from '../core/handle.js';
import { Life, type Timeline } from '../core/life.js';
import type { FormatOptions } from '../iommu-formats/format.js';
import { FORMAT_OPTIONS, formatOf, type IommuLevels, readFormatOptions, readShape } from '../iommu-formats/index.js';
import {
  ALLOCATOR_NAMES,
  ALLOCATORS,
  type AllocatorName,
  DEFAULT_DMA_ALLOCATOR,
  ruleFlags,
} from '../iova/allocators.js';
import { type IovaStats, iovaStats } from '../iova/iova-domain.js';
import type { DmaDevice } from './device.js';
import type { ReservedRegion } from './device-options.js';
import type { DmaHost } from './sg-table.js';
import { StreamingDevice } from './streaming-device.js';

/**
 * A translating domain with what the DMA API keeps for it: tables of its format, IOVA allocator, flush queue (struct iommu_domain with
 * its iommu_dma_cookie; assembly/iommu/cookie.ts). Devices are attached to it, one or several.
 */

export interface DomainOptions extends FormatOptions {
  /** Strict: an unmapped range is flushed and free at once. Lazy: after a flush for many. Default strict. */
  mode?: 'strict' | 'lazy';
  /** Levels of VT-d's second-stage tables: 39, 48 or 57 bits of address. Default 4. AMD's begin with 3 and grow. */
  levels?: IommuLevels;
  /** Bits of an IOVA, from 21 to what the levels give, which is the default; with five levels 53, the most a double holds. */
  width?: number;
  /**
   * Page sizes of leaves, as iommu_domain.pgsize_bitmap. VT-d: 0x1000, 0x201000 or 0x40201000, the default. AMD: any that have
   * 4 KiB; default all that there are.
   */
  pageSizes?: number;
  /** Which allocator hands out ranges. Default `rcache`, that of Linux 6.12 with its magazines. */
  allocator?: AllocatorName;
  /** pfns that a magazine of `rcache` holds, 1 to 127. Default 127, the kernel's IOVA_MAG_SIZE. */
  magazine?: number;
  /** Ranges that the allocator never returns, [first, last] pfns: bridge windows, the MSI range. Default none. */
  reserved?: readonly (readonly [number, number])[];
  /** A lazy domain's flush queue (struct iova_fq in drivers/iommu/dma-iommu.c). */
  flushQueue?: {
    /** Places of a CPU's ring, a power of two. Default 256. */
    entries?: number;
    /** How long an unmapped range waits at most, of virtual time. Default 10. */
    milliseconds?: number;
  };
  /** Entries of a list are merged into as few segments as the device allows; otherwise each entry is one, as in 4.2. Default true. */
  mergeSegments?: boolean;
  /** Unmapping ends the whole range that holds the address, as in 4.2, not the given size. Default false. */
  unmapWholeRange?: boolean;
  /**
   * A device with more than 32 bits tries below 4 GiB at every mapping, as in 4.2; otherwise until that has failed once. Default false.
   */
  retryBelow4GiB?: boolean;
  /** Lazy unmaps wait on one list of 250 for the whole machine, as in 4.2, not in rings. Default false. */
  deferredList?: boolean;
  /** Mappings fail for a device whose minAlignMask is larger than the IOMMU's page. Default true. */
  minAlignMask?: boolean;
}

/** The last pfn below 4 GiB. */
const LAST_32BIT = 2 ** 32 / PAGE_SIZE - 1;

const NS_PER_MS = 1e6;
const MAX_PFN = 2 ** 52 - 1;

const OPTIONS: readonly (keyof DomainOptions)[] = [
  'mode',
  'levels',
  'width',
  'pageSizes',
  'allocator',
  'reserved',
  'magazine',
  'flushQueue',
  'mergeSegments',
  'unmapWholeRange',
  'retryBelow4GiB',
  'deferredList',
  ...FORMAT_OPTIONS,
  'minAlignMask',
];

/** An I/O address space: its page tables, and the allocator of its addresses (struct iommu_domain with its DMA cookie). */
export class DmaDomain {
  static {
    guard(DmaDomain, (one) => #life in one);
  }

  /** @internal */
  readonly host: DmaHost;
  /** Whether unmapped ranges wait for a flush of many. */
  readonly lazy: boolean;
  /** Which allocator hands out the domain's ranges. */
  readonly allocator: AllocatorName;
  readonly #record: IommuDomainHandle;
  readonly #life: Life;

  /** Makes a domain. @throws TypeError or RangeError naming the option at fault, GemDmaError ENOMEM */
  constructor(host: DmaHost, options: DomainOptions = {}) {
    const given = checkOptions('options', options, OPTIONS);
    const flushQueue = checkOptions('flushQueue', given.flushQueue ?? {}, ['entries', 'milliseconds']);
    const reserved = readList('reserved', given.reserved ?? [], [0, MAX_PFN], readRange);
    const timeline = hostTimeline(host, 'iommu_domain_alloc');
    this.host = host;
    this.lazy = oneOf('mode', given.mode ?? 'strict', ['strict', 'lazy']) === 'lazy';
    const format = formatOf(host.core.exports.iommuFormat(host.context));
    const { levels, width, pageSizes } = readShape(format, given);
    const entries = checkInteger('flushQueue.entries', flushQueue.entries ?? 256, 2, 65536);
    const deferred = checkBoolean('deferredList', given.deferredList, false);
    if (!deferred && (entries & (entries - 1)) !== 0) {
      throw outOfRange('flushQueue.entries', 'a power of two', entries);
    }
    const milliseconds = checkInteger('flushQueue.milliseconds', flushQueue.milliseconds ?? 10, 1, 1e6);
    const magazine = checkInteger('magazine', given.magazine ?? MAGAZINE_PFNS, 1, MAGAZINE_PFNS);
    const allocator = given.allocator ?? DEFAULT_DMA_ALLOCATOR;
    this.allocator = allocator;
    const rules = ALLOCATORS[oneOf('allocator', allocator, ALLOCATOR_NAMES)];
    const { lineBelow, fastPath } = rules;
    // The 32-bit limit is the last pfn below 4 GiB in some kernels, the first above in others.
    const line = lineBelow ? LAST_32BIT : LAST_32BIT + 1;
    const exact = checkBoolean('unmapWholeRange', given.unmapWholeRange, false);
    const flags =
      (this.lazy ? COOKIE_LAZY : 0) |
      (checkBoolean('mergeSegments', given.mergeSegments, true) ? 0 : COOKIE_MAP_ENTRIES) |
      (exact ? COOKIE_UNMAP_RANGE : 0) |
      (checkBoolean('retryBelow4GiB', given.retryBelow4GiB, false) ? COOKIE_RETRY_32BIT : 0) |
      (deferred ? COOKIE_DEFERRED_LIST : 0) |
      (checkBoolean('minAlignMask', given.minAlignMask, true) ? 0 : COOKIE_NO_MIN_ALIGN) |
      (fastPath ? 0 : COOKIE_TREE_ONLY);
    const tables = format.domainFlags(readFormatOptions(format, given), exact);
    const ns = milliseconds * NS_PER_MS;
    const { exports } = host.core;
    const record = exports.dmaDomainCreate(
      host.context,
      levels,
      width,
      pageSizes,
      tables,
      ruleFlags(rules),
      line,
      flags,
      entries,
      ns,
    );
    if (record === 0) throw new GemDmaError('ENOMEM', 'iommu_domain_alloc', 'no memory for an IOMMU domain');
    this.#record = record;
    this.#life = new Life(timeline, 'domain');
    if (magazine !== MAGAZINE_PFNS) exports.iovaSetMagazine(this.iova, magazine);
    try {
      for (const [first, last] of reserved) this.reserve(first, last);
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  #enter(call: string): IommuDomainHandle {
    this.#life.enter(call);
    return this.#record;
  }

  /**
   * @internal The record of a domain that a call takes beside an object that has entered.
   * @throws ERR_INVALID_ARG_TYPE if the argument is not a domain; GemDmaError EXDEV, ESTALE, ENODEV
   */
  static recordFor(domain: DmaDomain, user: Life, call: string): IommuDomainHandle {
    user.join(DmaDomain.lifeOf(domain), call);
    return domain.#record;
  }

  /** @internal Throws unless it is a live domain of the machine whose time line this is. Errors as recordFor. */
  static check(domain: DmaDomain, timeline: Timeline, call: string): void {
    DmaDomain.lifeOf(domain).enterIn(timeline, call);
  }

  private static lifeOf(domain: DmaDomain): Life {
    if (typeof domain !== 'object' || domain === null || !(#life in domain)) {
      throw invalidType('domain', 'a DmaDomain', domain);
    }
    return domain.#life;
  }

  /** Whether it can be used: it was not destroyed, and no restore went back to a time before it was made. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** @internal Handle of the domain in the core. Throws for a domain that is dead. */
  get handle(): IommuDomainHandle {
    return this.#enter('iommu_domain');
  }

  /** @internal Handle of the domain's IOVA allocator in the core. */
  get iova(): IovaDomainHandle {
    return held(this.host.core.exports.domainIova(this.#enter('iommu_domain')));
  }

  /** Ranges and free pages of the allocator up to a pfn; default: below 4 GiB. */
  iovaStats(limit = 0xfffff): IovaStats {
    return iovaStats(this.host.core, this.iova, limit);
  }

  /** Reserves the pfns from first to last: the allocator never returns them. Throws ENOMEM. */
  reserve(first: number, last: number): void {
    readRange([first, last]);
    if (!this.host.core.exports.iovaReserveRange(this.iova, first, last)) {
      throw new GemDmaError(
        'ENOMEM',
        'reserve_iova',
        `no memory to reserve pfns 0x${first.toString(16)} to 0x${last.toString(16)}`,
      );
    }
  }

  /**
   * Puts a range into the magazine of the current CPU, as if it had been mapped and unmapped there. For replays of traces that begin
   * in the middle. The range that was put in last is returned first.
   * @param pages its size; ranges of up to 32 pages are cached in classes by powers of two
   * @throws GemDmaError EEXIST when a part of it is taken, ENOMEM, EINVAL for an allocator without magazines or a size without
   *   a class
   */
  cacheRange(pfn: number, pages: number): void {
    const call = 'free_iova_fast';
    checkInteger('pfn', pfn, 1, MAX_PFN);
    checkInteger('pages', pages, 1, MAX_PFN);
    const order = Math.ceil(Math.log2(pages));
    if (!ALLOCATORS[this.allocator].magazines || order > 5) {
      throw new GemDmaError('EINVAL', call, `no magazine takes ${pages} pages of this domain`);
    }
    this.claimRange(pfn, 2 ** order, call);
    this.host.core.exports.iovaReleaseFast(this.iova, pfn, 2 ** order);
  }

  /**
   * @internal Takes exactly these pages of the address space.
   * @throws GemDmaError EEXIST when a part of it is taken, ENOMEM
   */
  claimRange(pfn: number, pages: number, call: string): void {
    const iova = this.#enter(call) && this.iova;
    const { core } = this.host;
    if (core.tools.iovaNextRange(iova, pfn) && core.exports.iovaFoundLo(iova) < pfn + pages) {
      throw new GemDmaError('EEXIST', call, `a part of the ${pages} pages at pfn 0x${pfn.toString(16)} is taken`);
    }
    if (core.exports.iovaReserveRange(iova, pfn, pfn + pages - 1)) return;
    throw new GemDmaError('ENOMEM', call, 'no memory for the record of a range');
  }

  /** Attaches a device: from now on its mappings go through this domain. Errors as DmaDevice.attach. */
  attach(device: DmaDevice): void {
    this.#enter('iommu_attach_device');
    StreamingDevice.recordFor(device, this.#life, 'iommu_attach_device');
    device.attach(this);
  }

  /** Ranges that are unmapped but wait for a flush. */
  get pending(): number {
    const queue = this.#queue();
    const { deferredPending, flushQueuePending } = this.host.core.tools;
    return queue === 0 ? deferredPending(this.host.context) : flushQueuePending(queue);
  }

  /** Flushes of the queue so far, by cause. */
  get flushes(): {
    /** Flushes because a CPU's ring was full. */
    full: number;
    /** Flushes because the timer had run out. */
    timer: number;
  } {
    const queue = this.#queue();
    const { flushQueueFullFlushes, flushQueueTimerFlushes } = this.host.core.tools;
    return queue === 0
      ? { full: 0, timer: 0 }
      : { full: flushQueueFullFlushes(queue), timer: flushQueueTimerFlushes(queue) };
  }

  /** Flushes the queue now. The ranges go into the magazines of the current CPU. */
  flush(): void {
    const { deferredFlush, flushQueueFlush } = this.host.core.exports;
    const queue = this.#queue();
    if (queue !== 0) flushQueueFlush(queue);
    else if (this.lazy) deferredFlush(this.host.context);
  }

  #queue(): FlushQueueHandle | 0 {
    return this.host.core.exports.domainFlushQueue(this.#enter('iommu_domain'));
  }

  /** Frees the domain with its tables and ranges. Throws EBUSY while a device is attached. A second call does nothing. */
  destroy(): void {
    if (!this.#life.ending('iommu_domain_free')) return;
    if (!this.destroyUnused()) {
      throw new GemDmaError('EBUSY', 'iommu_domain_free', 'devices are still attached to the domain');
    }
  }

  /** @internal Frees a live domain unless a device is attached. Returns whether it did. */
  destroyUnused(): boolean {
    if (this.host.core.exports.domainDestroy(this.#enter('iommu_domain_free')) === 0) return false;
    this.#life.end();
    return true;
  }
}

/**
 * @internal Keeps a device's regions out of the allocator; those of type `direct` lead to themselves, where nothing is mapped yet
 * (iommu_create_device_direct_mappings).
 */
export function reserveRegions(domain: DmaDomain, regions: readonly ReservedRegion[]): void {
  const { exports } = domain.host.core;
  const call = 'iommu_create_device_direct_mappings';
  for (const { start, length, type, prot } of regions) {
    domain.reserve(start / PAGE_SIZE, (start + length) / PAGE_SIZE - 1);
    if (type !== 'direct') continue;
    for (let at = start; at < start + length; at += PAGE_SIZE) {
      if (exports.domainMapped(domain.handle, at)) continue;
      let size = PAGE_SIZE;
      while (at + size < start + length && !exports.domainMapped(domain.handle, at + size)) size += PAGE_SIZE;
      if (exports.domainMap(domain.handle, at, at, size, prot) < 0) {
        throw new GemDmaError('ENOMEM', call, `0x${at.toString(16)}+${size} cannot be mapped to itself`);
      }
      at += size - PAGE_SIZE;
    }
  }
}

function readRange(range: readonly [number, number]): readonly [number, number] {
  if (!Array.isArray(range) || range.length !== 2) throw invalidType('reserved', '[first, last] pfns', range);
  const [first, last] = [range[0], range[1]];
  checkInteger('first', first, 0, MAX_PFN);
  checkInteger('last', last, first, MAX_PFN);
  return [first, last];
}
