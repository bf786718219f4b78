import { checkBoolean, checkObject, checkOptions } from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType, invalidValue, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import type { DmaPoolMessage } from '../core/kernel-log.js';
import { checkMaker, type LIBRARY, Life } from '../core/life.js';
import type { CoherentBuffer } from './coherent.js';
import type { DmaDevice } from './device.js';
import { forget } from './managed.js';

/**
 * Pools of small coherent blocks (mm/dmapool.c of 6.12): blocks of one size cut from coherent memory, free ones on a stack whose
 * links and poison lie in the blocks themselves, as with CONFIG_DMAPOOL_DEBUG.
 */

/** Smallest block: what the link of a free one takes (struct dma_block). */
const LINK_BYTES = 16;
const MAX_SIZE = 2 ** 31 - 1;
/** Bytes of a block that is free, and of one that was just taken. */
const POISON_FREED = 0xa7;
const POISON_ALLOCATED = 0xa9;

/** A block of a pool: where the device finds it, and where the CPU does. */
export interface PoolBlock {
  /** The device's address (the `handle` of dma_pool_alloc). */
  readonly address: number;
  /** Physical address of its first byte, for `machine.ram`. */
  readonly physical: number;
}

/** Memory of a machine, as the CPU reads and writes it. */
export interface PoolMemory {
  read(address: number, n: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
}

/** A line for the kernel's log: dev_err of a device. */
export type PoolLog = (device: DmaDevice, id: DmaPoolMessage, text: string) => void;

/** What dma_pool_create is given. */
export interface DmaPoolOptions {
  /** As the kernel's log prints it in complaints about the pool. */
  name: string;
  /** Bytes of a block. */
  size: number;
  /** A power of two, or 0. */
  align: number;
  /** No block crosses a multiple of this: a power of two, or 0 for none. Default 0. */
  boundary?: number;
  /** It is destroyed with the device's driver (dmam_pool_create). Default false. */
  managed?: boolean;
}

/** A pool of small blocks of coherent memory (mm/dmapool.c). `machine.createDmaPool` makes one. */
export class DmaPool {
  static {
    guard(DmaPool, (one) => #life in one);
  }

  /** The name that it was made with. */
  readonly name: string;
  /** The device that the memory is coherent for. */
  readonly device: DmaDevice;
  /** Bytes of a block as the pool gives them: the size asked for, rounded up to the alignment. */
  readonly size: number;
  /** No block crosses a multiple of this. */
  readonly boundary: number;
  /** Bytes that are taken from coherent memory at a time. */
  readonly allocation: number;
  readonly #life: Life;
  readonly #memory: PoolMemory;
  readonly #log: PoolLog;
  private readonly buffers: CoherentBuffer[] = [];
  /** Free blocks, the one that is handed out next at the end. */
  private readonly free_: PoolBlock[] = [];
  private active = 0;
  private blocks = 0;

  /**
   * @internal `machine.createDmaPool` makes them.
   * @throws RangeError, TypeError; what dma_pool_create answers with NULL
   */
  constructor(maker: typeof LIBRARY, device: DmaDevice, memory: PoolMemory, log: PoolLog, options: DmaPoolOptions) {
    checkMaker(maker, 'DmaPool');
    const given = checkOptions('options', options, ['name', 'size', 'align', 'boundary', 'managed']);
    const { name, size, align, boundary = 0 } = given;
    const managed = checkBoolean('managed', given.managed, false);
    device.enter('dma_pool_create');
    this.#life = new Life(device.host.core.timeline, 'DMA pool');
    this.device = device;
    this.#memory = memory;
    this.#log = log;
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
    this.name = name;
    checkInteger('size', size, 1, MAX_SIZE);
    checkInteger('align', align, 0, 2 ** 30);
    if ((align & (align - 1)) !== 0) throw outOfRange('align', 'a power of two, or 0', align);
    const unit = align || 1;
    this.size = Math.ceil(Math.max(size, LINK_BYTES) / unit) * unit;
    const allocation = Math.max(this.size, PAGE_SIZE);
    checkInteger('boundary', boundary, 0, 2 ** 32);
    if (boundary !== 0 && (boundary < this.size || Math.log2(boundary) % 1 !== 0)) {
      throw outOfRange('boundary', `a power of two of at least ${this.size}, or 0`, boundary);
    }
    this.boundary = boundary === 0 ? allocation : Math.min(boundary, allocation);
    this.allocation = allocation;
    device.host.core.timeline.members.add(this);
    if (managed) device.devres.push({ resource: this, release: () => void this.destroy() });
  }

  /** Blocks that are in use, blocks that there are, and pieces of coherent memory: a line of sysfs `pools`. */
  get stats(): {
    /** Blocks handed out now. */
    active: number;
    /** Blocks of all pages, free ones included. */
    blocks: number;
    /** Allocations of coherent memory that the pool holds; it gives none back before it ends. */
    pages: number;
  } {
    this.#life.enter('dma_pool');
    return { active: this.active, blocks: this.blocks, pages: this.buffers.length };
  }

  /** The line of /sys/devices/.../pools. */
  toString(): string {
    const column = (value: number, width: number): string => String(value).padStart(width);
    const { active, blocks, pages } = this.stats;
    return `${this.name.padEnd(16)} ${column(active, 4)} ${column(blocks, 4)} ${column(this.size, 4)} ${column(pages, 2)}`;
  }

  /**
   * A block (dma_pool_alloc); its bytes are undefined, zero with `zero` (dma_pool_zalloc).
   * @throws GemDmaError ENOMEM when no coherent memory is left
   */
  alloc(
    options: {
      /** Clear the block, as dma_pool_zalloc does. Default false. */
      zero?: boolean;
    } = {},
  ): PoolBlock {
    const given = checkOptions('options', options, ['zero']);
    const zero = checkBoolean('zero', given.zero, false);
    this.#life.enter('dma_pool_alloc');
    if (this.free_.length === 0) this.#grow();
    const block = this.free_.pop()!;
    ++this.active;
    this.#checkFree(block);
    this.#fill(block, zero ? 0 : POISON_ALLOCATED);
    return block;
  }

  /** The same, zeroed (dma_pool_zalloc). */
  zalloc(): PoolBlock {
    return this.alloc({ zero: true });
  }

  /**
   * Frees a block (dma_pool_free). A block of another pool, or one that is free, is reported in the kernel's log and changes nothing.
   * @param address the device's address, where it is not the block's own
   * @throws TypeError if the argument is not a block of the pool's memory
   */
  free(block: PoolBlock, address = block?.address): void {
    this.#life.enter('dma_pool_free');
    checkObject('block', block);
    checkInteger('block.physical', block.physical, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    const virtual = (BigInt(block.physical) + 0xffff888000000000n).toString(16);
    const dma = `0x${address.toString(16).padStart(16, '0')}`;
    const home = this.buffers.find(({ address: at }) => address >= at && address < at + this.allocation);
    if (home === undefined) {
      this.#say('POOL_BAD_DMA', `pool_block_err ${this.name}, ${virtual}/${dma} (bad dma)`);
      return;
    }
    const pfn = Math.floor(block.physical / PAGE_SIZE);
    if (!this.buffers.some(({ table }) => table.pfns().includes(pfn))) {
      throw invalidValue('block', 'of memory that the pool has', block);
    }
    if (this.free_.some(({ physical }) => physical === block.physical)) {
      this.#say('POOL_ALREADY_FREE', `pool_block_err ${this.name}, dma ${dma} already free`);
      return;
    }
    this.#fill(block, POISON_FREED);
    this.free_.push({ address, physical: block.physical });
    --this.active;
  }

  /**
   * Destroys the pool (dma_pool_destroy). If blocks are in use it reports them and never frees their memory: the device may still
   * write there. A second call does nothing.
   * @returns coherent pieces that stay allocated
   */
  destroy(): number {
    if (!this.#life.ending('dma_pool_destroy')) return 0;
    forget(this.device, this);
    const busy = this.active > 0;
    if (busy) this.#say('POOL_BUSY', `dma_pool_destroy ${this.name} busy`);
    else for (const buffer of this.buffers) buffer.free();
    this.#life.end();
    this.device.host.core.timeline.members.delete(this);
    return busy ? this.buffers.length : 0;
  }

  /** Whether it can be used. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** Destroys the pool, as `destroy()`. */
  [Symbol.dispose](): void {
    if (this.alive && this.device.alive) this.destroy();
  }

  #grow(): void {
    let buffer: CoherentBuffer;
    try {
      buffer = this.device.allocCoherent(this.allocation);
    } catch (error) {
      if (!GemDmaError.is(error)) throw error;
      throw new GemDmaError('ENOMEM', 'dma_pool_alloc', `pool ${this.name}: ${error.message}`, {
        reason: error.reason,
      });
    }
    const fresh: PoolBlock[] = [];
    for (let offset = 0, next = this.boundary; offset + this.size <= this.allocation; ) {
      if (offset + this.size > next) {
        offset = next;
        next += this.boundary;
        continue;
      }
      const page = Math.floor(offset / PAGE_SIZE);
      fresh.push({
        address: buffer.address + offset,
        physical: buffer.table.pfn(page) * PAGE_SIZE + (offset % PAGE_SIZE),
      });
      offset += this.size;
    }
    this.buffers.push(buffer);
    this.blocks += fresh.length;
    for (const block of fresh) this.#fill(block, POISON_FREED);
    // The first of them is handed out first.
    this.free_.push(...fresh.reverse());
  }

  // The link at the start of a free block changes when blocks are allocated and freed; the poison after it must not.
  #checkFree({ physical }: PoolBlock): void {
    const bytes = this.#memory.read(physical, this.size);
    if (bytes.subarray(LINK_BYTES).every((byte) => byte === POISON_FREED)) return;
    const virtual = (BigInt(physical) + 0xffff888000000000n).toString(16);
    this.#say('POOL_CORRUPTED', `pool_check_block ${this.name}, ${virtual} (corrupted)`);
  }

  #fill({ physical }: PoolBlock, byte: number): void {
    this.#memory.write(physical, new Uint8Array(this.size).fill(byte));
  }

  #say(id: DmaPoolMessage, text: string): void {
    this.#log(this.device, id, text);
  }
}
