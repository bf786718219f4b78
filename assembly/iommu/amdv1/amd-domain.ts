// An AMD domain (struct protection_domain): a root of 3 to 6 levels that grows when an address needs it, and never
// shrinks. Unmapping frees no tables: they are freed when a large page is mapped over them, or with the domain.

import { PAGE_SIZE } from '../../ram/ram';
import { DOMAIN_SIZE, IommuDomain } from '../domain';
import { TABLE_SIZE, TABLE_WINDOW, tableAlloc, tableFree } from '../tables';
import { unitOf } from '../unit';
import { deviceTableSync } from './device-table';
import { FIRST_MODE, MAX_MODE, PTE_ADDRESS, TABLE_ENTRIES, isPointer, pointerEntry, tableOf, topOf } from './pte';

// @ts-ignore: decorator
@unmanaged
export class AmdDomain extends IommuDomain {
  /** Page sizes, bit s for 2^s bytes. */
  sizes: u64;
  /** Addresses that the present unmap must flush (struct iommu_iotlb_gather). */
  gatherStart: u64;
  gatherEnd: u64;
  /** Bytes that the last call of the driver mapped; size of the page that the last search found, as a shift. */
  mapped: u64;
  /** Bytes that were mapped where the present call maps, and are no more. */
  replaced: u64;
  foundShift: u32;
  /** Most table pages that there may be, the root included; 0 for no limit. */
  tableLimit: u32;
  /** Table pages that a map freed, and levels that the root has grown. */
  freed: u32;
  grown: u32;
  /** Tables that the present call has unlinked, linked through their first words; they are freed after its flush. */
  freeList: usize;
  /** The present call has to flush. */
  flushWanted: bool;
  /** Tables that no entry points to any more, linked in the same way: the kernel leaks them. */
  leakedList: usize;
  leaked: u32;
  /** The record of calls (calls.ts); 0 while recording is off. */
  calls: usize;
}

// @ts-ignore: decorator
@inline
export function amdOf(domain: IommuDomain): AmdDomain {
  return changetype<AmdDomain>(domain);
}

/** AmdFormat.width: the tables span all 64 bits, whatever `levels` says: they begin with three. Any page size from 4 KiB to 2^51. */
export function amdWidth(width: u32, pageSizes: u64): u32 {
  if (width > 64 || (width != 0 && width < 21)) return 0;
  if ((pageSizes & PAGE_SIZE) == 0 || (pageSizes & ~PTE_ADDRESS) != 0) return 0;
  return width == 0 ? 64 : width;
}

/** AmdFormat.init. */
export function amdDomainInit(at: IommuDomain, pageSizes: u64): bool {
  assert(offsetof<AmdDomain>() <= DOMAIN_SIZE);
  const domain = amdOf(at);
  domain.sizes = pageSizes;
  domain.levels = FIRST_MODE;
  domain.root = tableTake(domain);
  return domain.root != 0;
}

/** AmdFormat.free. */
export function amdDomainFree(at: IommuDomain): void {
  const domain = amdOf(at);
  tableDetach(domain, domain.root, domain.levels);
  tablesRelease(domain);
  domain.freeList = domain.leakedList;
  tablesRelease(domain);
}

/** A zeroed table page; 0 without memory or past the domain's limit. */
function tableTake(domain: AmdDomain): usize {
  if (domain.tableLimit != 0 && domain.tablePages >= domain.tableLimit) return 0;
  const table = tableAlloc(unitOf(domain));
  if (table == 0) return 0;
  memory.fill(table, 0, TABLE_SIZE);
  ++domain.tablePages;
  return table;
}

/** Whether the root reaches an address, and has a level. */
// @ts-ignore: decorator
@inline
export function reaches(domain: AmdDomain, last: u64, level: u32): bool {
  return last <= topOf(domain.levels) && domain.levels >= level;
}

/** Adds a level at the root (increase_address_space) and updates the entries of devices. Returns false without memory. */
export function grow(domain: AmdDomain): bool {
  assert(domain.levels < MAX_MODE);
  const root = tableTake(domain);
  if (root == 0) return false;
  store<u64>(root, pointerEntry(TABLE_WINDOW | <u64>domain.root, domain.levels));
  domain.root = root;
  ++domain.levels;
  ++domain.grown;
  if (domain.attached != 0) deviceTableSync(unitOf(domain), domain);
  return true;
}

/** Links a zeroed table of a level into a slot. Returns it, 0 without memory. */
export function tableLink(domain: AmdDomain, slot: usize, level: u32): usize {
  const table = tableTake(domain);
  if (table != 0) store<u64>(slot, pointerEntry(TABLE_WINDOW | <u64>table, level));
  return table;
}

/** Puts a table of a level with all below it on the list of those that go after the flush (free_sub_pt). */
export function tableDetach(domain: AmdDomain, table: usize, level: u32): void {
  if (level > 1) {
    for (let i: u32 = 0; i < TABLE_ENTRIES; ++i) {
      const entry = load<u64>(table + (<usize>i << 3));
      if (isPointer(entry)) tableDetach(domain, tableOf(entry), level - 1);
    }
  }
  store<u32>(table, <u32>domain.freeList);
  domain.freeList = table;
}

/** An entry that leads to a table of a level is about to be overwritten by an unmap: the kernel leaks the table. */
export function tableLose(domain: AmdDomain, table: usize, level: u32): void {
  assert(domain.freeList == 0);
  tableDetach(domain, table, level);
  while (domain.freeList != 0) {
    const lost = domain.freeList;
    domain.freeList = <usize>load<u32>(lost);
    store<u32>(lost, <u32>domain.leakedList);
    domain.leakedList = lost;
    ++domain.leaked;
  }
}

/** Frees the tables on the list. */
export function tablesRelease(domain: AmdDomain): void {
  while (domain.freeList != 0) {
    const table = domain.freeList;
    domain.freeList = <usize>load<u32>(table);
    tableFree(unitOf(domain), table);
    --domain.tablePages;
    ++domain.freed;
  }
}
