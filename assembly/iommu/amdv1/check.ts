// Walks the tables of an AMD domain.

import { Context } from '../../memory/context';
import { IommuDomain } from '../domain';
import { TABLE_WINDOW, TABLE_SIZE } from '../tables';
import { AmdDomain, amdOf } from './amd-domain';
import {
  MAX_MODE, NEXT_LEVEL_SIZED, PTE_ADDRESS, PTE_FORCE_COHERENT, PTE_READ, PTE_WRITE, TABLE_ENTRIES, isPointer, isPresent,
  leafShift, levelOfPage, nextLevel, tableOf,
} from './pte';

const POINTER_FLAGS: u64 = PTE_READ | PTE_WRITE;

/** AmdFormat.check. */
export function amdCheck(at: IommuDomain): u32 {
  const domain = amdOf(at);
  const count = countTables(domain.ctx, domain.root, domain.levels);
  if (count == 0 || domain.freeList != 0) return 1;
  return count + lostTables(domain) == domain.tablePages ? 0 : 2;
}

function lostTables(domain: AmdDomain): u32 {
  let count: u32 = 0;
  for (let table = domain.leakedList; table != 0; table = <usize>load<u32>(table)) ++count;
  return count == domain.leaked ? count : 0xffffffff;
}

/** Tables of a subtree, its own included; 0 when it holds an entry that cannot be. */
function countTables(ctx: Context, table: usize, level: u32): u32 {
  if (table < ctx.end || table >= ctx.grown || (table & (TABLE_SIZE - 1)) != 0 || level > MAX_MODE) return 0;
  let count: u32 = 1;
  for (let i: u32 = 0; i < TABLE_ENTRIES; ++i) {
    const entry = load<u64>(table + (<usize>i << 3));
    if (entry == 0) continue;
    if (!isPresent(entry)) return 0;
    if (isPointer(entry)) {
      if (nextLevel(entry) != level - 1 || (entry & POINTER_FLAGS) != POINTER_FLAGS) return 0;
      if ((entry & PTE_ADDRESS) >> 32 != TABLE_WINDOW >> 32) return 0;
      const below = countTables(ctx, tableOf(entry), level - 1);
      if (below == 0) return 0;
      count += below;
    } else {
      if ((entry & PTE_FORCE_COHERENT) == 0) return 0;
      // A stale set may hold fewer slots than its size, but each entry's size is one of its level.
      if (nextLevel(entry) == NEXT_LEVEL_SIZED && levelOfPage(leafShift(entry, level)) != level) return 0;
    }
  }
  return count;
}
