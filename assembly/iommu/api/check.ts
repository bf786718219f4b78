// Checks the unit: the tables of all domains, the positions of CPUs, the IOTLB against the tables, the counters.

import { Context } from '../../memory/context';
import { formats } from '../formats/list';
import { iotlbAt, iotlbCapacity } from '../iotlb';
import { tablePages } from '../tables';
import { Iommu, unitIn } from '../unit';

/** Position of what is wrong in a verdict, above a domain's id. */
const WRONG_SHIFT: u32 = 20;

/**
 * @returns 0, or what is wrong in bits 27..20 and the domain's id below:
 *   1 an invalid entry, 2 the number of table pages, 3 a position, 4 the number of cached entries, 5 a cached
 *   entry that differs from the tables and is not stale, 6 the unit's counters, 7 the device table
 */
export function iommuCheck(ctx: Context): u32 {
  const unit = unitIn(ctx)!;
  let tables: u32 = 0;
  let cached: u32 = 0;
  let attached: u32 = 0;
  let domains: u32 = 0;
  for (let domain = unit.domains; domain != null; domain = domain!.next) {
    const wrong = formats().check(domain);
    if (wrong != 0) return wrong << WRONG_SHIFT | domain.id;
    tables += domain.tablePages;
    cached += domain.cached;
    // A device of a domain without a cookie may also have its own domain (deviceRedirect).
    if (domain.cookie != null) attached += domain.attached;
    ++domains;
  }
  if (domains != unit.domainCount || cached != unit.iotlbEntries) return 4 << WRONG_SHIFT;
  if (tables + unit.devicePages != tablePages(ctx)) return 6 << WRONG_SHIFT;
  const wrong = iotlbCheck(unit);
  if (wrong != 0) return wrong;
  return formats().attached(unit) >= attached ? 0 : 7 << WRONG_SHIFT;
}

function iotlbCheck(unit: Iommu): u32 {
  if (unit.iotlb == 0) return 0;
  for (let i: u32 = 0; i < iotlbCapacity(unit); ++i) {
    const entry = iotlbAt(unit, i);
    if (entry.leaf == 0 || entry.stale != 0) continue;
    if (formats().walk(entry.domain, entry.page << entry.shift) != entry.leaf) return 5 << WRONG_SHIFT | entry.domain.id;
  }
  return 0;
}
