// Removes an entry from its chain, its lists and all counts.

import { PAGE_SHIFT } from '../../ram/ram';
import { lineOf, lineRemove, pairSound } from './cacheline';
import { countedIn, entryBefore, entryUncount, linesIn, slotOf, unchain } from './chains';
import { ENTRY_COUNTED, ENTRY_LINE, ENTRY_LISTED, ENTRY_LOST, ENTRY_OBJECT, ENTRY_PAGES, Entry } from './entry';
import { forgetPages } from './frames';
import { entryFree } from './pool';
import { DebugState } from './state';
import { sgUnlink } from './table';

/** Removes an entry. */
export function dropEntry(state: DebugState, entry: Entry): void {
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  drop(state, entry, slot, entryBefore(slot, entry));
}

export function drop(state: DebugState, entry: Entry, slot: usize, before: Entry | null): void {
  const flags = entry.flags;
  const counts = <u32>load<u16>(entry.pair);
  const sound = <u32>(entry.pair != 0) & pairSound(counts, linesIn(flags), countedIn(flags));
  if (sound != 0) {
    store<u16>(entry.pair, <u16>(counts - linesIn(flags) - countedIn(flags)));
    entry.flags = flags & ~(ENTRY_LINE | ENTRY_COUNTED);
  }
  dropCounts(state, entry);
  if ((flags & ENTRY_LISTED) != 0) sgUnlink(entry);
  if ((flags & (ENTRY_LOST | ENTRY_OBJECT)) != 0) entryUncount(state, entry);
  unchain(slot, before, entry);
  entryFree(state, entry);
}

function dropCounts(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_LINE) != 0) lineRemove(state, lineOf(state, entry));
  if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
}
