// The second-stage tables of a VT-d domain (struct dmar_domain), of 3, 4 or 5 levels.
//
// Each CPU keeps its position: the leaf table and the level-2 table of its last call. A position is valid as long as no table of
// its level is freed, which a generation number per domain and level tells.

import { currentCpu } from '../../memory/cpu';
import { lock, unlock } from '../../memory/lock';
import { fieldOf } from '../../memory/record';
import { PAGE_SHIFT } from '../../ram/ram';
import { DOMAIN_CPU_SIZE, DOMAIN_SIZE, DomainCpu, IommuDomain } from '../domain';
import { TABLE_SIZE, tableAlloc, tableFree } from '../tables';
import { unitOf } from '../unit';
import { LEVEL_STRIDE, PTE_LARGE, TABLE_ENTRIES, slotAt, tableEntry, tableOf } from './pte';
import { Stray } from './stray';

/** What the leaf table and the level-2 table of a position span, as shifts of a pfn and of an IOVA. */
export const LEAF_PFNS: u32 = LEVEL_STRIDE;
export const MID_PFNS: u32 = 2 * LEVEL_STRIDE;
export const LEAF_SHIFT: u32 = PAGE_SHIFT + LEAF_PFNS;
export const MID_SHIFT: u32 = PAGE_SHIFT + MID_PFNS;

// @ts-ignore: decorator
@unmanaged
export class VtdDomain extends IommuDomain {
  /** Highest level of a leaf: 1 for 4 KiB pages only, 2 up to 2 MiB, 3 up to 1 GiB. */
  leafLevel: u32;
  /** Bumped when a leaf table, or one above, is freed. */
  leafGeneration: u32;
  midGeneration: u32;
  /** Tables that wrong maps have linked into mapped memory (stray.ts). */
  strays: Stray | null;
  /** Tables that the kernel leaks, linked through their first words: leakBehindLeaf. */
  leaked: usize;
}

// @ts-ignore: decorator
@unmanaged
export class Position extends DomainCpu {
  leafKey: u64; // pfn >> LEAF_PFNS
  midKey: u64; // pfn >> MID_PFNS
  leaf: usize;
  mid: usize;
  leafGeneration: u32;
  midGeneration: u32;
  /** Table pages that the present call has reserved, linked through their first words. */
  reserve: usize;
  /** The leaf table that the call has made and not filled yet, or 0. */
  fresh: usize;
}

/** Write-only mappings are readable, too (6.12). */
export const DOMAIN_WRITE_IMPLIES_READ: u32 = 1;
/** Leaves carry the snoop bit. */
export const DOMAIN_SNOOP: u32 = 2;
/** Unmapping clears just the range given (the DMA API of 2015), not whole leaves and levels as iommu_unmap does. */
export const DOMAIN_UNMAP_EXACT: u32 = 4;

export const NO_KEY: u64 = 0xffffffffffffffff;

/** The VT-d record of a domain. */
// @ts-ignore: decorator
@inline
export function vtdOf(domain: IommuDomain): VtdDomain {
  return changetype<VtdDomain>(domain);
}

/** The position of a CPU. */
// @ts-ignore: decorator
@inline
export function positionAt(domain: VtdDomain, cpu: u32): Position {
  return changetype<Position>(fieldOf(domain, DOMAIN_SIZE) + <usize>cpu * DOMAIN_CPU_SIZE);
}

// @ts-ignore: decorator
@inline
export function positionOf(domain: VtdDomain): Position {
  return positionAt(domain, currentCpu());
}

/** First pfn that the levels do not span (domain_pfn_supported). */
// @ts-ignore: decorator
@inline
export function pfnLimit(domain: VtdDomain): u64 {
  return <u64>1 << <u64>(domain.levels * LEVEL_STRIDE);
}

/** Frees a table of a level with everything below it. The domain is locked; the caller clears the entry that led to it. */
export function subtreeFree(domain: VtdDomain, table: usize, level: u32): void {
  if (level > 1) {
    for (let at = table, end = table + TABLE_SIZE; at < end; at += 8) {
      const entry = load<u64>(at);
      if (entry != 0 && (entry & PTE_LARGE) == 0) subtreeFree(domain, tableOf(entry), level - 1);
    }
    ++domain.midGeneration;
  }
  ++domain.leafGeneration;
  --domain.tablePages;
  tableFree(unitOf(domain), table);
}

/** Reserves n table pages for the present call. Returns false without memory, with none reserved. */
export function tablesReserve(domain: VtdDomain, position: Position, n: u32): bool {
  const unit = unitOf(domain);
  for (let i: u32 = 0; i < n; ++i) {
    const table = tableAlloc(unit);
    if (table == 0) {
      tablesUnreserve(domain, position);
      return false;
    }
    store<u32>(table, <u32>position.reserve);
    position.reserve = table;
  }
  return true;
}

/** Frees the reserved table pages that the call did not use. */
export function tablesUnreserve(domain: VtdDomain, position: Position): void {
  for (let table = position.reserve; table != 0; ) {
    const next: usize = load<u32>(table);
    tableFree(unitOf(domain), table);
    table = next;
  }
  position.reserve = 0;
}

/** Takes a reserved table page with undefined contents. The domain is locked. */
function tableTakeRaw(domain: VtdDomain, position: Position): usize {
  const table = position.reserve;
  assert(table != 0);
  position.reserve = load<u32>(table);
  ++domain.tablePages;
  return table;
}

/** Takes a reserved table page and clears it. The domain is locked. */
export function tableTake(domain: VtdDomain, position: Position): usize {
  const table = tableTakeRaw(domain, position);
  memory.fill(table, 0, TABLE_SIZE);
  return table;
}

/** Links a zeroed table into an empty slot, unless another CPU has done so. Returns the slot's entry. */
function tableHang(domain: VtdDomain, position: Position, slot: usize): u64 {
  lock(domain);
  let entry: u64 = ASC_FEATURE_THREADS ? load<u64>(slot) : 0;
  if (entry == 0) {
    entry = tableEntry(tableTake(domain, position));
    store<u64>(slot, entry);
  }
  unlock(domain);
  return entry;
}

/**
 * The table of level `target` for a pfn. With `create` missing tables are made of reserved pages.
 * @returns its offset; 0 when it is missing, or a large leaf covers the pfn
 */
export function tableFind(domain: VtdDomain, position: Position, pfn: u64, target: u32, create: bool): usize {
  let table = domain.root;
  let level = domain.levels;
  while (level > target) {
    const slot = slotAt(table, pfn, level);
    let entry = load<u64>(slot);
    if (entry == 0) {
      if (!create) return 0;
      entry = tableHang(domain, position, slot);
    }
    if ((entry & PTE_LARGE) != 0) return 0;
    table = tableOf(entry);
    --level;
  }
  return table;
}

/** tableFind for level 2, by the CPU's position. */
export function midFind(domain: VtdDomain, position: Position, pfn: u64, create: bool): usize {
  if (position.midKey == pfn >> MID_PFNS && position.midGeneration == domain.midGeneration) return position.mid;
  const mid = tableFind(domain, position, pfn, 2, create);
  if (mid == 0) return 0;
  position.midKey = pfn >> MID_PFNS;
  position.mid = mid;
  position.midGeneration = domain.midGeneration;
  return mid;
}

/** tableFind for level 1, by the CPU's position, without making tables. */
// @ts-ignore: decorator
@inline
export function leafFind(domain: VtdDomain, position: Position, pfn: u64): usize {
  if (position.leafKey == pfn >> LEAF_PFNS && position.leafGeneration == domain.leafGeneration) return position.leaf;
  return leafWalk(domain, position, pfn, 0);
}

/**
 * tableFind for level 1, by the CPU's position, for a call that will fill n entries and has reserved the tables. A new table has
 * undefined contents: position.fresh is set, and the caller clears what it does not fill (leafFresh).
 * @returns 0 only if a large leaf covers the pfn
 */
// @ts-ignore: decorator
@inline
export function leafMake(domain: VtdDomain, position: Position, pfn: u64, n: u32): usize {
  if (position.leafKey == pfn >> LEAF_PFNS && position.leafGeneration == domain.leafGeneration) return position.leaf;
  return leafWalk(domain, position, pfn, n);
}

function leafWalk(domain: VtdDomain, position: Position, pfn: u64, n: u32): usize {
  const mid = midFind(domain, position, pfn, n != 0);
  if (mid == 0) return 0;
  const slot = slotAt(mid, pfn, 2);
  let entry = load<u64>(slot);
  if (entry == 0) {
    if (n == 0) return 0;
    // Another CPU may use the table as soon as it is linked: it must be cleared before.
    if (ASC_FEATURE_THREADS && n < TABLE_ENTRIES) entry = tableHang(domain, position, slot);
    else {
      lock(domain);
      const fresh = tableTakeRaw(domain, position);
      entry = tableEntry(fresh);
      store<u64>(slot, entry);
      unlock(domain);
      position.fresh = fresh;
    }
  }
  if ((entry & PTE_LARGE) != 0) return 0;
  const leaf = tableOf(entry);
  position.leafKey = pfn >> LEAF_PFNS;
  position.leaf = leaf;
  position.leafGeneration = domain.leafGeneration;
  return leaf;
}

/** Whether a leaf table is new. If so, clears all of it but the n entries from `index` on, which the caller fills. */
// @ts-ignore: decorator
@inline
export function leafFresh(position: Position, leaf: usize, index: u32, n: u32): bool {
  if (position.fresh == 0) return false;
  assert(position.fresh == leaf);
  position.fresh = 0;
  if (n < TABLE_ENTRIES) {
    memory.fill(leaf, 0, <usize>index << 3);
    memory.fill(leaf + (<usize>(index + n) << 3), 0, <usize>(TABLE_ENTRIES - index - n) << 3);
  }
  return true;
}
