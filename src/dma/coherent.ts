import { badAddress, checkTransfer, isAddress } from '../core/arguments.js';
import { checkInteger, ERRNO, invalidType } from '../core/errors.js';
import { checkMaker, LIBRARY } from '../core/life.js';
import type { DmaDevice } from './device.js';
import { ScatterTable } from './sg-table.js';
import { DMA_BIDIRECTIONAL } from './transfer.js';

/** Coherent memory (dma_alloc_attrs): what `device.allocCoherent` gives. */

const MAX_U32 = 0xffffffff;

/** Coherent memory of a device; `table` has its frames. */
export class CoherentBuffer {
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

  /** @internal `device.allocCoherent` makes them. */
  constructor(maker: typeof LIBRARY, device: DmaDevice, length: number, table: ScatterTable) {
    checkMaker(maker, 'CoherentBuffer');
    this.device = device;
    this.length = length;
    this.table = table;
    this.#table = table;
    this.address = table.dmaAddress(0);
    Object.freeze(this);
  }

  /** @internal Whether it is one, and no made-up object. */
  static is(value: unknown): value is CoherentBuffer {
    return typeof value === 'object' && value !== null && #table in value;
  }

  /** Whether it can be used: it was not freed, and the machine did not go back to before it was allocated. */
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
export function allocCoherent(device: DmaDevice, length: number, attrs: number): CoherentBuffer {
  const call = 'dma_alloc_coherent';
  checkInteger('length', length, 1, MAX_U32);
  checkTransfer(DMA_BIDIRECTIONAL, attrs);
  const record = device.begin(call);
  const { exports } = device.host.core;
  const handle = exports.dmaAllocCoherent(record, length, attrs);
  if (handle === 0) throw device.failed(call, -ERRNO.ENOMEM, `${length} bytes of coherent memory`);
  const buffer = new CoherentBuffer(LIBRARY, device, length, ScatterTable.lend(LIBRARY, device.host, handle));
  try {
    device.settle(buffer);
  } catch (error) {
    if ((error as { result?: unknown } | undefined)?.result === buffer) throw error;
    // A callback's error: the caller gets no buffer.
    exports.dmaFreeCoherent(record, handle, length, buffer.address);
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
  device.host.core.exports.dmaFreeCoherent(record, list, bytes, at);
  buffer.table.forget();
  device.settle();
}
