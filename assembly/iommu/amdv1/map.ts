// Mapping in AMD's tables (iommu_v1_map_pages of drivers/iommu/amd/io_pgtable.c). Live entries are
// overwritten. A large page replaces a table; a small page inside a large one removes the whole large page.

import { PAGE_SHIFT } from '../../ram/ram';
import { EINVAL, ENOMEM } from '../../memory/errno';
import { EVENT_IOMMU_UNMAP, emit } from '../../events/events';
import { REASON_IOMMU_NO_PERMISSION, REASON_IOMMU_NO_TABLE_MEMORY, setReason } from '../../memory/reason';
import { IommuDomain, PROT_READ, PROT_WRITE } from '../domain';
import { sayReplaced } from '../fault-log';
import { iotlbUnmapped } from '../iotlb';
import { pageCount, pageShift } from '../pgsize';
import { TABLE_SIZE } from '../tables';
import { AMD_CALL_MAP, noteCall } from './calls';
import { AmdDomain, amdOf, grow, reaches, tableDetach, tableLink, tablesRelease } from './amd-domain';
import { flushGathered, flushPages } from './flush';
import {
  PTE_FORCE_COHERENT, PTE_PRESENT, PTE_READ, PTE_WRITE, NEXT_LEVEL_SIZED, firstSlot, isPointer, isPresent, leafEntry,
  leafShift, levelOfPage, nextLevel, slotAt, slotShift, slotsShift, tableOf,
} from './pte';
import { amdUnmap } from './unmap';

/**
 * iommuMap.
 * @returns 0; -EINVAL without permission; -ENOMEM without a table page. What a failed call has mapped is unmapped; what it has
 *   overwritten is lost
 */
export function amdMap(at: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  const domain = amdOf(at);
  const rc = mapRun(domain, iova, phys, size, prot);
  if (rc != 0) undo(domain, iova, domain.mapped, rc);
  return rc;
}

/** iommuMapPfns: run by run, as iommu_map_sg does. */
export function amdMapPfns(at: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
  const domain = amdOf(at);
  for (let start: u32 = 0; start < count; ) {
    const first = load<u32>(pfns + (<usize>start << 2));
    let n: u32 = 1;
    while (start + n < count && load<u32>(pfns + (<usize>(start + n) << 2)) == first + n) ++n;
    const rc = mapRun(domain, iova + (<u64>start << PAGE_SHIFT), <u64>first << PAGE_SHIFT, <u64>n << PAGE_SHIFT, prot);
    if (rc != 0) {
      undo(domain, iova, (<u64>start << PAGE_SHIFT) + domain.mapped, rc);
      return rc;
    }
    start += n;
  }
  return 0;
}

function undo(domain: AmdDomain, iova: u64, mapped: u64, rc: i32): void {
  const done = amdUnmap(domain, iova, mapped);
  flushGathered(domain);
  emit(domain.ctx, EVENT_IOMMU_UNMAP, 0, iova, done, mapped, 0, domain.id);
  setReason(domain.ctx, rc == ENOMEM ? REASON_IOMMU_NO_TABLE_MEMORY : REASON_IOMMU_NO_PERMISSION);
}

/** One call of iommu_map: domain.mapped tells how many bytes it came to. */
function mapRun(domain: AmdDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  let mapped: u64 = 0;
  while (mapped < size) {
    const left = size - mapped;
    const shift = pageShift(domain.sizes, (iova + mapped) | (phys + mapped), left);
    const count = pageCount(domain.sizes, iova + mapped, phys + mapped, left, shift);
    const before = mapped;
    const rc = mapPages(domain, iova + mapped, phys + mapped, shift, count, prot);
    mapped += domain.mapped;
    if (domain.calls != 0) noteCall(domain, AMD_CALL_MAP, iova + before, (<u64>1) << shift, count, domain.mapped);
    if (rc != 0) {
      domain.mapped = mapped;
      return rc;
    }
  }
  domain.mapped = mapped;
  return 0;
}

/** Offset in a table. */
const TABLE_MASK: usize = TABLE_SIZE - 1;

/** One call of the driver: count pages of 2^shift bytes. domain.mapped tells how many bytes it came to. */
function mapPages(domain: AmdDomain, iova: u64, phys: u64, shift: u32, count: u64, prot: u32): i32 {
  domain.mapped = 0;
  if ((prot & (PROT_READ | PROT_WRITE)) == 0) return EINVAL;
  let flags = PTE_PRESENT | PTE_FORCE_COHERENT;
  if ((prot & PROT_READ) != 0) flags |= PTE_READ;
  if ((prot & PROT_WRITE) != 0) flags |= PTE_WRITE;
  domain.flushWanted = false;
  domain.replaced = 0;
  const span: u64 = (<u64>1) << slotShift(levelOfPage(shift));
  const size: u64 = (<u64>1) << shift;
  const slots: usize = <usize>1 << slotsShift(shift);
  let rc = 0;
  let slot: usize = 0;
  for (let i: u64 = 0; i < count; ++i) {
    // The next page of a run follows in the same table, up to the table's end.
    if ((slot & TABLE_MASK) == 0) slot = slotMake(domain, iova + domain.mapped, shift);
    if (slot == 0) {
      rc = ENOMEM;
      break;
    }
    const entry = leafEntry(phys + domain.mapped, shift, flags);
    const page = iova + domain.mapped;
    let replaced = false;
    for (const end = slot + (slots << 3); slot < end; slot += 8) {
      const old = load<u64>(slot);
      if (isPointer(old)) {
        domain.replaced += bytesBelow(tableOf(old), nextLevel(old));
        tableDetach(domain, tableOf(old), nextLevel(old));
        domain.flushWanted = true;
      } else if (isPresent(old)) domain.replaced += span;
      replaced = replaced || old != 0;
      store<u64>(slot, entry);
    }
    // Cached entries of the page are stale now, whether it is flushed or not.
    if (replaced) iotlbUnmapped(domain, page >> PAGE_SHIFT, (page + size - 1) >> PAGE_SHIFT);
    domain.mapped += size;
  }
  if (domain.flushWanted) flushPages(domain, iova, count << shift);
  tablesRelease(domain);
  if (domain.replaced != 0) sayReplaced(domain.ctx, iova, domain.mapped, domain.replaced);
  return rc;
}

/** The first slot for a page of 2^shift bytes, with tables made on the way to it (alloc_pte). 0 without memory. */
function slotMake(domain: AmdDomain, iova: u64, shift: u32): usize {
  const target = levelOfPage(shift);
  while (!reaches(domain, iova + ((<u64>1) << shift) - 1, target)) {
    if (!grow(domain)) return 0;
  }
  let table = domain.root;
  let level = domain.levels;
  while (level > target) {
    const slot = slotAt(table, iova, level);
    const entry = load<u64>(slot);
    if (isPresent(entry) && nextLevel(entry) == NEXT_LEVEL_SIZED) {
      clearSet(slot, entry, level);
      lost(domain, iova, leafShift(entry, level));
    } else if (isPointer(entry)) {
      table = tableOf(entry);
      --level;
    } else {
      table = tableLink(domain, slot, level - 1);
      if (table == 0) return 0;
      if (isPresent(entry)) lost(domain, iova, slotShift(level));
      --level;
    }
  }
  return slotAt(table, iova, level);
}

/** A page of 2^shift bytes is gone that a smaller one was mapped into. */
function lost(domain: AmdDomain, iova: u64, shift: u32): void {
  domain.flushWanted = true;
  domain.replaced += (<u64>1) << shift;
  const first = iova >> shift << (shift - PAGE_SHIFT);
  iotlbUnmapped(domain, first, first + ((<u64>1) << (shift - PAGE_SHIFT)) - 1);
}

/** Bytes that a table of a level maps, with the tables below it. */
function bytesBelow(table: usize, level: u32): u64 {
  let bytes: u64 = 0;
  for (let at = table, end = table + TABLE_SIZE; at < end; at += 8) {
    const entry = load<u64>(at);
    if (isPointer(entry)) bytes += bytesBelow(tableOf(entry), nextLevel(entry));
    else if (isPresent(entry)) bytes += (<u64>1) << slotShift(level);
  }
  return bytes;
}

/** Clears the slots of a page's set that still hold its entry. */
function clearSet(slot: usize, entry: u64, level: u32): void {
  const shift = leafShift(entry, level);
  const first = firstSlot(slot, shift);
  for (let at = first, end = first + (<usize>8 << slotsShift(shift)); at < end; at += 8) {
    if (load<u64>(at) == entry) store<u64>(at, 0);
  }
}
