import { badAddress, checkBoolean, checkOptions, checkTransfer, isAddress } from '../core/arguments.js';
import { checkInteger, ERRNO, invalidType } from '../core/errors.js';
import {
  ALLOC_ATOMIC,
  ALLOC_UNTRACKED,
  DMA_ATTR_FORCE_CONTIGUOUS,
  DMA_ATTR_NO_KERNEL_MAPPING,
} from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY } from '../core/life.js';
import type { DmaDevice } from './device.js';
import { DmaDomain } from './dma-domain.js';
import { ScatterTable } from './sg-table.js';
import { DMA_BIDIRECTIONAL } from './transfer.js';

/** Coherent memory (dma_alloc_attrs): what `device.allocCoherent` gives. */

const MAX_U32 = 0xffffffff;
/** Beside the core's flags: the frames are anywhere, one by one (iommu_dma_alloc_remap). */
const SCATTERED = 2 ** 30;

/** How coherent memory is asked for, besides its attributes. */
export interface AllocOptions {
  /** The caller must not sleep (GFP_ATOMIC). Default false. */
  atomic?: boolean;
}

/** Coherent memory of a device; `table` has its frames. */
export class CoherentBuffer {
  static {
    guard(CoherentBuffer, (one) => #table in one);
  }

  /** The device that the memory is coherent for. */
  readonly device: DmaDevice;
  /** Bytes asked for; whole pages are there. */
  readonly length: number;
  /** The device's address of the first byte. */
  readonly address: number;
  /** Pages of the memory and their DMA addresses, as dma_get_sgtable has them. */
  readonly table: ScatterTable;
  /** The table again: of a made-up object it cannot be read. */
  readonly #table: ScatterTable;
  /** ALLOC_UNTRACKED if dma-debug does not see it, SCATTERED. */
  readonly #flags: number;

  /** @internal `device.allocCoherent` makes them. */
  constructor(
    maker: typeof LIBRARY,
    device: DmaDevice,
    length: number,
    table: ScatterTable,
    address: number,
    flags = 0,
  ) {
    checkMaker(maker, 'CoherentBuffer');
    this.device = device;
    this.length = length;
    this.table = table;
    this.#table = table;
    this.#flags = flags;
    this.address = address;
    Object.freeze(this);
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(value: unknown): value is CoherentBuffer {
    return typeof value === 'object' && value !== null && #table in value;
  }

  /** @internal */
  static flagsOf(buffer: CoherentBuffer): number {
    return buffer.#flags;
  }

  /** @internal Whether the kernel keeps its frames as an array, not as one block. */
  static isScattered(buffer: CoherentBuffer): boolean {
    return (buffer.#flags & SCATTERED) !== 0;
  }

  /** Whether it can be used: it was not freed, and no restore went back to a time before it was allocated. */
  get alive(): boolean {
    return this.#table.alive;
  }

  /** Frees the buffer as a correct driver does. A second call does nothing. */
  free(): void {
    if (this.#table.ending('dma_free_coherent')) this.device.freeCoherent(this);
  }

  /** Frees the memory, as `free()`. */
  [Symbol.dispose](): void {
    if (this.alive && this.device.alive) this.free();
  }
}

/** @internal The body of `device.allocCoherent`. */
export function allocCoherent(device: DmaDevice, length: number, attrs: number, options: AllocOptions): CoherentBuffer {
  const call = 'dma_alloc_coherent';
  checkInteger('length', length, 1, MAX_U32);
  checkTransfer(DMA_BIDIRECTIONAL, attrs);
  const atomic = checkBoolean('atomic', checkOptions('options', options, ['atomic']).atomic, false);
  const record = device.begin(call);
  const { declaredMemory } = device;
  if (declaredMemory !== null) return declaredMemory.alloc(length);
  const { exports } = device.host.core;
  // Without a mapping there is no CPU address for dma-debug (dma_direct_alloc_no_mapping).
  const translated = device.domain instanceof DmaDomain;
  const scatters = device.host.kernel?.mergeSegments !== false;
  const untold = (attrs & DMA_ATTR_NO_KERNEL_MAPPING) !== 0 && !translated ? ALLOC_UNTRACKED : 0;
  const how = attrs | untold | (atomic ? ALLOC_ATOMIC : 0);
  const flags =
    untold | (translated && scatters && !atomic && (attrs & DMA_ATTR_FORCE_CONTIGUOUS) === 0 ? SCATTERED : 0);
  const handle = exports.dmaAllocCoherent(record, length, how);
  if (handle === 0) throw device.failed(call, -ERRNO.ENOMEM, `${length} bytes of coherent memory`);
  const table = ScatterTable.lend(LIBRARY, device.host, handle);
  const buffer = new CoherentBuffer(LIBRARY, device, length, table, table.dmaAddress(0), flags);
  try {
    device.settle(buffer);
  } catch (error) {
    if ((error as { result?: unknown } | undefined)?.result === buffer) throw error;
    // A callback's error: the caller gets no buffer.
    exports.dmaFreeCoherent(record, handle, length, buffer.address, flags);
    buffer.table.forget();
    throw error;
  }
  return buffer;
}

/** @internal The body of `device.freeCoherent`. */
export function freeCoherent(
  device: DmaDevice,
  buffer: CoherentBuffer,
  claimed: { length?: number; address?: number },
): void {
  const call = 'dma_free_coherent';
  const record = device.enter(call);
  if (!CoherentBuffer.is(buffer)) throw invalidType('buffer', 'a CoherentBuffer', buffer);
  const list = device.tableRecord(buffer.table, call);
  const { length: bytes = buffer.length, address: at = buffer.address } = claimed;
  checkInteger('length', bytes, 0, MAX_U32);
  if (!isAddress(at)) badAddress(at);
  const { declaredMemory } = device;
  if (declaredMemory?.free(buffer, bytes)) return;
  const flags = CoherentBuffer.flagsOf(buffer);
  device.host.core.exports.dmaFreeCoherent(record, list, bytes, at, flags);
  buffer.table.forget();
  device.settle();
}
