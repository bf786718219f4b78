import { type CoreHost, checkObject, checkOptions, hostTimeline, oneOf } from '../core/arguments.js';
import { checkInteger, type ErrnoName, GemDmaError, invalidType, invalidValue, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { ContextHandle, IovaDomainHandle } from '../core/generated/exports.js';
import { guard, refusal } from '../core/guard.js';
import { failed } from '../core/handle.js';
import { Core } from '../core/instance.js';
import { gapHistogram } from '../core/iova-histogram.js';
import { Life } from '../core/life.js';
import { reasonName } from '../core/reasons.js';
import { ALLOCATOR_NAMES, ALLOCATORS, type AllocatorName, DEFAULT_ALLOCATOR, ruleFlags } from './allocators.js';

/**
 * An I/O virtual address space and its allocator (drivers/iommu/iova.c), without a device, an IOMMU or page tables. pfns are
 * addresses in units of the granule. Behind the DMA API each device's domain
 * has one of these; this class is for measurements and studies of the allocator alone.
 */

/** What a domain lives in. A Machine is one. */
export type IovaHost = CoreHost;

/** Options of `IovaDomain.standalone`. */
export interface IovaDomainOptions {
  /** Whose rules place the ranges. Default `tree-6.12`. */
  allocator?: AllocatorName;
  /** Bytes that a pfn stands for, a power of two from 4096 up to 1 GiB. Default 4096. */
  granule?: number;
  /** Lowest pfn to be handed out, from 1; Linux 4.2 begins one above it. Default 1. */
  startPfn?: number;
  /** Online CPUs, which is what depots of the magazine caches are trimmed to. Default 1. */
  cpus?: number;
}

/** pfns from `lo` to `hi`, both included. */
export interface IovaRange {
  /** First pfn of the range. */
  lo: number;
  /** Last pfn of the range, which is in it. */
  hi: number;
}

/** Options of `alloc` (alloc_iova). */
export interface IovaAllocOptions {
  /** Highest pfn that the range may hold. Default: the last below 4 GiB. */
  limit?: number;
  /** To the smallest power of two that holds the size. Default true. */
  aligned?: boolean;
}

/** Options of `allocFast` (alloc_iova_fast). */
export interface IovaAllocFastOptions {
  /** Highest pfn that the range may hold. Default: the last below 4 GiB. */
  limit?: number;
  /** Give all that is cached back to the tree and try again before failing. Default true. */
  flush?: boolean;
}

/** How an IOVA space is used, up to a limit. */
export interface IovaStats {
  /** Ranges in the tree; those that wait in magazines are among them. */
  ranges: number;
  /** Pages up to the limit that are in no range. */
  freePages: number;
  /** Pages in ranges that wait in magazines (rcache) or in shared-out slots (fast), anywhere in the domain. */
  cachedPages: number;
  /** Pages of the largest gap up to the limit. */
  largestGap: number;
}

/** Why an allocation failed. `IOVA_SKIPPED`: a gap would hold it, but the emulated kernel's search passes it by. */
export type IovaReason = 'IOVA_FULL' | 'IOVA_FRAGMENTED' | 'IOVA_LIMIT' | 'IOVA_NO_MEMORY' | 'IOVA_SKIPPED';

const MAX_PFN = 2 ** 53 - 1;
/** Of a standalone domain: unused frames, and the memory for the records of an empty one. */
const FRAMES = 1024;
const LEAST_MEMORY = 4 * 1024 ** 2;

/** State of an allocator up to a limit (in pfns, included). */
export function iovaStats(core: Core, handle: IovaDomainHandle, limit: number): IovaStats {
  checkInteger('limit', limit, 1, MAX_PFN);
  const { iovaRanges } = core.exports;
  const { iovaFreePages, iovaCachedPages, iovaLargestGap } = core.tools;
  return {
    ranges: iovaRanges(handle),
    freePages: iovaFreePages(handle, limit),
    cachedPages: iovaCachedPages(handle),
    largestGap: iovaLargestGap(handle, limit),
  };
}

// One comparison accepts every 32-bit number; other values go to the checks that name the argument. The checks are inlined in the hot
// calls: a shared function would collect the types of all its callers.
const NO_OPTIONS = Object.freeze({});

const RESERVE_ERRORS: Readonly<Record<string, [ErrnoName, string]>> = {
  IOVA_BUSY: ['EBUSY', 'parts of it are shared out already: reserve first'],
  IOVA_LIMIT: ['EINVAL', 'no address of 64 bits has such a pfn'],
};

// Options are checked at each call of a hot path: a loop over the few names costs less than a list of keys.
function checkAllocNames(options: object, flag: 'aligned' | 'flush'): void {
  checkObject('options', options);
  for (const key in options) {
    if (key !== 'limit' && key !== flag) {
      throw invalidValue(`options.${key}`, `one of the known options (limit, ${flag})`, key);
    }
  }
}

/** A standalone IOVA domain (struct iova_domain): allocates and frees ranges of pfns. See the head of this file. */
export class IovaDomain {
  static {
    guard(IovaDomain, IovaDomain.is, ['alloc', 'allocFast', 'free', 'freeFast']);
  }

  /** Whose rules place its ranges. */
  readonly allocator: AllocatorName;
  /** Bytes that a pfn stands for. */
  readonly granule: number;
  /** The last pfn below 4 GiB: the limit of a 32-bit device. */
  readonly limit32: number;
  readonly #core: Core;
  readonly #context: ContextHandle;
  readonly #record: IovaDomainHandle;
  readonly #life: Life;

  /** Makes an empty domain. Throws TypeErrors and RangeErrors naming the option at fault, GemDmaError ENOMEM. */
  constructor(host: IovaHost, options: IovaDomainOptions = {}) {
    const given = checkOptions('options', options, ['allocator', 'granule', 'startPfn', 'cpus']);
    const timeline = hostTimeline(host, 'init_iova_domain');
    const { allocator = DEFAULT_ALLOCATOR, granule = PAGE_SIZE, startPfn = 1, cpus = 1 } = given;
    oneOf('allocator', allocator, ALLOCATOR_NAMES);
    checkInteger('granule', granule, PAGE_SIZE, 2 ** 30);
    const shift = Math.log2(granule);
    if (!Number.isInteger(shift)) throw invalidValue('granule', 'a power of two', granule);
    checkInteger('startPfn', startPfn, 1, MAX_PFN);
    checkInteger('cpus', cpus, 1, 64);
    this.allocator = allocator;
    this.granule = granule;
    // A small integer, which the engine keeps without a box.
    this.limit32 = (2 ** 32 / granule - 1) >>> 0;
    this.#core = host.core;
    this.#context = host.context;
    // The 32-bit limit is the last pfn below 4 GiB in some kernels, the first above in others.
    const rules = ALLOCATORS[allocator];
    const line = rules.lineBelow ? this.limit32 : this.limit32 + 1;
    const record = host.core.exports.iovaCreate(host.context, ruleFlags(rules), shift, startPfn, line, cpus);
    if (record === 0) {
      throw new GemDmaError('ENOMEM', 'init_iova_domain', 'no linear memory left for an IOVA domain', {
        reason: 'IOVA_NO_MEMORY',
      });
    }
    this.#record = record;
    this.#life = new Life(timeline, 'IOVA domain');
  }

  /**
   * A standalone domain in its own linear memory, without a machine.
   * @param memoryLimit bytes, or text such as `'64MiB'`, that the domain's records may take
   * @throws TypeErrors and RangeErrors naming the option at fault, GemDmaError ENOMEM
   * @example
   *   const domain = IovaDomain.standalone({ allocator: 'tree-6.12' });
   *   const pfn = domain.alloc(16, { limit: 2 ** 36 - 1 });
   *   domain.free(pfn);
   */
  static standalone(options: IovaDomainOptions = {}, memoryLimit: number | string = '256MiB'): IovaDomain {
    const bytes = checkInteger('memoryLimit', parseSize('memoryLimit', memoryLimit), LEAST_MEMORY, 2 ** 32 - 65536);
    const core = new Core();
    const context = core.exports.machineCreate(bytes, 1, FRAMES, 0, 1);
    if (failed(context)) throw new GemDmaError('ENOMEM', 'init_iova_domain', `no domain in ${bytes} bytes`);
    return new IovaDomain({ core, context }, options);
  }

  /** @internal Handle of the core's record. Throws for a domain that is dead. */
  get handle(): IovaDomainHandle {
    return this.#enter('iova_domain');
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #life in one;
  }

  #enter(call: string): IovaDomainHandle {
    this.#life.enter(call);
    return this.#record;
  }

  /** Whether it can be used: it was not destroyed, and no restore went back to a time before it was made. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /**
   * alloc_iova: a range straight from the tree.
   * @param size pages, from 1
   * @returns its first pfn
   * @throws GemDmaError ENOSPC or ENOMEM, with an IovaReason as `reason` and what there was in `details`
   */
  alloc(size: number, options: IovaAllocOptions = NO_OPTIONS): number {
    let limit: number | undefined;
    let aligned = true;
    if (options !== NO_OPTIONS) {
      checkAllocNames(options, 'aligned');
      ({ limit, aligned = true } = options);
      if (typeof aligned !== 'boolean') throw invalidType('aligned', 'of type boolean', aligned);
      if (limit !== undefined && (typeof limit !== 'number' || limit >>> 0 !== limit || limit === 0)) {
        checkInteger('limit', limit, 1, MAX_PFN);
      }
    }
    if (typeof size !== 'number' || size >>> 0 !== size || size === 0) checkInteger('size', size, 1, MAX_PFN);
    try {
      this.#life.enter('alloc_iova');
    } catch (error) {
      throw refusal(IovaDomain.is, this, error, 'alloc_iova');
    }
    limit ??= this.limit32;
    const pfn = this.#core.exports.iovaAllocate(this.#record, size, limit, aligned);
    return pfn !== 0 ? pfn : this.#failed('alloc_iova', size, limit, aligned);
  }

  /**
   * alloc_iova_fast: an aligned range, from the caches where the allocator has them.
   * @returns its first pfn
   * @throws GemDmaError as alloc
   */
  allocFast(size: number, options: IovaAllocFastOptions = NO_OPTIONS): number {
    let limit: number | undefined;
    let flush = true;
    if (options !== NO_OPTIONS) {
      checkAllocNames(options, 'flush');
      ({ limit, flush = true } = options);
      if (typeof flush !== 'boolean') throw invalidType('flush', 'of type boolean', flush);
      if (limit !== undefined && (typeof limit !== 'number' || limit >>> 0 !== limit || limit === 0)) {
        checkInteger('limit', limit, 1, MAX_PFN);
      }
    }
    if (typeof size !== 'number' || size >>> 0 !== size || size === 0) checkInteger('size', size, 1, MAX_PFN);
    try {
      this.#life.enter('alloc_iova_fast');
    } catch (error) {
      throw refusal(IovaDomain.is, this, error, 'alloc_iova_fast');
    }
    limit ??= this.limit32;
    const pfn = this.#core.exports.iovaAllocateFast(this.#record, size, limit, flush);
    return pfn !== 0 ? pfn : this.#failed('alloc_iova_fast', size, limit, true);
  }

  /**
   * free_iova: frees the range that holds a pfn. Returns the range; undefined if there is none, and then changes nothing.
   * @throws RangeError if the argument is not a pfn
   */
  free(pfn: number): IovaRange | undefined {
    if (typeof pfn !== 'number' || pfn >>> 0 !== pfn) checkInteger('pfn', pfn, 0, MAX_PFN);
    try {
      this.#life.enter('free_iova');
    } catch (error) {
      throw refusal(IovaDomain.is, this, error, 'free_iova');
    }
    const { exports } = this.#core;
    const end = exports.iovaReleaseRange(this.#record, pfn);
    // The sum makes 0 of -0.
    if (end > 0) return { lo: pfn + 0, hi: end - 1 };
    return end === 0 ? undefined : { lo: exports.iovaFoundLo(this.#record), hi: -end - 1 };
  }

  /**
   * free_iova_fast: frees a range through the caches. `size` is what was asked for.
   * @throws RangeError if the argument is not a pfn, or the size is 0
   */
  freeFast(pfn: number, size: number): void {
    if (typeof pfn !== 'number' || pfn >>> 0 !== pfn) checkInteger('pfn', pfn, 0, MAX_PFN);
    if (typeof size !== 'number' || size >>> 0 !== size || size === 0) checkInteger('size', size, 1, MAX_PFN);
    try {
      this.#life.enter('free_iova_fast');
    } catch (error) {
      throw refusal(IovaDomain.is, this, error, 'free_iova_fast');
    }
    this.#core.exports.iovaReleaseFast(this.#record, pfn, size);
  }

  /**
   * find_iova: the range that holds a pfn.
   * @throws RangeError if the argument is not a pfn
   */
  find(pfn: number): IovaRange | undefined {
    checkInteger('pfn', pfn, 0, MAX_PFN);
    return this.#core.exports.iovaFindRange(this.#enter('find_iova'), pfn) ? this.#found() : undefined;
  }

  /**
   * reserve_iova: the pfns from `lo` to `hi` are not allocated any more. Ranges that overlap it grow downwards over it.
   * @returns the range that now holds `hi`
   * @throws GemDmaError ENOMEM; EINVAL for pfns that no address of 64 bits has, but for tree-4.2, which does not look; EBUSY
   *   with the fast allocator, where it has already shared out a part of that
   */
  reserve(lo: number, hi: number): IovaRange {
    checkInteger('hi', hi, 0, MAX_PFN);
    checkInteger('lo', lo, 0, hi);
    if (this.#core.exports.iovaReserveRange(this.#enter('reserve_iova'), lo, hi)) return this.#found();
    const reason = reasonName(this.#core.exports.lastReason(this.#context));
    const [code, why] = RESERVE_ERRORS[reason ?? ''] ?? ['ENOMEM', 'no memory for its record'];
    throw new GemDmaError(code, 'reserve_iova', `${pfns(lo, hi)} cannot be reserved: ${why}`, {
      reason,
      details: { lo, hi },
    });
  }

  /** All ranges in order, the cached ones among them. Not to be continued after a change. */
  *ranges(): Generator<IovaRange> {
    for (let pfn = 0; this.handle !== 0 && this.#core.tools.iovaNextRange(this.handle, pfn); ) {
      const range = this.#found();
      pfn = range.hi + 1;
      yield range;
    }
  }

  /** What there is up to a limit; asking changes nothing. */
  stats(limit: number = this.limit32): IovaStats {
    return iovaStats(this.#core, this.handle, limit);
  }

  /**
   * Gaps up to a limit by size: element k counts those of 2^k to 2^(k + 1) - 1 pages.
   * @throws RangeError if the argument is not a pfn
   */
  histogram(limit: number = this.limit32): number[] {
    checkInteger('limit', limit, 1, MAX_PFN);
    return gapHistogram(this.#core, this.#context, this.handle, limit);
  }

  /** Walks the whole index, magazines and spans. Returns 0, or the number of the first check that failed (check.ts). */
  check(): number {
    return this.#core.tools.iovaDomainCheck(this.handle);
  }

  /** Frees the domain with all its ranges. A second call does nothing. */
  destroy(): void {
    if (!this.#life.ending('put_iova_domain')) return;
    this.#core.exports.iovaDomainDestroy(this.#record);
    this.#life.end();
  }

  /** Ends the domain, as `destroy()`. */
  [Symbol.dispose](): void {
    if (this.alive) this.destroy();
  }

  #found(): IovaRange {
    const { exports } = this.#core;
    return { lo: exports.iovaFoundLo(this.#record), hi: exports.iovaFoundHi(this.#record) };
  }

  #failed(syscall: string, size: number, limit: number, aligned: boolean): never {
    const reason = reasonName(this.#core.exports.lastReason(this.#context)) as IovaReason;
    const stats = this.stats(limit);
    const asked = `${size} pages${aligned ? ', aligned,' : ''} up to pfn 0x${limit.toString(16)}`;
    const code = reason === 'IOVA_NO_MEMORY' ? 'ENOMEM' : 'ENOSPC';
    throw new GemDmaError(code, syscall, `${asked}: ${explain(reason, stats)}`, {
      reason,
      details: { size, limit, aligned, ...stats },
    });
  }
}

function explain(reason: IovaReason, { freePages, cachedPages, largestGap, ranges }: IovaStats): string {
  const cached = cachedPages > 0 ? `; ${cachedPages} pages wait in caches` : '';
  switch (reason) {
    case 'IOVA_FULL':
      return `the space is full, ${freePages} pages are free beside ${ranges} ranges${cached}`;
    case 'IOVA_FRAGMENTED':
      return `no gap holds them, ${freePages} pages are free and the largest gap has ${largestGap}${cached}`;
    case 'IOVA_LIMIT':
      return 'not even an empty domain has that below the limit; raise the limit or ask for less';
    case 'IOVA_SKIPPED':
      return `a gap would hold them (the largest has ${largestGap}), but this kernel's search passes it by; free something above it`;
    case 'IOVA_NO_MEMORY':
      return 'no memory for the record of a range';
  }
}

function pfns(lo: number, hi: number): string {
  return `pfns 0x${lo.toString(16)} to 0x${hi.toString(16)}`;
}
