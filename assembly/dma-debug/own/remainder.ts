// What an unmap with too small a size leaves behind. The kernel's checker removes the entry, and the tables keep the pages
// that the size did not reach: the device still reaches them. Behind an IOMMU each such piece is an entry of ours from
// then on, lost as one whose address was overwritten, so that reports show it and a later free of its memory is found
// (pages.ts).

import { DmaDevice } from '../../device/device';
import { PAGE_MASK, PAGE_SHIFT } from '../../ram/ram';
import { chainAt, chainInsert, chainRemove, entryLose, entryUncount, slotOf } from '../entries/chains';
import {
  ENTRY_PAGES, ENTRY_TABLES_TELL, Entry, TYPE_COHERENT, TYPE_REMAINDER, TYPE_SG, directionIn, entryFill, kindOf, typeIn,
} from '../entries/entry';
import { countPages, deferPages, forgetPages, translates } from '../entries/frames';
import { DebugState } from '../entries/state';
import { ownAlloc, ownFree } from '../entries/pool';

/** An entry is about to be forgotten, of which `size` bytes were unmapped: less than it has. */
export function leftMapped(state: DebugState, dev: DmaDevice, entry: Entry, size: u64): void {
  const from = (entry.address + size + PAGE_MASK) & ~PAGE_MASK;
  const end = (entry.address + entry.size + PAGE_MASK) & ~PAGE_MASK;
  if (from >= end || !translates(dev, from)) return;
  const piece = ownAlloc<Entry>(state);
  if (piece == null) return;
  const phys = entry.phys + (from - entry.address);
  entryFill(state, piece, dev, from, end - from, phys, kindOf(TYPE_REMAINDER, directionIn(entry.kind)), 0, 0, 0, 0);
  piece.object = entry.object;
  piece.vma = entry.vma;
  piece.hook = entry.hook;
  piece.site = entry.site;
  const type = typeIn(entry.kind);
  // The pages of a merged list, and of coherent memory, are anywhere: the page tables tell where.
  if (type == TYPE_COHERENT || (type == TYPE_SG && entry.sgMappedEnts != entry.sgCallEnts)) {
    piece.flags |= ENTRY_TABLES_TELL | deferPages(state, piece);
  } else piece.flags |= countPages(state, piece);
  chainInsert(state, piece);
  ++state.ownLive;
  entryLose(state, piece);
}

/** An unmap of what no mapping begins at: if a piece does, it is gone now. */
export function endRemainder(state: DebugState, dev: DmaDevice, address: u64): void {
  for (let entry = chainAt(slotOf(state, dev, address >> PAGE_SHIFT)); entry != null; entry = entry!.next) {
    if (entry.device != dev || entry.address != address || typeIn(entry.kind) != TYPE_REMAINDER) continue;
    if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
    chainRemove(state, entry);
    entryUncount(state, entry);
    --state.ownLive;
    ownFree(state, entry);
    return;
  }
}
