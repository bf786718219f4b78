// How a domain comes into being and goes.

import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import {
  IommuDomain, NO_KEY, POSITIONS, POSITION_SIZE, Position, domainInvalidations, pageInvalidations, subtreeFree,
  unitOf,
} from './domain';
import { iotlbFlushDomain } from './iotlb';
import { LEVEL_STRIDE } from './pte';
import { straysFree } from './stray';
import { Iommu, domainIdAlloc, domainIdFree, iommuOf, tableAllocZeroed, tableFree } from './unit';

/**
 * Makes a domain with an empty root table.
 * @param levels 3, 4 or 5 (39, 48 or 57 bits)
 * @param width bits of an IOVA, 0 for all that the levels give
 * @param pgsizeBitmap page sizes as iommu_domain.pgsize_bitmap has them: bit 12 always, 21 for 2 MiB, 30 for 1 GiB with it
 * @param flags DOMAIN_*
 * @returns the domain, or null for parameters that cannot be, without memory or without a domain id
 */
export function domainCreate(ctx: Context, levels: u32, width: u32, pgsizeBitmap: u32, flags: u32): IommuDomain | null {
  if (levels < 3 || levels > 5 || width > 12 + levels * LEVEL_STRIDE || (width != 0 && width < 21)) return null;
  if (pgsizeBitmap != 0x1000 && pgsizeBitmap != 0x201000 && pgsizeBitmap != 0x40201000) return null;
  if (iommuOf(ctx) == null) return null;
  const unit = changetype<Iommu>(ctx.iommu);
  const link = ctx.iommu + offsetof<Iommu>('domainCache');
  const cache = slabCacheAt(ctx, link, POSITIONS + <usize>ctx.cpuCount * POSITION_SIZE);
  const at: usize = cache == 0 ? 0 : slabAllocZeroed(cache);
  if (at == 0) return null;
  const root = tableAllocZeroed(unit);
  lock(ctx.iommu);
  const id = root == 0 ? 0 : domainIdAlloc(unit);
  unlock(ctx.iommu);
  if (id == 0) {
    if (root != 0) tableFree(unit, root);
    slabFree(cache, at);
    return null;
  }
  const domain = changetype<IommuDomain>(at);
  domain.ctx = ctx;
  domain.id = id;
  domain.levels = levels;
  domain.width = width == 0 ? 12 + levels * LEVEL_STRIDE : width;
  domain.leafLevel = pgsizeBitmap == 0x1000 ? 1 : pgsizeBitmap == 0x201000 ? 2 : 3;
  domain.flags = flags;
  domain.root = root;
  domain.tablePages = 1;
  for (let cpu: u32 = 0; cpu < ctx.cpuCount; ++cpu) {
    const position = changetype<Position>(at + POSITIONS + <usize>cpu * POSITION_SIZE);
    position.leafKey = NO_KEY;
    position.midKey = NO_KEY;
  }
  lock(ctx.iommu);
  domain.next = unit.domains;
  unit.domains = domain;
  ++unit.domainCount;
  unlock(ctx.iommu);
  return domain;
}

/**
 * Frees a domain with all its tables. Its devices must be detached first.
 * @returns false when a device is still attached
 */
export function domainDestroy(domain: IommuDomain): bool {
  if (domain.attached != 0) return false;
  const unit = unitOf(domain);
  iotlbFlushDomain(domain);
  subtreeFree(domain, domain.root, domain.levels);
  straysFree(domain);
  assert(domain.tablePages == 0);
  unit.pageInvalidations += pageInvalidations(domain);
  unit.domainInvalidations += domainInvalidations(domain);
  lock(unit);
  let link = changetype<usize>(unit) + offsetof<Iommu>('domains');
  while (<usize>load<u32>(link) != changetype<usize>(domain)) link = <usize>load<u32>(link) + offsetof<IommuDomain>('next');
  store<u32>(link, <u32>changetype<usize>(domain.next));
  --unit.domainCount;
  domainIdFree(unit, domain.id);
  unlock(unit);
  slabFree(unit.domainCache, changetype<usize>(domain));
  return true;
}
