// Clearing the tables (__iommu_unmap, intel_iommu_unmap, domain_unmap).
//
// A range is cleared in pieces of one page size, as the IOMMU core cuts it. For each piece the walk to its first page ends at some
// level, and at least the span of an entry of that level is cleared. So an unmap of part of a large leaf removes the whole leaf,
// and an unmap of nothing may return a larger size than it was called with. A table is freed when one piece covers its span. The
// caller invalidates the IOTLB: at once in strict mode, later in lazy mode. Until then cached translations are stale.

import { PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';
import { KMSG_WALK_IN_DATA, kmsg } from '../../kmsg/kmsg';
import { lock, unlock } from '../../memory/lock';
import { IommuDomain } from '../domain';
import { iotlbUnmapped } from '../iotlb';
import { clearSlots } from './fill';
import { PTE_ADDRESS, PTE_LARGE, TABLE_ENTRIES, indexAt, levelShift, slotAt, tableOf } from './pte';
import { strayClear } from './stray';
import {
  DOMAIN_UNMAP_EXACT, LEAF_PFNS, LEAF_SHIFT, MID_PFNS, MID_SHIFT, Position, VtdDomain, leafFind, pfnLimit, positionOf,
  subtreeFree, vtdOf,
} from './tables';

/** Bytes of the next piece of a map or unmap: as many pages of the largest size that fits as come before a larger one. */
export function pieceOf(domain: VtdDomain, iova: u64, phys: u64, size: u64): u64 {
  const merged = iova | phys;
  let level: u32 = 1;
  while (level < domain.leafLevel) {
    const larger = <u64>PAGE_SIZE << levelShift(level + 1);
    if (size < larger || (merged & (larger - 1)) != 0) break;
    ++level;
  }
  if (level < domain.leafLevel) {
    const larger = <u64>PAGE_SIZE << levelShift(level + 1);
    if (((iova ^ phys) & (larger - 1)) == 0) {
      const lead = larger - (merged & (larger - 1));
      if (lead + larger <= size) return lead;
    }
  }
  const shift = 12 + levelShift(level);
  return size >> shift << shift;
}

/** Level at which the walk to a pfn ends, at a leaf or an empty entry. */
function stopLevel(domain: VtdDomain, position: Position, pfn: u64): u32 {
  if (position.leafKey == pfn >> LEAF_PFNS && position.leafGeneration == domain.leafGeneration) return 1;
  let table = domain.root;
  let level = domain.levels;
  if (position.midKey == pfn >> MID_PFNS && position.midGeneration == domain.midGeneration) {
    table = position.mid;
    level = 2;
  }
  while (level > 1) {
    const entry = load<u64>(slotAt(table, pfn, level));
    if (entry == 0 || (entry & PTE_LARGE) != 0) return level;
    table = tableOf(entry);
    --level;
  }
  return 1;
}

/**
 * iommuUnmap.
 * @returns bytes unmapped as the kernel counts them: more than size where a leaf or an empty entry spans more, 0 where iova is
 *   beyond the domain's levels
 */
export function vtdUnmap(at: IommuDomain, iova: u64, size: u64): u64 {
  const domain = vtdOf(at);
  const position = positionOf(domain);
  const pfn = iova >> PAGE_SHIFT;
  let done: u64 = 0;
  const pages = size >> PAGE_SHIFT;
  const leaf: usize = pages - 1 < TABLE_ENTRIES - 1 && indexAt(pfn, 1) + pages <= TABLE_ENTRIES && pfn < pfnLimit(domain)
    ? leafFind(domain, position, pfn) : 0;
  if (leaf != 0) {
    // Part of one table: one piece, and the table stays.
    clearSlots(slotAt(leaf, pfn, 1), <u32>pages);
    iotlbUnmapped(domain, pfn, pfn + pages - 1);
    done = size;
  } else if (isLarge(domain, position, iova, size)) {
    // One piece of 2 MiB leaves, or of tables in their place.
    clearLarge(domain, slotAt(position.mid, pfn, 2), <u32>(size >> LEAF_SHIFT));
    iotlbUnmapped(domain, pfn, pfn + pages - 1);
    done = size;
  } else if ((domain.flags & DOMAIN_UNMAP_EXACT) != 0) {
    if (size != 0 && pfn < pfnLimit(domain)) {
      clearRange(domain, position, pfn, pfn + (size >> PAGE_SHIFT) - 1);
      done = size;
    }
  } else {
    const limit = pfnLimit(domain) << PAGE_SHIFT;
    while (done < size) {
      const at = iova + done;
      if (at >= limit) break;
      const piece = max(
        pieceOf(domain, at, at, size - done), <u64>PAGE_SIZE << levelShift(stopLevel(domain, position, at >> PAGE_SHIFT)),
      );
      clearRange(domain, position, at >> PAGE_SHIFT, (at + piece - 1) >> PAGE_SHIFT);
      done += piece;
    }
  }
  return done;
}

/** unmapPage of the format: the table is the CPU's position. */
// @ts-ignore: decorator
@inline
export function vtdUnmapPage(at: IommuDomain, iova: u64): bool {
  const domain = vtdOf(at);
  const position = positionOf(domain);
  if (position.leafKey != iova >> LEAF_SHIFT || position.leafGeneration != domain.leafGeneration) return false;
  store<u64>(slotAt(position.leaf, iova >> PAGE_SHIFT, 1), 0);
  iotlbUnmapped(domain, iova >> PAGE_SHIFT, iova >> PAGE_SHIFT);
  return true;
}

/** Whether a range is whole 2 MiB leaves of the CPU's level-2 table, and fewer than the table has: it is one piece. */
// @ts-ignore: decorator
@inline
function isLarge(domain: VtdDomain, position: Position, iova: u64, size: u64): bool {
  return ((iova | size) & 0x1fffff) == 0 && size - 1 < 0x3fffffff && domain.leafLevel >= 2
    && position.midKey == iova >> MID_SHIFT && position.midGeneration == domain.midGeneration
    && (iova + size - 1) >> MID_SHIFT == iova >> MID_SHIFT;
}

/** Clears n entries of a table of level 2, and frees the tables that they lead to. */
// @ts-ignore: decorator
@inline
function clearLarge(domain: VtdDomain, slot: usize, n: u32): void {
  lock(domain);
  for (const end = slot + (<usize>n << 3); slot < end; slot += 8) {
    const entry = load<u64>(slot);
    store<u64>(slot, 0);
    if (entry != 0 && (entry & PTE_LARGE) == 0) subtreeFree(domain, tableOf(entry), 1);
  }
  unlock(domain);
}

/** Clears pfns [first, last]; nothing if the levels do not span the range (the kernel warns and does nothing). */
function clearRange(domain: VtdDomain, position: Position, first: u64, last: u64): void {
  if (last >= pfnLimit(domain)) return;
  lock(domain);
  const inMid = first >> MID_PFNS == last >> MID_PFNS && last - first < (<u64>1 << MID_PFNS) - 1;
  if (inMid && position.midKey == first >> MID_PFNS && position.midGeneration == domain.midGeneration) {
    clearLevel(domain, position.mid, 2, first, last);
  } else clearLevel(domain, domain.root, domain.levels, first, last);
  unlock(domain);
  iotlbUnmapped(domain, first, last);
}

function clearLevel(domain: VtdDomain, table: usize, level: u32, first: u64, last: u64): void {
  if (level == 1) {
    clearSlots(slotAt(table, first, 1), <u32>(last - first + 1));
    return;
  }
  const shift = levelShift(level);
  const end = slotAt(table, last, level);
  let pfn = first;
  for (let slot = slotAt(table, first, level); slot <= end; slot += 8) {
    const entry = load<u64>(slot);
    const start = pfn >> shift << shift;
    const stop = start + (<u64>1 << shift) - 1;
    if (entry != 0) {
      if (first <= start && last >= stop) {
        store<u64>(slot, 0);
        if ((entry & PTE_LARGE) == 0) subtreeFree(domain, tableOf(entry), level - 1);
      } else if ((entry & PTE_LARGE) == 0) clearLevel(domain, tableOf(entry), level - 1, pfn, min(last, stop));
      else {
        const until = min(last, stop);
        kmsg(domain.ctx, KMSG_WALK_IN_DATA, 0, pfn << PAGE_SHIFT, (until - pfn + 1) << PAGE_SHIFT, entry & PTE_ADDRESS, 0, 1, 0);
        strayClear(domain, entry & PTE_ADDRESS, level - 1, pfn, until);
      }
    }
    pfn = stop + 1;
  }
}
