// Maps and unmaps inside a live large leaf. Linux follows the leaf as if it were a pointer to a table, and so reads and writes the
// *mapped memory*. Correct drivers never do this; it is emulated so that the damage of a wrong mapping shows.
//
// A table reference here is a physical address: a page of linear memory (in the table window), a frame of emulated RAM,
// or no memory, which reads as zero and ignores writes. Real tables may be linked into mapped memory (4 KiB inside 1 GiB needs
// one). Only the mapped bytes point to them, so the domain has a list of them. Mapped bytes that look like a pointer are followed
// into RAM, but into linear memory only if the table is on that list.

import { KMSG_WALK_IN_DATA, kmsg } from '../../kmsg/kmsg';
import { CacheOf } from '../../memory/context';
import { lock, unlock } from '../../memory/lock';
import { addressOf, fieldOf } from '../../memory/record';
import { slabAlloc, slabCacheAt, slabFree } from '../../memory/slab';
import { contentsMake, contentsPeek } from '../../ram/contents';
import { PAGE_SHIFT, isRam, ramOf } from '../../ram/ram';
import { TABLE_SIZE, TABLE_WINDOW, tableFree } from '../tables';
import { Iommu, unitOf } from '../unit';
import {
  PTE_ADDRESS, PTE_LARGE, PTE_PRESENT, indexAt, levelShift, slotAt, tableEntry, tableOf,
} from './pte';
import { Position, VtdDomain, tableTake } from './tables';

/** No table: physical address 0 is one that can be. */
const NO_TABLE: u64 = 0xffffffffffffffff;

// @ts-ignore: decorator
@unmanaged
export class Stray {
  next: Stray | null;
  table: usize;
}

/** Offset of the entry at `index` of a table anywhere, or 0 where there is nothing to read or write. */
function entryAt(domain: VtdDomain, table: u64, index: u32, write: bool): usize {
  const offset = <usize>index << 3;
  if (table >> 32 == TABLE_WINDOW >> 32) return isStray(domain, tableOf(table)) ? tableOf(table) + offset : 0;
  const ctx = domain.ctx;
  const pfn = table >> PAGE_SHIFT;
  if (pfn > 0xffffffff || !isRam(ramOf(ctx), <u32>pfn)) return 0;
  const ram = ramOf(ctx);
  const bytes = write ? contentsMake(ctx, ram, <u32>pfn) : contentsPeek(ram, <u32>pfn);
  return bytes == 0 ? 0 : bytes + offset;
}

function isStray(domain: VtdDomain, table: usize): bool {
  for (let stray = domain.strays; stray != null; stray = stray!.next) {
    if (stray.table == table) return true;
  }
  return false;
}

/**
 * Walks to the table of `target` level for a pfn whose path runs through a large leaf, making tables that are missing.
 * @returns the table as a physical address, or NO_TABLE without memory for one
 */
export function strayTable(domain: VtdDomain, position: Position, pfn: u64, target: u32): u64 {
  let level = domain.levels;
  let entry = load<u64>(slotAt(domain.root, pfn, level));
  while ((entry & PTE_LARGE) == 0) entry = load<u64>(slotAt(tableOf(entry), pfn, --level));
  let table = entry & PTE_ADDRESS;
  kmsg(domain.ctx, KMSG_WALK_IN_DATA, 0, pfn << PAGE_SHIFT, 0, table, 0, 0, 0);
  while (--level > target) {
    const slot = entryAt(domain, table, indexAt(pfn, level), true);
    entry = slot == 0 ? 0 : load<u64>(slot);
    if ((entry & PTE_PRESENT) == 0) {
      const child: usize = slot == 0 ? 0 : strayMake(domain, position);
      if (child == 0) return NO_TABLE;
      entry = tableEntry(child);
      store<u64>(slot, entry);
    }
    table = entry & PTE_ADDRESS;
  }
  return table;
}

function strayMake(domain: VtdDomain, position: Position): usize {
  if (position.reserve == 0) return 0;
  const unit = unitOf(domain);
  const cache = slabCacheAt<Stray>(domain.ctx, fieldOf(unit, offsetof<Iommu>('formatCache')), offsetof<Stray>());
  const stray: Stray | null = cache == null ? null : slabAlloc(cache);
  if (stray == null) return 0;
  lock(domain);
  stray.table = tableTake(domain, position);
  stray.next = domain.strays;
  domain.strays = stray;
  unlock(domain);
  return stray.table;
}

/** Writes an entry into a table anywhere, unless something is there: that stays. Returns what was there. */
export function strayStore(domain: VtdDomain, table: u64, index: u32, value: u64): u64 {
  const slot: usize = table == NO_TABLE ? 0 : entryAt(domain, table, index, true);
  if (slot == 0) return 0;
  const old = load<u64>(slot);
  if (old == 0) store<u64>(slot, value);
  return old;
}

/** Clears the large leaf around a pfn. */
export function strayLeafClear(domain: VtdDomain, pfn: u64): void {
  let level = domain.levels;
  let slot = slotAt(domain.root, pfn, level);
  while ((load<u64>(slot) & PTE_LARGE) == 0) slot = slotAt(tableOf(load<u64>(slot)), pfn, --level);
  store<u64>(slot, 0);
}

/** Clears what looks present for [first, last] in a table anywhere, as unmapping part of a large leaf does. */
export function strayClear(domain: VtdDomain, table: u64, level: u32, first: u64, last: u64): void {
  const shift = levelShift(level);
  const end = indexAt(last, level);
  let pfn = first;
  for (let index = indexAt(first, level); index <= end; ++index) {
    const slot = entryAt(domain, table, index, false);
    const entry = slot == 0 ? 0 : load<u64>(slot);
    const start = pfn >> shift << shift;
    const stop = start + (<u64>1 << shift) - 1;
    if ((entry & PTE_PRESENT) != 0) {
      if (first <= start && last >= stop) {
        if (level > 1 && (entry & PTE_LARGE) == 0) strayDrop(domain, entry);
        store<u64>(slot, 0);
      } else if (level > 1) strayClear(domain, entry & PTE_ADDRESS, level - 1, max(pfn, first), min(last, stop));
    }
    pfn = stop + 1;
  }
}

function strayDrop(domain: VtdDomain, entry: u64): void {
  if ((entry & PTE_ADDRESS) >> 32 != TABLE_WINDOW >> 32) return;
  let link = fieldOf(domain, offsetof<VtdDomain>('strays'));
  for (let at: usize = load<u32>(link); at != 0; at = load<u32>(link)) {
    const stray = changetype<Stray>(at);
    if (stray.table == tableOf(entry)) {
      store<u32>(link, <u32>addressOf(stray.next));
      strayFree(domain, stray);
      return;
    }
    link = at + offsetof<Stray>('next');
  }
}

function strayFree(domain: VtdDomain, stray: Stray): void {
  const unit = unitOf(domain);
  --domain.tablePages;
  tableFree(unit, stray.table);
  slabFree(changetype<CacheOf<Stray>>(unit.formatCache), stray);
}

/** Frees the tables that only mapped memory pointed to. */
export function straysFree(domain: VtdDomain): void {
  for (let stray = domain.strays; stray != null; ) {
    const next = stray.next;
    strayFree(domain, stray);
    stray = next;
  }
  domain.strays = null;
  for (let table = domain.leaked; table != 0; ) {
    const next: usize = load<u32>(table);
    --domain.tablePages;
    tableFree(unitOf(domain), table);
    table = next;
  }
  domain.leaked = 0;
}

/**
 * Clears the table that a 1 GiB leaf is about to replace, as the kernel does before it frees it (dma_pte_clear_range): from the
 * first 2 MiB leaf on, that loop clears entry after entry without a look. Tables to which they point are leaked: nothing
 * leads to them, and they stay counted. The domain is locked.
 */
export function leakBehindLeaf(domain: VtdDomain, table: usize): void {
  let behind = false;
  for (let slot = table, end = table + TABLE_SIZE; slot < end; slot += 8) {
    const entry = load<u64>(slot);
    if ((entry & PTE_LARGE) != 0) behind = true;
    else if (!behind) {
      // At an entry that is not present the loop skips the rest of the table.
      if (entry == 0) return;
    } else if (entry != 0) {
      store<u64>(slot, 0);
      store<u32>(tableOf(entry), <u32>domain.leaked);
      domain.leaked = tableOf(entry);
    }
  }
}

/** How many there are, those that nothing points to included. */
export function straysCount(domain: VtdDomain): u32 {
  let count: u32 = 0;
  for (let table = domain.leaked; table != 0; table = load<u32>(table)) ++count;
  for (let stray = domain.strays; stray != null; stray = stray!.next) ++count;
  return count;
}
