// Walks the unit: every domain's tables, the positions that CPUs remember, the IOTLB against the tables, the counters.

import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { ENTRY_PRESENT } from './context';
import { IommuDomain, Position, pfnLimit, positionOf, tableFind } from './domain';
import { IOTLB_ENTRY, IotlbEntry, iotlbEntries } from './iotlb';
import {
  PTE_ADDRESS, PTE_LARGE, PTE_PRESENT, PTE_SNOOP, TABLE_ENTRIES, TABLE_WINDOW, levelShift, slotAt, tableOf,
} from './pte';
import { straysCount } from './stray';
import { Iommu, tablePages } from './unit';

/**
 * @returns 0, or what is wrong in bits 27..20 and the domain's id below:
 *   1 an entry that cannot be, 2 the number of table pages, 3 a position, 4 the number of cached entries, 5 a cached
 *   entry that differs from the tables and is not stale, 6 the unit's counters, 7 a context entry
 */
export function iommuCheck(ctx: Context): u32 {
  const unit = changetype<Iommu>(ctx.iommu);
  let tables: u32 = 0;
  let cached: u32 = 0;
  let attached: u32 = 0;
  let domains: u32 = 0;
  for (let at = unit.domains; at != null; at = at!.next) {
    const domain = at;
    const count = countTables(ctx, domain.root, domain.levels);
    if (count == 0) return 1 << 20 | domain.id;
    if (count + straysCount(domain) != domain.tablePages) return 2 << 20 | domain.id;
    if (!positionRight(domain, positionOf(domain))) return 3 << 20 | domain.id;
    tables += domain.tablePages;
    cached += domain.cached;
    attached += domain.attached;
    ++domains;
  }
  if (domains != unit.domainCount || cached != iotlbEntries(unit)) return 4 << 20;
  if (tables + unit.contextTables + (unit.rootTable != 0 ? 1 : 0) != tablePages(ctx)) return 6 << 20;
  const wrong = iotlbCheck(unit);
  if (wrong != 0) return wrong;
  return contextsPresent(unit) >= attached ? 0 : 7 << 20;
}

/** Tables of a subtree, its own included; 0 when it holds an entry that cannot be. */
function countTables(ctx: Context, table: usize, level: u32): u32 {
  if (table < ctx.end || table >= ctx.grown || (table & 4095) != 0) return 0;
  let count: u32 = 1;
  for (let i: usize = 0; i < TABLE_ENTRIES; ++i) {
    const entry = load<u64>(table + (i << 3));
    if (entry == 0) continue;
    if ((entry & PTE_PRESENT) == 0 || (entry & ~(PTE_ADDRESS | PTE_PRESENT | PTE_LARGE | PTE_SNOOP)) != 0) return 0;
    const large = (entry & PTE_LARGE) != 0;
    if (level == 1 || large) {
      if (large && (level == 1 || level > 3)) return 0;
      if (((entry & PTE_ADDRESS) >> 12 & ((<u64>1 << levelShift(level)) - 1)) != 0) return 0;
    } else {
      if ((entry & PTE_ADDRESS) >> 32 != TABLE_WINDOW >> 32) return 0;
      const below = countTables(ctx, tableOf(entry), level - 1);
      if (below == 0) return 0;
      count += below;
    }
  }
  return count;
}

// Only this CPU's: another's may move while it is looked at.
function positionRight(domain: IommuDomain, position: Position): bool {
  assert(currentCpu() < domain.ctx.cpuCount);
  if (position.reserve != 0) return false;
  if (position.leafGeneration == domain.leafGeneration && position.leafKey < pfnLimit(domain) >> 9) {
    if (tableFind(domain, position, position.leafKey << 9, 1, false) != position.leaf) return false;
  }
  if (position.midGeneration == domain.midGeneration && position.midKey < pfnLimit(domain) >> 18) {
    if (tableFind(domain, position, position.midKey << 18, 2, false) != position.mid) return false;
  }
  return true;
}

function iotlbCheck(unit: Iommu): u32 {
  if (unit.iotlb == 0) return 0;
  const end = unit.iotlb + <usize>(unit.iotlbSets * unit.iotlbWays) * IOTLB_ENTRY;
  for (let at = unit.iotlb; at < end; at += IOTLB_ENTRY) {
    const entry = changetype<IotlbEntry>(at);
    if (entry.leaf == 0 || entry.stale != 0) continue;
    const domain = entry.domain;
    const pfn = entry.page << levelShift(entry.level);
    const table = tableFind(domain, positionOf(domain), pfn, entry.level, false);
    if (table == 0 || load<u64>(slotAt(table, pfn, entry.level)) != entry.leaf) return 5 << 20 | domain.id;
  }
  return 0;
}

function contextsPresent(unit: Iommu): u32 {
  if (unit.rootTable == 0) return 0;
  let count: u32 = 0;
  for (let bus: usize = 0; bus < 256; ++bus) {
    const root = load<u64>(unit.rootTable + (bus << 4));
    if ((root & ENTRY_PRESENT) == 0) continue;
    for (let i: usize = 0; i < 256; ++i) {
      if ((load<u64>(tableOf(root) + (i << 4)) & ENTRY_PRESENT) != 0) ++count;
    }
  }
  return count;
}
