import { checkInteger, GemDmaError, invalidType } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { CoherentBuffer } from './coherent.js';
import type { DmaDevice } from './device.js';
import { DmaPages } from './pages.js';
import { ScatterTable } from './sg-table.js';

/** Memory of the DMA API for other users: the pages that a process maps (dma_mmap_attrs), and a table over it (dma_get_sgtable). */

const MAX_PAGES = 2 ** 20;

/** @internal The body of `device.mmap`. */
export function mmapPages(
  device: DmaDevice,
  buffer: CoherentBuffer | DmaPages,
  pageOffset: number,
  pages: number | undefined,
): Uint32Array {
  const call = 'dma_mmap_attrs';
  checkInteger('pageOffset', pageOffset, 0, MAX_PAGES);
  if (pages !== undefined) checkInteger('pages', pages, 1, MAX_PAGES);
  device.enter(call);
  if (!CoherentBuffer.is(buffer) && !DmaPages.is(buffer)) throw invalidType('buffer', 'memory of the DMA API', buffer);
  device.tableRecord(buffer.table, call);
  const count = Math.ceil(buffer.length / PAGE_SIZE);
  const wanted = pages ?? count - pageOffset;
  if (pageOffset >= count || wanted > count - pageOffset) {
    const message = `pages ${pageOffset} to ${pageOffset + wanted - 1} of a buffer of ${count}`;
    throw new GemDmaError('ENXIO', call, message, { reason: 'MMAP_BEYOND_BUFFER' });
  }
  return buffer.table.pfns().slice(pageOffset, pageOffset + wanted);
}

/** @internal The body of `device.sgTable`. */
export function sgTableOf(device: DmaDevice, buffer: CoherentBuffer, length: number | undefined): ScatterTable {
  const call = 'dma_get_sgtable';
  if (length !== undefined) checkInteger('length', length, 1, 0xffffffff);
  device.enter(call);
  if (!CoherentBuffer.is(buffer)) throw invalidType('buffer', 'a CoherentBuffer', buffer);
  device.tableRecord(buffer.table, call);
  const bytes = length ?? buffer.length;
  const count = Math.ceil(bytes / PAGE_SIZE);
  const pfns = buffer.table.pfns();
  checkInteger('length', bytes, 1, pfns.length * PAGE_SIZE);
  // One block is one entry of whole pages. Scattered pages are an entry each, and the last ends with the buffer.
  return CoherentBuffer.isScattered(buffer)
    ? ScatterTable.fromPages(device.host, pfns.subarray(0, count), { size: bytes })
    : ScatterTable.fromEntries(device.host, [{ pfn: pfns[0], offset: 0, length: count * PAGE_SIZE }]);
}
