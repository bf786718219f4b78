import { GemDmaError } from '../core/errors.js';
import { LOW_END_MAX, PAGE_SIZE } from '../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle, SgTableHandle } from '../core/generated/exports.js';
import { DmaDeviceView } from '../core/generated/records.js';
import type { Core } from '../core/instance.js';
import { LIBRARY } from '../core/life.js';
import type { DmaDevice } from './device.js';
import { DmaDomain } from './dma-domain.js';
import { ScatterTable } from './sg-table.js';

/**
 * The contiguous memory area (kernel/dma/contiguous.c, mm/cma.c): RAM that `cma=` reserves. An allocation of one block of more than a
 * page tries it first.
 */

/** pageblock_nr_pages: what areas are multiples of. */
const UNIT = 512;
/** CONFIG_CMA_ALIGNMENT: blocks are aligned to their order, to this at most. */
const MAX_ALIGN_ORDER = 8;
const FOUR_GIB = 0x100000;

/** A machine's contiguous memory area (struct cma). */
export class ContiguousArea {
  /** pfn of its first frame. */
  readonly first: number;
  /** Frames of 4 KiB, a multiple of 512. */
  readonly pages: number;
  private readonly taken: Uint8Array;

  private constructor(first: number, pages: number) {
    this.first = first;
    this.pages = pages;
    this.taken = new Uint8Array(pages);
  }

  /**
   * Sets the area aside: at 4 GiB where there is RAM, else as high as there is room (cma_declare_contiguous).
   * @throws GemDmaError ENOMEM
   * @internal
   */
  static reserve(core: Core, context: ContextHandle, size: number, ram: number): ContiguousArea {
    const pages = Math.ceil(size / PAGE_SIZE / UNIT) * UNIT;
    const all = Math.floor(ram / PAGE_SIZE);
    const { rangeReserve } = core.exports;
    if (all - LOW_END_MAX >= pages && rangeReserve(context, FOUR_GIB, pages))
      return new ContiguousArea(FOUR_GIB, pages);
    const low = Math.min(all, LOW_END_MAX);
    for (let first = Math.floor((low - pages) / UNIT) * UNIT; first >= UNIT; first -= UNIT) {
      if (rangeReserve(context, first, pages)) return new ContiguousArea(first, pages);
    }
    throw new GemDmaError('ENOMEM', 'cma_declare_contiguous', `no ${size} bytes of RAM are free in one piece`);
  }

  /** The first block that is free (cma_alloc); 0 for none. */
  take(pages: number): number {
    const step = 2 ** Math.min(Math.ceil(Math.log2(pages)), MAX_ALIGN_ORDER);
    for (let at = 0; at + pages <= this.pages; at += step) {
      if (this.taken.subarray(at, at + pages).includes(1)) continue;
      this.taken.fill(1, at, at + pages);
      return this.first + at;
    }
    return 0;
  }

  /** Gives a block back (cma_release). Returns false for one that is not of the area. */
  release(pfn: number, pages: number): boolean {
    if (pfn < this.first || pfn >= this.first + this.pages) return false;
    this.taken.fill(0, pfn - this.first, pfn - this.first + pages);
    return true;
  }

  /** Pages that are free. */
  get free(): number {
    return this.taken.reduce((sum, taken) => sum + 1 - taken, 0);
  }
}

/**
 * A block of the area, zeroed and mapped (dma_alloc_contiguous, then as dmaAllocCoherent).
 * @returns 0 where the area has none, or none that the device reaches
 */
export function allocFromArea(
  device: DmaDevice,
  record: DmaDeviceHandle,
  length: number,
  flags: number,
): SgTableHandle | 0 {
  const { host } = device;
  const { core, cma, ram } = host;
  const pages = Math.ceil(length / PAGE_SIZE);
  if (!cma || !ram || pages < 2 || device.restricted) return 0;
  const pfn = cma.take(pages);
  if (pfn === 0) return 0;
  const { dmaMapCoherent, dmaUnmapCoherent, sgDestroy } = core.exports;
  const table = ScatterTable.lendRun(LIBRARY, host, pfn, pages);
  const { handle } = table;
  if (dmaMapCoherent(record, handle, length, flags) === 0) {
    const address = core.exports.sgDmaPage(handle, 0);
    const translated = device.domain instanceof DmaDomain;
    if (translated || (address >= 0 && address + length - 1 <= new DmaDeviceView(core, record).coherentMask)) {
      for (let page = pfn; page < pfn + pages; ++page) {
        if (ram.read(page * PAGE_SIZE, PAGE_SIZE).some((byte) => byte !== 0)) {
          ram.write(page * PAGE_SIZE, new Uint8Array(PAGE_SIZE));
        }
      }
      table.forget();
      return handle;
    }
    dmaUnmapCoherent(record, handle, length, address, flags);
  }
  sgDestroy(handle);
  table.forget();
  cma.release(pfn, pages);
  return 0;
}

/** Frees what allocFromArea gave. Returns false for other memory. */
export function freeToArea(
  device: DmaDevice,
  table: ScatterTable,
  length: number,
  address: number,
  flags: number,
): boolean {
  const { core, cma } = device.host;
  if (!cma) return false;
  const [pfn, pages] = [table.pfn(0), table.pageCount];
  if (!cma.release(pfn, pages)) return false;
  core.exports.dmaUnmapCoherent(device.handle, table.handle, length, address, flags);
  core.exports.sgDestroy(table.handle);
  return true;
}
