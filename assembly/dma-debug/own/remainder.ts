// What an unmap with too small a size leaves behind. The kernel's checker removes the entry, and the tables keep the pages
// that the size did not reach: the device still reaches them. Behind an IOMMU each such piece is an entry of ours from
// then on, lost as one whose address was overwritten, so that reports show it and a later free of its memory is found
// (pages.ts).

import { DmaDevice } from '../../device/device';
import { FAULT_DMA_DEBUG } from '../../memory/context';
import { shouldFail } from '../../memory/fault';
import { fieldOf } from '../../memory/record';
import { PAGE_MASK, PAGE_SHIFT } from '../../ram/ram';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../../memory/slab';
import { chainAt, chainInsert, chainRemove, entryLose, entryUncount, slotOf } from '../entries/chains';
import { ENTRY_PAGES, ENTRY_SIZE, Entry, TYPE_COHERENT, TYPE_REMAINDER, TYPE_SG, entryFill, kindOf } from '../entries/entry';
import { countPages, deferPages, forgetPages, translates } from '../entries/frames';
import { DebugState } from '../entries/state';

/** An entry is about to be forgotten, of which `size` bytes were unmapped: less than it has. */
export function leftMapped(state: DebugState, dev: DmaDevice, entry: Entry, size: u64): void {
  const from = (entry.address + size + PAGE_MASK) & ~PAGE_MASK;
  const end = (entry.address + entry.size + PAGE_MASK) & ~PAGE_MASK;
  if (from >= end || !translates(dev, from)) return;
  const ctx = state.ctx;
  const cache = slabCacheAt<Entry>(ctx, fieldOf(state, offsetof<DebugState>('linkCache')), ENTRY_SIZE);
  const piece: Entry | null = cache == null || shouldFail(ctx, FAULT_DMA_DEBUG) ? null : slabAllocZeroed(cache);
  if (piece == null) {
    ++state.linksMissed;
    return;
  }
  const phys = entry.phys + (from - entry.address);
  entryFill(state, piece, dev, from, end - from, phys, kindOf(TYPE_REMAINDER, entry.kind >> 8), 0, 0, 0, 0);
  piece.object = entry.object;
  piece.vma = entry.vma;
  piece.hook = entry.hook;
  piece.site = entry.site;
  const type = entry.kind & 0xff;
  // The pages of a merged list, and of coherent memory, are anywhere: the page tables tell where.
  if (type == TYPE_COHERENT || (type == TYPE_SG && entry.sgMappedEnts != entry.sgCallEnts)) {
    piece.sgCallEnts = 2;
    piece.sgMappedEnts = 1;
    piece.flags |= deferPages(state, piece);
  } else piece.flags |= countPages(state, piece);
  chainInsert(state, piece);
  ++state.links;
  entryLose(state, piece);
}

/** An unmap of what no mapping begins at: if a piece does, it is gone now. */
export function endRemainder(state: DebugState, dev: DmaDevice, address: u64): void {
  for (let entry = chainAt(slotOf(state, dev, address >> PAGE_SHIFT)); entry != null; entry = entry!.next) {
    if (entry.device != dev || entry.address != address || (entry.kind & 0xff) != TYPE_REMAINDER) continue;
    if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
    chainRemove(state, entry);
    entryUncount(state, entry);
    --state.links;
    slabFree<Entry>(state.linkCache!, entry);
    return;
  }
}
