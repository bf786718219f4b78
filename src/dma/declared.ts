import { checkInteger, GemDmaError } from '../core/errors.js';
import { PAGE_SIZE, REASON_DMA_DECLARED_FULL } from '../core/generated/constants.js';
import { LIBRARY } from '../core/life.js';
import { CoherentBuffer } from './coherent.js';
import type { DmaDevice } from './device.js';
import { type BusRegion, ScatterTable } from './sg-table.js';
import { PHYSICAL_LIMIT } from './transfer.js';

/**
 * Coherent memory that is declared for one device (kernel/dma/coherent.c): a piece of a BAR that its coherent buffers come from. A
 * buffer is the lowest free aligned block of 2^n pages; dma-debug does not see it.
 */
export class DeclaredMemory {
  private readonly device: DmaDevice;
  private readonly region: BusRegion;
  private readonly physical: number;
  private readonly address: number;
  private readonly pages: number;
  /** Pages that are taken. */
  private readonly taken: Uint8Array;
  private readonly buffers = new Set<CoherentBuffer>();

  constructor(device: DmaDevice, region: BusRegion, physical: number, address: number, pages: number) {
    this.device = device;
    this.region = region;
    this.physical = physical;
    this.address = address;
    this.pages = pages;
    this.taken = new Uint8Array(pages);
  }

  /** The physical address of a device address; undefined outside of the memory. */
  physicalAt(address: number, length: number): number | undefined {
    const offset = address - this.address;
    return offset >= 0 && offset + length <= this.pages * PAGE_SIZE ? this.physical + offset : undefined;
  }

  /** dma_alloc_from_dev_coherent: if it is full, RAM is not used instead. */
  alloc(length: number): CoherentBuffer {
    const { exports } = this.device.host.core;
    const count = blockOf(length);
    let page = 0;
    while (page + count <= this.pages && this.taken.subarray(page, page + count).includes(1)) page += count;
    if (page + count > this.pages) {
      const message = `no ${length} bytes are free in one piece of the declared memory of device ${this.device.id}`;
      exports.deviceRefuse(this.device.handle, REASON_DMA_DECLARED_FULL);
      throw new GemDmaError('ENOMEM', 'dma_alloc_coherent', message, { reason: 'DMA_DECLARED_FULL' });
    }
    const at = this.physical + page * PAGE_SIZE;
    const table = ScatterTable.lendRun(LIBRARY, this.device.host, at / PAGE_SIZE, Math.ceil(length / PAGE_SIZE));
    this.taken.fill(1, page, page + count);
    this.region.write(at - this.region.address, new Uint8Array(length));
    const buffer = new CoherentBuffer(LIBRARY, this.device, length, table, this.address + page * PAGE_SIZE);
    this.buffers.add(buffer);
    exports.deviceAccept(this.device.handle);
    return buffer;
  }

  /**
   * dma_release_from_dev_coherent: as many pages as the length takes.
   * @returns false for a buffer of the system's memory
   */
  free(buffer: CoherentBuffer, length: number): boolean {
    if (!this.buffers.delete(buffer)) return false;
    const page = (buffer.address - this.address) / PAGE_SIZE;
    this.taken.fill(0, page, page + blockOf(Math.max(length, 1)));
    this.#forget(buffer);
    return true;
  }

  /** The memory is taken back, with the buffers in it. */
  end(): void {
    for (const buffer of this.buffers) this.#forget(buffer);
    this.buffers.clear();
  }

  #forget({ table }: CoherentBuffer): void {
    if (!table.alive) return;
    this.device.host.core.exports.sgDestroy(table.handle);
    table.forget();
  }
}

/** Pages of the block that holds so many bytes (get_order). */
function blockOf(length: number): number {
  return 2 ** Math.ceil(Math.log2(Math.ceil(length / PAGE_SIZE)));
}

/** @internal The body of `device.declareCoherentMemory`. */
export function declareMemory(
  device: DmaDevice,
  present: DeclaredMemory | null,
  physical: number,
  address: number,
  size: number,
): DeclaredMemory {
  const call = 'dma_declare_coherent_memory';
  checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
  checkInteger('address', address, 0, PHYSICAL_LIMIT - 1);
  checkInteger('size', size, PAGE_SIZE, PHYSICAL_LIMIT);
  device.enter(call);
  if (present !== null) {
    throw new GemDmaError('EBUSY', call, `device ${device.id} has declared memory already`);
  }
  const region = device.host.bars?.at(physical);
  const whole = physical % PAGE_SIZE === 0 && address % PAGE_SIZE === 0;
  if (region === undefined || !whole || physical + size > region.address + region.size) {
    throw new GemDmaError('EINVAL', call, `0x${physical.toString(16)}+${size} is not memory of whole pages in one BAR`);
  }
  return new DeclaredMemory(device, region, physical, address, Math.floor(size / PAGE_SIZE));
}
