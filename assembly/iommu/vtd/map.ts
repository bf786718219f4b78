// Filling the tables (intel_iommu_map_pages, __domain_mapping).
//
// Each step uses the largest page that IOVA and memory are aligned to and that fits the rest of the physically contiguous run. A
// call first reserves the tables that it needs, so that it cannot fail half way. CPUs fill different entries concurrently; the
// domain's lock is taken to link tables. A live entry is kept, as the kernel's cmpxchg does.

import { EFAULT, EINVAL, ENOMEM } from '../../memory/errno';
import { KMSG_IOMMU_WIDTH, kmsg } from '../../kmsg/kmsg';
import { lock, unlock } from '../../memory/lock';
import { EVENT_IOMMU_UNMAP, emit } from '../../events/events';
import { PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';
import {
  REASON_IOMMU_BEYOND_WIDTH, REASON_IOMMU_NO_PERMISSION, REASON_IOMMU_NO_TABLE_MEMORY, setReason,
} from '../../memory/reason';
import { IommuDomain, PROT_READ, PROT_WRITE, addressLimit } from '../domain';
import { logAlreadySet, sayReplaced } from '../fault-log';
import { iotlbFlushRange } from '../iotlb';
import { adjacent, fillAdjacent, fillFreeAdjacent, fillFreeScattered, fillScattered } from './fill';
import {
  PTE_LARGE, PTE_PRESENT, PTE_READ, PTE_SNOOP, TABLE_ENTRIES, TABLE_MASK, indexAt, levelShift,
  slotAt, tableOf,
} from './pte';
import { leakBehindLeaf, strayLeafClear, strayStore, strayTable } from './stray';
import { TABLE_SIZE } from '../tables';
import {
  DOMAIN_SNOOP, DOMAIN_WRITE_IMPLIES_READ, LEAF_PFNS, LEAF_SHIFT, MID_PFNS, MID_SHIFT, Position, VtdDomain, leafFresh,
  leafMake, midFind, positionOf, subtreeFree, tableFind, tablesReserve, tablesUnreserve, vtdOf,
} from './tables';
import { pieceOf, vtdUnmap } from './unmap';

/** The permission bits of a leaf. */
// @ts-ignore: decorator
@inline
function leafBits(domain: VtdDomain, prot: u32): u64 {
  let bits = <u64>(prot & (PROT_READ | PROT_WRITE));
  if ((domain.flags & DOMAIN_WRITE_IMPLIES_READ) != 0) bits |= PTE_READ;
  if ((domain.flags & DOMAIN_SNOOP) != 0) bits |= PTE_SNOOP;
  return bits;
}

/**
 * iommuMap.
 * @returns 0; -EINVAL without permission; -EFAULT beyond the domain's width; -ENOMEM without a table page, with nothing
 *   changed
 */
export function vtdMap(at: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  const domain = vtdOf(at);
  // Fast paths: one page, a run of pages, or large pages, in the tables of the last call.
  if (size == PAGE_SIZE ? vtdMapPage(domain, iova, phys, prot) : mapPages(domain, iova, phys, size, prot)) return 0;
  if (mapLarge(domain, iova, phys, size, prot)) return 0;
  return size == 0 ? 0 : mapAny(domain, iova, phys, size, prot);
}

function mapAny(domain: VtdDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  const limit = addressLimit(domain);
  if (iova >= limit || limit - iova < size) return mapToLimit(domain, iova, phys, size, prot, limit);
  if ((prot & (PROT_READ | PROT_WRITE)) == 0) return refused(domain, iova, 0, REASON_IOMMU_NO_PERMISSION, EINVAL);
  if (mapRun(domain, iova >> PAGE_SHIFT, phys >> PAGE_SHIFT, size >> PAGE_SHIFT, leafBits(domain, prot))) return 0;
  return refused(domain, iova, 0, REASON_IOMMU_NO_TABLE_MEMORY, ENOMEM);
}

/** mapPage of the format: the table is the CPU's position, and the entry is free. */
// @ts-ignore: decorator
@inline
export function vtdMapPage(at: IommuDomain, iova: u64, phys: u64, prot: u32): bool {
  const domain = vtdOf(at);
  const position = positionOf(domain);
  if (position.leafKey != iova >> LEAF_SHIFT || position.leafGeneration != domain.leafGeneration) return false;
  const slot = slotAt(position.leaf, iova >> PAGE_SHIFT, 1);
  if (load<u64>(slot) != 0 || (prot & (PROT_READ | PROT_WRITE)) == 0) return false;
  store<u64>(slot, phys | leafBits(domain, prot));
  return true;
}

/** Maps a run of pages if their table is the CPU's position, and not all of it. Otherwise returns false, with nothing done. */
// @ts-ignore: decorator
@inline
function mapPages(domain: VtdDomain, iova: u64, phys: u64, size: u64, prot: u32): bool {
  const pages = size >> PAGE_SHIFT;
  const pfn = iova >> PAGE_SHIFT;
  // A whole table could be one leaf of the level above.
  if (pages - 1 >= TABLE_ENTRIES - 1 || indexAt(pfn, 1) + <u32>pages > TABLE_ENTRIES) return false;
  const position = positionOf(domain);
  if (position.leafKey != pfn >> LEAF_PFNS || position.leafGeneration != domain.leafGeneration) return false;
  if ((prot & (PROT_READ | PROT_WRITE)) == 0) return false;
  fillLeafAdjacent(domain, position, position.leaf, pfn, phys | leafBits(domain, prot), <u32>pages);
  return true;
}

/** Maps 2 MiB leaves if they are all in the CPU's level-2 table. Otherwise returns false, with nothing done. */
// @ts-ignore: decorator
@inline
function mapLarge(domain: VtdDomain, iova: u64, phys: u64, size: u64, prot: u32): bool {
  // A whole gigabyte could be one leaf of the level above.
  if (((iova | phys | size) & 0x1fffff) != 0 || size - 1 >= 0x3fffffff || domain.leafLevel < 2) return false;
  const position = positionOf(domain);
  if (position.midKey != iova >> MID_SHIFT || position.midGeneration != domain.midGeneration) return false;
  if ((iova + size - 1) >> MID_SHIFT != iova >> MID_SHIFT || (prot & (PROT_READ | PROT_WRITE)) == 0) return false;
  fillLarge(domain, position, iova >> PAGE_SHIFT, phys >> PAGE_SHIFT, <u32>(size >> LEAF_SHIFT), 2, leafBits(domain, prot));
  return true;
}

// A failed map unmaps the pieces before the one that failed, even if there are none.
function refused(domain: VtdDomain, iova: u64, mapped: u64, reason: u32, rc: i32): i32 {
  const ctx = domain.ctx;
  const done = mapped != 0 ? vtdUnmap(domain, iova, mapped) : 0;
  emit(ctx, EVENT_IOMMU_UNMAP, 0, iova, done, mapped, 0, domain.id);
  setReason(ctx, reason);
  return rc;
}

// The kernel maps in pieces of one page size, and fails only at the piece that crosses the width.
function mapToLimit(domain: VtdDomain, iova: u64, phys: u64, size: u64, prot: u32, limit: u64): i32 {
  let good: u64 = 0;
  let end: u64 = 0;
  do {
    const at = iova + good;
    const piece = pieceOf(domain, at, phys + good, size - good);
    end = at + piece;
    if (at >= limit || limit - at < piece) break;
    good += piece;
  } while (good < size);
  if (good != 0 && (prot & (PROT_READ | PROT_WRITE)) == 0) {
    return refused(domain, iova, 0, REASON_IOMMU_NO_PERMISSION, EINVAL);
  }
  if (good != 0 && !mapRun(domain, iova >> PAGE_SHIFT, phys >> PAGE_SHIFT, good >> PAGE_SHIFT, leafBits(domain, prot))) {
    return refused(domain, iova, 0, REASON_IOMMU_NO_TABLE_MEMORY, ENOMEM);
  }
  kmsg(domain.ctx, KMSG_IOMMU_WIDTH, 0, end, 0, 0, 0, 64 - <u32>clz(limit - 1), 0);
  return refused(domain, iova, good, REASON_IOMMU_BEYOND_WIDTH, EFAULT);
}

/** Level of the largest leaf for a run of n pages. */
function levelOfRun(domain: VtdDomain, pfn: u64, frame: u64, n: u64): u32 {
  if (n < TABLE_ENTRIES || ((pfn | frame) & TABLE_MASK) != 0 || domain.leafLevel < 2) return 1;
  return n < 0x40000 || ((pfn | frame) & 0x3ffff) != 0 || domain.leafLevel < 3 ? 2 : 3;
}

/** Pages from pfn on that leaves of one level fill in one table. */
// @ts-ignore: decorator
@inline
function spanOf(level: u32, pfn: u64, n: u64): u64 {
  const shift = levelShift(level);
  return min(n >> shift, <u64>(TABLE_ENTRIES - indexAt(pfn, level))) << shift;
}

/** Highest level at which a table is missing on the way to level `target`; below `target` when none is. */
function missingTop(domain: VtdDomain, position: Position, pfn: u64, target: u32): u32 {
  if (target == 2 && position.midKey == pfn >> MID_PFNS && position.midGeneration == domain.midGeneration) return 1;
  if (target == 1) {
    if (position.leafKey == pfn >> LEAF_PFNS && position.leafGeneration == domain.leafGeneration) return 0;
    if (position.midKey == pfn >> MID_PFNS && position.midGeneration == domain.midGeneration) {
      const entry = load<u64>(slotAt(position.mid, pfn, 2));
      return entry == 0 || (entry & PTE_LARGE) != 0 ? 1 : 0;
    }
  }
  let table = domain.root;
  let level = domain.levels;
  while (level > target) {
    const entry = load<u64>(slotAt(table, pfn, level));
    --level;
    // Inside a large leaf the mapped memory itself is the table of this level (stray.ts), unless the leaf goes meanwhile.
    if (entry == 0 || (entry & PTE_LARGE) != 0) return level;
    table = tableOf(entry);
  }
  return target - 1;
}

/** Tables of levels `target` to `top` that the span before (levels lastTarget to lastTop) did not need. */
function newlyMissing(pfn: u64, target: u32, top: u32, last: u64, lastTarget: u32, lastTop: u32): u32 {
  let count: u32 = 0;
  for (let level = target; level <= top; ++level) {
    const shift = level * 9;
    if (level < lastTarget || level > lastTop || pfn >> shift != last >> shift) ++count;
  }
  return count;
}

function missingForRun(domain: VtdDomain, position: Position, pfn: u64, frame: u64, n: u64): u32 {
  let missing: u32 = 0;
  let last: u64 = 0;
  let lastTarget: u32 = 1;
  let lastTop: u32 = 0;
  while (n != 0) {
    const level = levelOfRun(domain, pfn, frame, n);
    const top = missingTop(domain, position, pfn, level);
    missing += newlyMissing(pfn, level, top, last, lastTarget, lastTop);
    last = pfn;
    lastTarget = level;
    lastTop = top;
    const span = spanOf(level, pfn, n);
    pfn += span;
    frame += span;
    n -= span;
  }
  return missing;
}

/** Maps n adjacent frames. Returns false without memory for a table, with nothing changed. */
function mapRun(domain: VtdDomain, pfn: u64, frame: u64, n: u64, bits: u64): bool {
  const position = positionOf(domain);
  const missing = missingForRun(domain, position, pfn, frame, n);
  if (missing != 0 && !tablesReserve(domain, position, missing)) return false;
  fillRun(domain, position, pfn, frame, n, bits);
  if (position.reserve != 0) tablesUnreserve(domain, position);
  return true;
}

function fillRun(domain: VtdDomain, position: Position, pfn: u64, frame: u64, n: u64, bits: u64): void {
  while (n != 0) {
    const level = levelOfRun(domain, pfn, frame, n);
    const span = spanOf(level, pfn, n);
    if (level != 1) fillLarge(domain, position, pfn, frame, <u32>(span >> levelShift(level)), level, bits);
    else {
      const leaf = leafMake(domain, position, pfn, <u32>span);
      const value = (frame << PAGE_SHIFT) | bits;
      if (leaf != 0) fillLeafAdjacent(domain, position, leaf, pfn, value, <u32>span);
      else strayAdjacent(domain, position, pfn, value, <u32>span);
    }
    pfn += span;
    frame += span;
    n -= span;
  }
}

/** Leaves for adjacent frames in one table. */
function fillLeafAdjacent(domain: VtdDomain, position: Position, leaf: usize, pfn: u64, value: u64, n: u32): void {
  const slot = slotAt(leaf, pfn, 1);
  if (leafFresh(position, leaf, indexAt(pfn, 1), n)) fillAdjacent(slot, value, n);
  else {
    for (let i = fillFreeAdjacent(slot, value, n); i < n; ++i) storeFree(domain, slot, pfn, i, value + (<u64>i << PAGE_SHIFT));
  }
}

/** Writes leaves of level 2 or 3. Tables below are freed with their live entries (switch_to_super_page). */
function fillLarge(
  domain: VtdDomain, position: Position, pfn: u64, frame: u64, count: u32, level: u32, bits: u64,
): void {
  const shift = levelShift(level);
  const table = level == 2 ? midFind(domain, position, pfn, true) : tableFind(domain, position, pfn, level, true);
  if (table == 0) {
    const stray = strayTable(domain, position, pfn, level);
    let present = false;
    for (let i: u32 = 0; i < count; ++i) {
      const at = pfn + (<u64>i << shift);
      const value = ((frame + (<u64>i << shift)) << PAGE_SHIFT) | bits | PTE_LARGE;
      const old = strayStore(domain, stray, indexAt(at, level), value);
      if (old != 0) noteAlreadySet(domain, at, old, value);
      present = present || (old & PTE_PRESENT) != 0;
    }
    // Making room for a large leaf clears its range first, and that walk does stop at the leaf around it: it goes.
    if (present) {
      strayLeafClear(domain, pfn);
      iotlbFlushRange(domain, pfn, pfn + (<u64>count << shift) - 1);
    }
    return;
  }
  let slot = slotAt(table, pfn, level);
  let replaced: u64 = 0;
  const first = pfn;
  for (let i: u32 = 0; i < count; ++i) {
    const old = load<u64>(slot);
    if (old != 0) {
      replaced += (old & PTE_LARGE) != 0 ? <u64>1 << shift : pagesBelow(tableOf(old), level - 1);
      store<u64>(slot, 0);
      if ((old & PTE_LARGE) == 0) {
        lock(domain);
        if (level == 3) leakBehindLeaf(domain, tableOf(old));
        subtreeFree(domain, tableOf(old), level - 1);
        unlock(domain);
      }
      iotlbFlushRange(domain, pfn, pfn + (<u64>1 << shift) - 1);
    }
    store<u64>(slot, (frame << PAGE_SHIFT) | bits | PTE_LARGE);
    slot += 8;
    pfn += <u64>1 << shift;
    frame += <u64>1 << shift;
  }
  if (replaced != 0) sayReplaced(domain.ctx, first << 12, (pfn - first) << 12, replaced << 12);
}

/** Pages that a table of a level maps, with the tables below it. */
function pagesBelow(table: usize, level: u32): u64 {
  let pages: u64 = 0;
  for (let at = table, end = table + TABLE_SIZE; at < end; at += 8) {
    const entry = load<u64>(at);
    if (entry == 0) continue;
    pages += level == 1 || (entry & PTE_LARGE) != 0 ? <u64>1 << levelShift(level) : pagesBelow(tableOf(entry), level - 1);
  }
  return pages;
}

/** Writes the i-th leaf of a row, unless the entry is live. */
function storeFree(domain: VtdDomain, slot: usize, pfn: u64, i: u32, value: u64): void {
  const at = slot + (<usize>i << 3);
  if (load<u64>(at) == 0) store<u64>(at, value);
  else noteAlreadySet(domain, pfn + i, load<u64>(at), value);
}

/** A 4 KiB entry in what the walk takes for a table. */
function strayLeaf(domain: VtdDomain, stray: u64, pfn: u64, entry: u64): void {
  const old = strayStore(domain, stray, indexAt(pfn, 1), entry);
  if (old != 0) noteAlreadySet(domain, pfn, old, entry);
}

function noteAlreadySet(domain: VtdDomain, pfn: u64, old: u64, value: u64): void {
  ++domain.alreadySet;
  logAlreadySet(domain, pfn, old, value);
}

function strayAdjacent(domain: VtdDomain, position: Position, pfn: u64, value: u64, n: u32): void {
  const stray = strayTable(domain, position, pfn, 1);
  for (let i: u32 = 0; i < n; ++i) {
    const entry = value + (<u64>i << PAGE_SHIFT);
    strayLeaf(domain, stray, pfn + i, entry);
  }
}

/** Frames from here on that are neighbours and of which large leaves can be made, 0 where none can. */
// @ts-ignore: decorator
@inline
function largeRun(domain: VtdDomain, pfn: u64, pfns: usize, n: u32): u32 {
  return n < TABLE_ENTRIES || (<u32>pfn & TABLE_MASK) != 0 ? 0 : largeRunAligned(domain, pfn, pfns, n);
}

function largeRunAligned(domain: VtdDomain, pfn: u64, pfns: usize, n: u32): u32 {
  const first = load<u32>(pfns);
  if (levelOfRun(domain, pfn, first, n) == 1) return 0;
  let run: u32 = 0;
  while (n - run >= TABLE_ENTRIES && load<u32>(pfns + (<usize>run << 2)) == first + run) {
    if (!adjacent(pfns + (<usize>run << 2), TABLE_ENTRIES)) break;
    run += TABLE_ENTRIES;
  }
  return run;
}

/** Pages from here on that leaves of one level fill in one table. */
// @ts-ignore: decorator
@inline
function spanOfPfns(level: u32, pfn: u64, n: u32, run: u32): u32 {
  return level == 1 ? min(n, TABLE_ENTRIES - (<u32>pfn & TABLE_MASK)) : <u32>spanOf(level, pfn, run);
}

function missingForPfns(domain: VtdDomain, position: Position, pfn: u64, pfns: usize, n: u32): u32 {
  let missing: u32 = 0;
  let last: u64 = 0;
  let lastTarget: u32 = 1;
  let lastTop: u32 = 0;
  while (n != 0) {
    const run = largeRun(domain, pfn, pfns, n);
    const level: u32 = run == 0 ? 1 : levelOfRun(domain, pfn, load<u32>(pfns), run);
    const top = missingTop(domain, position, pfn, level);
    if (top >= level) missing += newlyMissing(pfn, level, top, last, lastTarget, lastTop);
    last = pfn;
    lastTarget = level;
    lastTop = top;
    const span = spanOfPfns(level, pfn, n, run);
    pfn += span;
    pfns += <usize>span << 2;
    n -= span;
  }
  return missing;
}

/** iommuMapPfns. Errors as vtdMap; a range that crosses the domain's width is refused whole. */
export function vtdMapPfns(at: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
  const domain = vtdOf(at);
  const limit = addressLimit(domain);
  if (iova >= limit || limit - iova < <u64>count << PAGE_SHIFT) {
    return refused(domain, iova, 0, REASON_IOMMU_BEYOND_WIDTH, EFAULT);
  }
  if ((prot & (PROT_READ | PROT_WRITE)) == 0) return refused(domain, iova, 0, REASON_IOMMU_NO_PERMISSION, EINVAL);
  const position = positionOf(domain);
  const bits = leafBits(domain, prot);
  const pfn = iova >> PAGE_SHIFT;
  if (
    count < TABLE_ENTRIES && indexAt(pfn, 1) + count <= TABLE_ENTRIES && position.leafKey == pfn >> LEAF_PFNS
    && position.leafGeneration == domain.leafGeneration
  ) {
    fillLeaf(domain, position, position.leaf, pfn, pfns, count, bits);
    return 0;
  }
  const missing = missingForPfns(domain, position, pfn, pfns, count);
  if (missing != 0 && !tablesReserve(domain, position, missing)) {
    return refused(domain, iova, 0, REASON_IOMMU_NO_TABLE_MEMORY, ENOMEM);
  }
  fillPfns(domain, position, pfn, pfns, count, bits);
  if (position.reserve != 0) tablesUnreserve(domain, position);
  return 0;
}

/** Leaves for the frames of a vector in one table. */
// @ts-ignore: decorator
@inline
function fillLeaf(
  domain: VtdDomain, position: Position, leaf: usize, pfn: u64, pfns: usize, n: u32, bits: u64,
): void {
  const slot = slotAt(leaf, pfn, 1);
  if (leafFresh(position, leaf, indexAt(pfn, 1), n)) fillScattered(slot, pfns, n, bits);
  else {
    for (let i = fillFreeScattered(slot, pfns, n, bits); i < n; ++i) {
      storeFree(domain, slot, pfn, i, (<u64>load<u32>(pfns + (<usize>i << 2)) << PAGE_SHIFT) | bits);
    }
  }
}

function fillPfns(domain: VtdDomain, position: Position, pfn: u64, pfns: usize, n: u32, bits: u64): void {
  while (n != 0) {
    const run = largeRun(domain, pfn, pfns, n);
    const level: u32 = run == 0 ? 1 : levelOfRun(domain, pfn, load<u32>(pfns), run);
    const span = spanOfPfns(level, pfn, n, run);
    if (level != 1) fillLarge(domain, position, pfn, load<u32>(pfns), span >> levelShift(level), level, bits);
    else {
      const leaf = leafMake(domain, position, pfn, span);
      if (leaf != 0) fillLeaf(domain, position, leaf, pfn, pfns, span, bits);
      else {
        const stray = strayTable(domain, position, pfn, 1);
        for (let i: u32 = 0; i < span; ++i) {
          const entry = (<u64>load<u32>(pfns + (<usize>i << 2)) << PAGE_SHIFT) | bits;
          strayLeaf(domain, stray, pfn + i, entry);
        }
      }
    }
    pfn += span;
    pfns += <usize>span << 2;
    n -= span;
  }
}
