import { PHYSICAL_END } from './address.js';
import { checkBytes, oneOf, readPfnList } from './arguments.js';
import type { Calls } from './calls.js';
import { checkInteger, ERRNO, GemDmaError, invalidType } from './errors.js';
import { DMA_ZONE_END, ENOMEM, MAX_ORDER, PAGE_SIZE, ZONE_DMA32, ZONE_NORMAL } from './generated/constants.js';
import type { ContextHandle } from './generated/exports.js';
import { RamStatsView } from './generated/records.js';
import { guard } from './guard.js';
import { Core } from './instance.js';
import { checkMaker, type LIBRARY, type Timeline } from './life.js';

/** The CPU's cache in front of memory (src/dma/cpu-cache.ts). */
export interface CpuCacheLike {
  overlay(address: number, bytes: Uint8Array): Uint8Array;
  write(address: number, bytes: Uint8Array): [offset: number, n: number][];
  drop(address: number, length: number): void;
}

const MAX_FRAMES = 2 ** 24;
/** pfns that the staging block holds. */
const PART = Core.STAGING_SIZE / 4;
const MAX_PFN = 0xffffffff;

/** How RAM is used, in frames of 4 KiB. inUse, free, waiting and held add up to `usable`. */
export interface RamStats {
  /** All frames, the firmware's first MiB included. */
  frames: number;
  /** Frames that can be handed out at all. */
  usable: number;
  /** Frames handed out now. */
  inUse: number;
  /** In free blocks. */
  free: number;
  /** Single frames that wait on CPUs' stacks. */
  waiting: number;
  /** Frames kept by the rest of the system, which makes RAM fragmented. */
  held: number;
  /** Frames with contents; the others read as zeros and take no memory of the host. */
  written: number;
  /** Free blocks of 2^0, 2^1, ... 2^10 frames, as /proc/buddyinfo has them. */
  blocks: number[];
}

/**
 * The machine's emulated RAM, as its CPUs see it: frames of 4 KiB named by pfn. Frames that were never written read as
 * zeros; a freed frame keeps its bytes until it is handed out again.
 */
export class PhysicalMemory {
  static {
    guard(PhysicalMemory, (one) => #core in one);
  }

  /** Between CPU and memory, where a device is not cache-coherent. @internal */
  cache: CpuCacheLike | null = null;
  readonly #core: Core;
  readonly #context: ContextHandle;

  /** @internal */
  constructor(maker: typeof LIBRARY, core: Core, context: ContextHandle) {
    checkMaker(maker, 'PhysicalMemory');
    this.#core = core;
    this.#context = context;
  }

  /**
   * @internal The time line of the machine whose memory it is, and its calls.
   * @throws ERR_INVALID_ARG_TYPE if the argument is not a machine's memory; GemDmaError ENODEV or EIO if the machine accepts no more calls
   */
  static machineOf(ram: PhysicalMemory, call: string): { timeline: Timeline; calls: Calls } {
    if (typeof ram !== 'object' || ram === null || !(#core in ram)) throw invalidType('ram', "a machine's memory", ram);
    const { timeline, calls } = ram.#core;
    timeline.enter(call);
    return { timeline, calls };
  }

  /**
   * Takes n single frames, anywhere; all or none.
   * @returns their pfns, in the order in which the allocator handed them out
   * @throws GemDmaError ENOMEM
   */
  alloc(n: number): Uint32Array {
    this.#enter('alloc_pages');
    checkInteger('n', n, 1, MAX_FRAMES);
    const pfns = this.take(n);
    this.#number(pfns);
    return pfns;
  }

  /** @internal The same for a part of the library, which frees them with `put`: they are never freed by number. */
  take(n: number): Uint32Array {
    const pfns = new Uint32Array(n);
    const staging = this.#core.staging(this.#context);
    for (let done = 0; done < n; done += PART) {
      const part = Math.min(PART, n - done);
      if (this.#core.exports.pagesAlloc(this.#context, part, staging) < 0) {
        this.#put(pfns.subarray(0, done));
        throw new GemDmaError('ENOMEM', 'alloc_pages', `no ${n} frames of RAM left`, { reason: 'RAM_FULL' });
      }
      pfns.set(this.#core.readWords(staging, part), done);
    }
    return pfns;
  }

  /**
   * Takes a block of 2^order neighbouring frames, aligned to its size.
   * @param order 0 to 10
   * @param zone `dma`: below 16 MiB; `dma32`: below 4 GiB (GFP_DMA, GFP_DMA32)
   * @returns the first pfn
   * @throws GemDmaError ENOMEM
   */
  allocBlock(order: number, zone: 'dma' | 'dma32' | 'normal' = 'normal'): number {
    this.#enter('alloc_pages');
    checkInteger('order', order, 0, MAX_ORDER);
    oneOf('zone', zone, ['dma', 'dma32', 'normal']);
    const { blockBelow, blockOfPagesAlloc } = this.#core.exports;
    const pfn =
      zone === 'dma'
        ? blockBelow(this.#context, order, DMA_ZONE_END)
        : blockOfPagesAlloc(this.#context, order, zone === 'dma32' ? ZONE_DMA32 : ZONE_NORMAL);
    if (pfn === 0) {
      throw new GemDmaError('ENOMEM', 'alloc_pages', `no free block of order ${order} in zone ${zone}`, {
        reason: 'RAM_FULL',
      });
    }
    this.#number(range(pfn, 2 ** order));
    return pfn;
  }

  /**
   * Frees single frames of `alloc` or `allocBlock`.
   * @throws GemDmaError, and frees none: EINVAL when one is not in use or is named twice, EBUSY when one belongs to a table, a
   *   coherent buffer, a GPU, a pool, a process or a C driver, which free it
   */
  free(pfns: ArrayLike<number>): void {
    const list = readPfnList(pfns, 0, MAX_FRAMES);
    this.#enter('free_pages');
    this.#unnumber(list, `${list.length} frames`);
    this.put(list);
  }

  /** @internal Gives back frames of `take`, all of them in use. dma-debug may find them mapped. */
  put(pfns: Uint32Array): void {
    this.#put(pfns);
    this.#core.calls.over();
  }

  /** They may be freed by number. */
  #number(pfns: Uint32Array): void {
    for (let done = 0; done < pfns.length; done += PART) {
      const n = Math.min(PART, pfns.length - done);
      this.#core.exports.framesNumber(this.#context, n, this.#stage(pfns, done));
    }
  }

  /** All of them were handed out by number and go back now. @throws GemDmaError EINVAL, EBUSY */
  #unnumber(pfns: Uint32Array, what: string): void {
    const twice = pfns.length > PART && new Set(pfns).size !== pfns.length;
    let rc = twice ? -ERRNO.EINVAL : 0;
    let done = 0;
    for (; rc === 0 && done < pfns.length; done += PART) {
      const n = Math.min(PART, pfns.length - done);
      rc = this.#core.exports.framesUnnumber(this.#context, n, this.#stage(pfns, done));
    }
    if (rc === 0) return;
    this.#number(pfns.subarray(0, Math.max(0, done - PART)));
    if (rc === -ERRNO.EBUSY) {
      const message = `one of ${what} belongs to a table, a buffer, a pool, a process or a driver, which frees it`;
      throw new GemDmaError('EBUSY', 'free_pages', message, { reason: 'RAM_OWNED' });
    }
    throw new GemDmaError('EINVAL', 'free_pages', `not all of ${what} are in use, or one is named twice`, {
      reason: 'RAM_NOT_IN_USE',
    });
  }

  #put(pfns: Uint32Array): void {
    for (let done = 0; done < pfns.length; done += PART) {
      const at = this.#stage(pfns, done);
      this.#core.exports.pagesFree(this.#context, Math.min(PART, pfns.length - done), at);
    }
    if (this.cache !== null) for (const pfn of pfns) this.cache.drop(pfn * PAGE_SIZE, PAGE_SIZE);
  }

  /** Puts as many pfns as the staging block holds there. Returns its offset. */
  #stage(pfns: Uint32Array, from: number): number {
    const staging = this.#core.staging(this.#context);
    this.#core.writeWords(staging, pfns.subarray(from, from + PART));
    return staging;
  }

  /**
   * Frees a block of allocBlock.
   * @throws GemDmaError EINVAL if the block was not allocated, or only a part of it is in use; EBUSY as `free`
   */
  freeBlock(pfn: number, order: number): void {
    this.#enter('free_pages');
    checkInteger('pfn', pfn, 0, MAX_PFN);
    checkInteger('order', order, 0, MAX_ORDER);
    const count = 2 ** order;
    const what = `the block of order ${order} at pfn 0x${pfn.toString(16)}`;
    if (pfn % count !== 0) {
      throw new GemDmaError('EINVAL', 'free_pages', `${what} is not aligned to its size`, { reason: 'RAM_NOT_IN_USE' });
    }
    this.#unnumber(range(pfn, count), `the frames of ${what}`);
    this.#core.exports.blockOfPagesFree(this.#context, pfn, order);
    this.cache?.drop(pfn * PAGE_SIZE, PAGE_SIZE * count);
    this.#core.calls.over();
  }

  /** How the frames are used now. */
  get stats(): RamStats {
    this.#enter('ram');
    const at = this.#core.staging(this.#context);
    this.#core.tools.ramStats(this.#context, at);
    const { frames, managed, free, stacked, held, inUse, written } = new RamStatsView(this.#core, at);
    const blocks = [...this.#core.readDoubles(at + RamStatsView.SIZE, MAX_ORDER + 1)];
    return { frames, usable: managed, inUse, free, waiting: stacked, held, written, blocks };
  }

  /**
   * Returns the frames that wait on stacks to the buddy lists, where they merge to blocks again (drain_all_pages).
   * @internal
   */
  drain(): void {
    this.#enter('drain_all_pages');
    this.#core.exports.pagesDrain(this.#context);
  }

  /** n bytes from a physical address. @throws GemDmaError EFAULT where there is no RAM */
  read(address: number, n: number): Uint8Array {
    this.#enter('phys_read');
    checkInteger('address', address, 0, PHYSICAL_END);
    checkInteger('n', n, 0, 2 ** 30);
    const bytes = this.#load(address, n);
    return this.cache === null ? bytes : this.cache.overlay(address, bytes);
  }

  #load(address: number, n: number): Uint8Array {
    const bytes = new Uint8Array(n);
    const staging = this.#core.staging(this.#context);
    for (let done = 0; done < n; done += Core.STAGING_SIZE) {
      const part = Math.min(Core.STAGING_SIZE, n - done);
      this.#refused('read', this.#core.exports.physRead(this.#context, address + done, staging, part), address);
      bytes.set(this.#core.readBytes(staging, part), done);
    }
    return bytes;
  }

  /** Writes bytes at a physical address. @throws GemDmaError EFAULT where there is no RAM, ENOMEM */
  write(address: number, bytes: Uint8Array): void {
    this.#enter('phys_write');
    checkInteger('address', address, 0, PHYSICAL_END);
    bytes = checkBytes('bytes', bytes);
    if (this.cache === null) this.#store(address, bytes);
    else
      for (const [from, n] of this.cache.write(address, bytes))
        this.#store(address + from, bytes.subarray(from, from + n));
  }

  /** @internal What is in memory, whatever a cache holds. */
  get backing(): { read(address: number, n: number): Uint8Array; write(address: number, bytes: Uint8Array): void } {
    return {
      read: (address, n) => this.#load(address, n),
      write: (address, bytes) => this.#store(address, bytes),
    };
  }

  #store(address: number, bytes: Uint8Array): void {
    const staging = this.#core.staging(this.#context);
    for (let done = 0; done < bytes.length; done += Core.STAGING_SIZE) {
      const part = bytes.subarray(done, done + Core.STAGING_SIZE);
      this.#core.writeBytes(staging, part);
      this.#refused(
        'write',
        this.#core.exports.physWrite(this.#context, address + done, staging, part.length),
        address,
      );
    }
  }

  #enter(call: string): void {
    this.#core.timeline.enter(call);
  }

  #refused(what: string, rc: number, address: number): void {
    if (rc === 0) return;
    const where = `0x${address.toString(16)} (pfn 0x${Math.floor(address / PAGE_SIZE).toString(16)})`;
    if (rc === ENOMEM) throw new GemDmaError('ENOMEM', `phys_${what}`, `no linear memory for the contents of ${where}`);
    throw new GemDmaError('EFAULT', `phys_${what}`, `there is no RAM at ${where}`);
  }
}

function range(pfn: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => pfn + i);
}
