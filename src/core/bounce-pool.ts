import { checkOptions } from './arguments.js';
import { checkInteger, GemDmaError, invalidType, outOfRange, parseSize } from './errors.js';
import {
  EEXIST,
  EINVAL,
  PAGE_SIZE,
  POOL_ALIGN_ABOVE_PAGE,
  POOL_COPY_IN_READABLE,
  POOL_FREE_BY_SIZE,
  POOL_GROWS,
  POOL_NO_MIN_ALIGN,
  SET_SLOTS,
  SLOT_SIZE,
} from './generated/constants.js';
import type { ContextHandle, SwiotlbHandle } from './generated/exports.js';
import { SwiotlbAreaStatsView, SwiotlbLiveView, SwiotlbPoolStatsView, SwiotlbStatsView } from './generated/records.js';
import { guard } from './guard.js';
import { held } from './handle.js';
import { Core } from './instance.js';
import { checkMaker, LIBRARY, Life, type Timeline } from './life.js';

/** Bounce slots of 2 KiB, in sets of 128 that no mapping crosses (include/linux/swiotlb.h). */
export { SET_SLOTS, SLOT_SIZE };

/** How a pool is searched and filled: today's areas, or the single moving index of 2015. */
export type SwiotlbDialect = 'areas' | 'index';

const INDEX_2015 = POOL_ALIGN_ABOVE_PAGE | POOL_COPY_IN_READABLE | POOL_FREE_BY_SIZE | POOL_NO_MIN_ALIGN;

/** State of the bounce pool. Addresses and sizes in bytes, others in slots of 2 KiB or counts. */
export interface SwiotlbStats {
  /** Physical address of the first slot. */
  start: number;
  /** Slots of the whole pool, 2 KiB each (io_tlb_nslabs in kernel/dma/swiotlb.c). */
  slots: number;
  /** Slots in use now (io_tlb_used). */
  used: number;
  /** Most slots that were ever in use at one time. */
  highWater: number;
  /** Mappings that live now. */
  live: number;
  /** Mappings made since the pool was, those that ended included. */
  maps: number;
  /** Bytes copied from buffers into slots so far: at map, and at sync for the device. */
  bytesIn: number;
  /** Bytes copied from slots back into buffers so far: at unmap, and at sync for the CPU. */
  bytesOut: number;
  /** Requests refused so far, by reason. A refused mapping returns DMA_MAPPING_ERROR. */
  refused: {
    /** No fitting run of free slots, for whatever reason. */
    full: number;
    /** Those of `full` for which enough slots were free, but not in a row. */
    fragmented: number;
    /** Longer than any pool serves: 128 slots of 2 KiB, less what the device's alignment takes. */
    tooLarge: number;
    /** Slots were found, but beyond the device's DMA mask. */
    unreachable: number;
  };
  /** The longest run of free slots that a mapping could take. */
  longestRun: number;
  /** Slots of transient pools (io_tlb_transient_nslabs), which are not among `slots`. */
  transient: number;
  /** The pools, in the order in which they are searched: more than one with `swiotlb.dynamic`. */
  pools: SwiotlbPool[];
  /** The areas of the first pool, one for each CPU (struct io_tlb_area); the pool of 2015 is one area. */
  areas: {
    /** Slot within the area at which the next search begins. */
    index: number;
    /** Slots of the area in use. */
    used: number;
  }[];
}

/** One pool of an allocator (struct io_tlb_pool). */
export interface SwiotlbPool {
  /** Physical address of its first slot. */
  start: number;
  /** Its slots. */
  slots: number;
  /** Its areas. */
  areas: number;
  /** Its slots in use. */
  used: number;
  /** Number of the device for whose one mapping it is there, 0 for a pool that stays. */
  transient: number;
}

/** A mapping that lives in the pool. */
export interface SwiotlbMapping {
  /** Its first slot, counted from 0 over its pool. */
  slot: number;
  /** How many slots it holds. */
  slots: number;
  /** What the device uses. */
  address: number;
  /** The buffer that the slots stand for. */
  physical: number;
  /** Bytes that were mapped; the last slot may be used in part only. */
  length: number;
  /** Number of the device, `DmaDevice.id`. */
  device: number;
  /** 0 bidirectional, 1 to the device, 2 from the device (enum dma_data_direction); 3 coherent memory of a restricted pool. */
  direction: number;
}

/** What a restricted pool is made with. */
export interface RestrictedPoolOptions {
  /** Bytes, or text; whole slots of 2 KiB are used. */
  size: number | string;
  /** Physical address, a multiple of 4096. Default 0: as high below 4 GiB as there is room. */
  base?: number;
}

/** A bounce pool: the machine's, created once and served to devices by the DMA API, or a restricted one. */
export class BouncePool {
  static {
    guard(BouncePool, (one) => #core in one);
  }

  readonly #core: Core;
  readonly #context: ContextHandle;
  readonly #record: SwiotlbHandle;
  readonly #life: Life;

  private constructor(maker: typeof LIBRARY, core: Core, context: ContextHandle, record: SwiotlbHandle) {
    checkMaker(maker, 'BouncePool');
    this.#core = core;
    this.#context = context;
    this.#record = record;
    this.#life = new Life(core.timeline, 'bounce pool');
  }

  /** @internal The record, for a call of a device of a machine. Throws EXDEV, ESTALE. */
  static recordIn(timeline: Timeline, pool: BouncePool, call: string): SwiotlbHandle {
    if (typeof pool !== 'object' || pool === null || !(#core in pool)) throw invalidType('pool', 'a BouncePool', pool);
    pool.#life.enterIn(timeline, call);
    return pool.#record;
  }

  /** @internal */
  get handle(): SwiotlbHandle {
    this.#life.enter('swiotlb');
    return this.#record;
  }

  /**
   * Sets memory aside as a restricted pool.
   * @throws TypeError and RangeError naming the option at fault; GemDmaError ENOMEM
   * @internal
   */
  static restricted(core: Core, context: ContextHandle, options: RestrictedPoolOptions): BouncePool {
    const given = checkOptions('options', options, ['size', 'base']);
    const size = checkInteger('size', parseSize('size', given.size), SLOT_SIZE, 2 ** 33);
    const base = checkInteger('base', given.base ?? 0, 0, 2 ** 52);
    if (base % PAGE_SIZE !== 0) throw outOfRange('base', 'a multiple of 4096', base);
    core.timeline.enter('rmem_swiotlb_device_init');
    const record = core.exports.swiotlbRestricted(context, Math.floor(size / SLOT_SIZE), base / PAGE_SIZE);
    if (record === 0) {
      throw new GemDmaError('ENOMEM', 'rmem_swiotlb_device_init', `no piece of RAM of ${size} bytes is free there`);
    }
    return new BouncePool(LIBRARY, core, context, record);
  }

  /**
   * Slots and areas of a pool of that many bytes, as the kernel rounds them (kernel/dma/swiotlb.c): whole sets; with
   * areas, one for each CPU, both powers of two and a set for each area at least.
   * @internal
   */
  static shape(size: number, cpus: number, dialect: SwiotlbDialect): { slots: number; areas: number } {
    const slots = Math.ceil(size / SLOT_SIZE / SET_SLOTS) * SET_SLOTS;
    if (dialect === 'index') return { slots, areas: 1 };
    const areas = powerOfTwo(cpus);
    return { slots: powerOfTwo(Math.max(slots, areas * SET_SLOTS)), areas };
  }

  /**
   * Makes the pool of a context.
   * @param startPfn first frame; 0 places it as high below 4 GiB as there is room
   * @param grows more pools are added where none serves a request
   * @throws GemDmaError ENOMEM when RAM below 4 GiB has no such piece, EEXIST for a second pool
   * @internal
   */
  static create(
    core: Core,
    context: ContextHandle,
    shape: { slots: number; areas: number },
    dialect: SwiotlbDialect,
    startPfn = 0,
    grows = false,
  ): BouncePool {
    const flags = (dialect === 'index' ? INDEX_2015 : 0) | (grows ? POOL_GROWS : 0);
    const rc = core.exports.swiotlbCreate(context, shape.slots, shape.areas, flags, startPfn);
    if (rc < 0) {
      const size = shape.slots * SLOT_SIZE;
      const code = rc === EEXIST ? 'EEXIST' : rc === EINVAL ? 'EINVAL' : 'ENOMEM';
      const why = { EEXIST: 'there is a pool', EINVAL: 'no such shape', ENOMEM: 'no piece of RAM below 4 GiB is free' };
      throw new GemDmaError(code, 'swiotlb_init', `no bounce pool of ${size} bytes: ${why[code]}`, {
        details: { ...shape, startPfn },
      });
    }
    return new BouncePool(LIBRARY, core, context, held(core.exports.swiotlbOf(context)));
  }

  /** Slots in use, mappings, bytes copied each way, and refusals so far. */
  get stats(): SwiotlbStats {
    const core = this.#core;
    this.#life.enter('swiotlb');
    const pools = [...this.#pools()];
    const at = core.staging(this.#context);
    const count = core.tools.swiotlbStats(this.#record, at);
    const stats = new SwiotlbStatsView(core, at);
    const { start, slots, used, highWater, live, maps, bytesIn, bytesOut, longestRun, transient } = stats;
    const { full, fragmented, tooLarge, unreachable } = stats;
    const area = new SwiotlbAreaStatsView(core);
    const areas = Array.from({ length: count }, (_, i) => {
      area.moveTo(at + SwiotlbStatsView.SIZE + i * SwiotlbAreaStatsView.SIZE);
      return { index: area.index, used: area.used };
    });
    return {
      ...{ start, slots, used, highWater, live, maps, bytesIn, bytesOut },
      refused: { full, fragmented, tooLarge, unreachable },
      longestRun,
      transient,
      pools,
      areas,
    };
  }

  *#pools(): Generator<SwiotlbPool> {
    const core = this.#core;
    const most = Math.floor(Core.STAGING_SIZE / SwiotlbPoolStatsView.SIZE);
    for (let from = 0, found = most; found === most; from += found) {
      const at = core.staging(this.#context);
      found = core.tools.swiotlbPools(this.#record, from, at, most);
      const record = new SwiotlbPoolStatsView(core);
      for (let i = 0; i < found; ++i) {
        record.moveTo(at + i * SwiotlbPoolStatsView.SIZE);
        const { start, slots, areas, used, transient } = record;
        yield { start, slots, areas, used, transient };
      }
    }
  }

  /** Mappings that live now, in the order of their slots, pool by pool. */
  *mappings(): Generator<SwiotlbMapping> {
    const core = this.#core;
    const most = Math.floor(Core.STAGING_SIZE / SwiotlbLiveView.SIZE);
    const { pools } = this.stats;
    for (const number of pools.keys()) {
      for (let from = 0, found = most; found === most; ) {
        this.#life.enter('swiotlb');
        const at = core.staging(this.#context);
        found = core.tools.swiotlbMappings(this.#record, number, from, at, most);
        const record = new SwiotlbLiveView(core);
        const rows = Array.from({ length: found }, (_, i) => {
          record.moveTo(at + i * SwiotlbLiveView.SIZE);
          const { slot, slots, address, physical, length, device, direction } = record;
          return { slot, slots, address, physical, length, device, direction };
        });
        yield* rows;
        for (const { slot, slots } of rows) from = slot + slots;
      }
    }
  }

  /**
   * Sets the slot at which an area's next search starts, for a replay that begins in the middle.
   * @param index slot within the area
   * @throws RangeError for an area or slot that the pool does not have
   */
  setIndex(area: number, index: number): void {
    this.#life.enter('swiotlb');
    checkInteger('area', area, 0, 0xffffffff);
    checkInteger('index', index, 0, 0xffffffff);
    if (this.#core.exports.swiotlbSetIndex(this.#record, area, index)) return;
    throw outOfRange('index', `a slot of one of the pool's areas`, `${index} of area ${area}`);
  }

  /** Resets the high-water mark, as a write to the kernel's io_tlb_used_hiwater does. */
  resetHighWater(): void {
    this.#life.enter('swiotlb');
    this.#core.exports.swiotlbResetHighWater(this.#record);
  }
}

function powerOfTwo(n: number): number {
  return n <= 1 ? 1 : 2 ** (32 - Math.clz32(n - 1));
}
