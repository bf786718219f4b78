import { checkTransfer } from '../core/arguments.js';
import { checkInteger, ERRNO } from '../core/errors.js';
import type { DmaDeviceHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY, Life } from '../core/life.js';
import type { DmaDevice } from './device.js';
import { type Direction, DMA_BIDIRECTIONAL, PHYSICAL_LIMIT } from './transfer.js';

/** The two-step mapping (dma_iova_try_alloc, dma_iova_link): what `device.allocIova` gives. */

/** Address space that memory is linked into piece by piece (struct dma_iova_state). */
export class LinkedRange {
  static {
    guard(LinkedRange, (one) => #life in one);
  }

  /** The device in whose address space the range is. */
  readonly device: DmaDevice;
  /** The device's address of the first byte. */
  readonly address: number;
  /** Bytes of device address space that the range holds. */
  readonly size: number;
  readonly #life: Life;

  /** @internal `device.allocIova` makes them. */
  constructor(maker: typeof LIBRARY, device: DmaDevice, address: number, size: number) {
    checkMaker(maker, 'LinkedRange');
    this.device = device;
    this.address = address;
    this.size = size;
    this.#life = new Life(device.host.core.timeline, 'linked range');
    Object.freeze(this);
  }

  /** Links memory at an offset (dma_iova_link). Throws EIO where the offsets in the page disagree, ENOMEM, EINVAL. */
  link(offset: number, physical: number, length: number, dir: Direction, attrs = 0): void {
    this.checkPiece(offset, length);
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - length);
    checkTransfer(dir, attrs);
    this.#life.enter('dma_iova_link');
    const record = this.device.begin('dma_iova_link');
    const rc = this.device.host.core.exports.dmaIovaLink(record, this.address, offset, physical, length, dir, attrs);
    if (rc < 0) throw this.device.failed('dma_iova_link', rc, `${length} bytes at offset ${offset}`);
    this.device.settle();
  }

  /**
   * Makes what was linked visible to the device (dma_iova_sync).
   * @throws RangeError outside of the range; GemDmaError EINVAL if a part of it is not linked
   */
  sync(offset = 0, length = this.size - offset): void {
    this.checkPiece(offset, length);
    const rc = this.device.host.core.exports.dmaIovaSync(this.#enter('dma_iova_sync'), this.address, offset, length);
    if (rc < 0) throw this.device.failure('dma_iova_sync', rc, `${length} bytes at offset ${offset}`);
  }

  /** Unlinks what was linked at an offset; the space stays reserved (dma_iova_unlink). */
  unlink(offset: number, length: number, dir: Direction, attrs = 0): void {
    this.checkPiece(offset, length);
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_iova_unlink');
    this.device.host.core.exports.dmaIovaUnlink(record, this.address, offset, length, dir, attrs);
    this.device.settle();
  }

  /**
   * Frees the range: with nothing linked (dma_iova_free), or after unlinking the first `linked` bytes (dma_iova_destroy). The range
   * cannot be used afterwards.
   * @throws GemDmaError ENODEV when it was given back before
   */
  free(linked = 0, dir: Direction = DMA_BIDIRECTIONAL, attrs = 0): void {
    checkInteger('linked', linked, 0, this.size);
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_iova_destroy');
    this.device.host.core.exports.dmaIovaDestroy(record, this.address, linked, this.size, dir, attrs);
    this.#life.end();
    this.device.settle();
  }

  #enter(call: string): DmaDeviceHandle {
    this.#life.enter(call);
    return this.device.enter(call);
  }

  private checkPiece(offset: number, length: number): void {
    checkInteger('offset', offset, 0, this.size - 1);
    checkInteger('length', length, 1, this.size - offset);
  }
}

/** @internal The body of `device.allocIova`. */
export function allocIova(device: DmaDevice, size: number, physical: number): LinkedRange {
  const call = 'dma_iova_try_alloc';
  checkInteger('size', size, 1, PHYSICAL_LIMIT);
  checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
  const record = device.begin(call);
  const address = device.host.core.exports.dmaIovaTryAlloc(record, physical, size);
  if (address < 0) {
    const code = device.reason === 'DMA_NO_IOMMU' ? ERRNO.EINVAL : ERRNO.ENOMEM;
    throw device.failed(call, -code, `${size} bytes of address space`);
  }
  const range = new LinkedRange(LIBRARY, device, address, size);
  device.settle(range);
  return range;
}
