// Checks of GPU tables, for machineCheck.

import { contentsPeek } from '../ram/contents';
import { PAGE_SHIFT, ramOf } from '../ram/ram';
import { Ggtt, ggttEntry } from './ggtt';
import { PageTable, childAt, levelEntries } from './page-table';
import { PPGTT_GEN8, PPGTT_GEN8_48BIT, Ppgtt, scratchTable } from './ppgtt';
import { isWide, pdeEncode, pteValid } from './pte';

const WRONG_GUARD: u32 = 9; // the last page of a global GTT is not on the scratch page
const WRONG_PAGE: u32 = 10; // a table's bytes are not its frame's
const WRONG_DIRECTORY: u32 = 11; // an entry does not lead where the table below is, or to scratch
const WRONG_ENTRY: u32 = 12; // an entry of a page table that is not valid
const WRONG_TABLES: u32 = 13; // more or fewer tables than are counted

/** Returns 0 or what is wrong: 9 the guard page. */
export function ggttCheck(ggtt: Ggtt): u32 {
  return ggttEntry(ggtt, <u32>(ggtt.total >> PAGE_SHIFT) - 1) == ggtt.scratchEntry ? 0 : WRONG_GUARD;
}

/** Returns 0 or what is wrong: 10 page, 11 directory, 12 entry, 13 count. */
export function ppgttCheck(ppgtt: Ppgtt): u32 {
  const root = ppgtt.root!;
  const counted: u32 = ppgtt.levels == PPGTT_GEN8_48BIT ? 1 : 0;
  const found = subtreeCheck(ppgtt, root);
  if (found < 0) return <u32>-found;
  return <u32>found + counted == ppgtt.tables ? 0 : WRONG_TABLES;
}

/** Tables below a directory, or a negative code. */
function subtreeCheck(ppgtt: Ppgtt, table: PageTable): i32 {
  const platform = ppgtt.platform;
  const ctx = ppgtt.ctx;
  if (table.pfn != 0 && contentsPeek(ramOf(ctx), table.pfn) != table.bytes) return -WRONG_PAGE;
  const registers = table.level == PPGTT_GEN8 && ppgtt.levels == PPGTT_GEN8;
  const entries: u32 = registers ? 4 : levelEntries(platform, table.level);
  let count = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const entry = isWide(platform) ? load<u64>(table.bytes + (<usize>i << 3)) : <u64>load<u32>(table.bytes + (<usize>i << 2));
    if (table.level == 1) {
      if (!pteValid(entry)) return -WRONG_ENTRY;
      continue;
    }
    let at = childAt(table, i);
    if (at != null) {
      const below = subtreeCheck(ppgtt, at);
      if (below < 0) return below;
      count += below + 1;
    } else {
      at = scratchTable(ppgtt, table.level - 1);
      // Nothing can be missing where everything was made at once.
      if (at == null) return -WRONG_DIRECTORY;
    }
    const address = at.address;
    if (entry != (registers ? address : pdeEncode(platform, address))) return -WRONG_DIRECTORY;
  }
  return count;
}
