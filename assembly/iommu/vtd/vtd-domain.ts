// VT-d domains: shapes, creation and destruction, and the check of the tables.

import { PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';
import { Context } from '../../memory/context';
import { IommuDomain } from '../domain';
import { TABLE_WINDOW, tableAllocZeroed, TABLE_SIZE } from '../tables';
import { unitOf } from '../unit';
import {
  LEVEL_STRIDE, PTE_ADDRESS, PTE_LARGE, PTE_PRESENT, PTE_SNOOP, TABLE_ENTRIES, levelShift, tableOf,
} from './pte';
import { straysCount, straysFree } from './stray';
import {
  LEAF_PFNS, MID_PFNS, NO_KEY, Position, VtdDomain, pfnLimit, positionAt, positionOf, subtreeFree, tableFind, vtdOf,
} from './tables';

/** VtdFormat.width: 3 to 5 levels; 4 KiB pages, 2 MiB with them, 1 GiB with both. */
export function vtdWidth(levels: u32, width: u32, pageSizes: u64): u32 {
  if (levels < 3 || levels > 5 || width > 12 + levels * LEVEL_STRIDE || (width != 0 && width < 21)) return 0;
  if (pageSizes != PAGE_SIZE && pageSizes != 0x201000 && pageSizes != 0x40201000) return 0;
  return width == 0 ? 12 + levels * LEVEL_STRIDE : width;
}

/** VtdFormat.init. */
export function vtdDomainInit(at: IommuDomain, pageSizes: u64): bool {
  const domain = vtdOf(at);
  const root = tableAllocZeroed(unitOf(domain));
  if (root == 0) return false;
  domain.leafLevel = pageSizes == PAGE_SIZE ? 1 : pageSizes == 0x201000 ? 2 : 3;
  domain.root = root;
  domain.tablePages = 1;
  for (let cpu: u32 = 0; cpu < domain.ctx.cpuCount; ++cpu) {
    const position = positionAt(domain, cpu);
    position.leafKey = NO_KEY;
    position.midKey = NO_KEY;
  }
  return true;
}

/** VtdFormat.free. */
export function vtdDomainFree(at: IommuDomain): void {
  const domain = vtdOf(at);
  subtreeFree(domain, domain.root, domain.levels);
  straysFree(domain);
}

/** VtdFormat.check. */
export function vtdCheck(at: IommuDomain): u32 {
  const domain = vtdOf(at);
  const count = countTables(domain.ctx, domain.root, domain.levels);
  if (count == 0) return 1;
  if (count + straysCount(domain) != domain.tablePages) return 2;
  return positionRight(domain, positionOf(domain)) ? 0 : 3;
}

/** Tables of a subtree, its own included; 0 when it holds an entry that cannot be. */
function countTables(ctx: Context, table: usize, level: u32): u32 {
  if (table < ctx.end || table >= ctx.grown || (table & (TABLE_SIZE - 1)) != 0) return 0;
  let count: u32 = 1;
  for (let i: usize = 0; i < TABLE_ENTRIES; ++i) {
    const entry = load<u64>(table + (i << 3));
    if (entry == 0) continue;
    if ((entry & PTE_PRESENT) == 0 || (entry & ~(PTE_ADDRESS | PTE_PRESENT | PTE_LARGE | PTE_SNOOP)) != 0) return 0;
    const large = (entry & PTE_LARGE) != 0;
    if (level == 1 || large) {
      if (large && (level == 1 || level > 3)) return 0;
      if (((entry & PTE_ADDRESS) >> PAGE_SHIFT & ((<u64>1 << levelShift(level)) - 1)) != 0) return 0;
    } else {
      if ((entry & PTE_ADDRESS) >> 32 != TABLE_WINDOW >> 32) return 0;
      const below = countTables(ctx, tableOf(entry), level - 1);
      if (below == 0) return 0;
      count += below;
    }
  }
  return count;
}

// Only this CPU's position is checked: those of others may change meanwhile.
function positionRight(domain: VtdDomain, position: Position): bool {
  if (position.reserve != 0) return false;
  if (position.leafGeneration == domain.leafGeneration && position.leafKey < pfnLimit(domain) >> LEAF_PFNS) {
    if (tableFind(domain, position, position.leafKey << LEAF_PFNS, 1, false) != position.leaf) return false;
  }
  if (position.midGeneration == domain.midGeneration && position.midKey < pfnLimit(domain) >> MID_PFNS) {
    if (tableFind(domain, position, position.midKey << MID_PFNS, 2, false) != position.mid) return false;
  }
  return true;
}
