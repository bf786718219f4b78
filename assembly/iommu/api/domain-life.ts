// How a domain is made and freed.

import { Context } from '../../memory/context';
import { lock, unlock } from '../../memory/lock';
import { addressOf, fieldOf, unlinkRecord } from '../../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../../memory/slab';
import { cookieCreate, cookieFree } from '../cookie';
import { DOMAIN_CPU_SIZE, DOMAIN_SIZE, IommuDomain, domainInvalidations, pageInvalidations } from '../domain';
import { formats } from '../formats/list';
import { iotlbFlushDomain } from '../iotlb';
import { Iommu, domainIdAlloc, domainIdFree, iommuFormat, iommuOf, unitOf } from '../unit';

/**
 * Makes a domain of the unit's format, without a mapping.
 * @param levels of the tables, as the format has them
 * @param width bits of an IOVA, 0 for all that the levels give
 * @param pageSizes as iommu_domain.pgsize_bitmap has them; bit 12 always
 * @param flags DOMAIN_* of the format
 * @returns the domain, or null for parameters that cannot be, without memory or without a domain id
 */
export function domainCreate(ctx: Context, levels: u32, width: u32, pageSizes: u64, flags: u32): IommuDomain | null {
  const format = iommuFormat(ctx);
  const bits = formats().width(format, levels, width, pageSizes);
  if (bits == 0) return null;
  const unit = iommuOf(ctx);
  if (unit == null) return null;
  const size = DOMAIN_SIZE + <usize>ctx.cpuCount * DOMAIN_CPU_SIZE;
  const cache = slabCacheAt<IommuDomain>(ctx, ctx.iommu + offsetof<Iommu>('domainCache'), size);
  const domain: IommuDomain | null = cache == null ? null : slabAllocZeroed(cache);
  if (domain == null) return null;
  lock(unit);
  const id = domainIdAlloc(unit);
  unlock(unit);
  domain.ctx = ctx;
  domain.format = format;
  domain.id = id;
  domain.flags = flags;
  domain.levels = levels;
  domain.width = bits;
  domain.flushesMaps = unit.npCache;
  if (id == 0 || !formats().init(domain, pageSizes)) {
    if (id != 0) domainIdFree(unit, id);
    slabFree<IommuDomain>(cache!, domain);
    return null;
  }
  lock(unit);
  domain.next = unit.domains;
  unit.domains = domain;
  ++unit.domainCount;
  unlock(unit);
  return domain;
}

/**
 * Makes a domain that the DMA API maps through (IOMMU_DOMAIN_DMA).
 * @param levels, width, pageSizes, tableFlags as for domainCreate
 * @param rules, line, flags, queueEntries, queueNs as for cookieCreate (cookie.ts)
 * @returns the domain, or null as domainCreate and cookieCreate have it
 */
export function dmaDomainCreate(
  ctx: Context, levels: u32, width: u32, pageSizes: u64, tableFlags: u32, rules: u32, line: u32, flags: u32,
  queueEntries: u32, queueNs: u64,
): IommuDomain | null {
  const domain = domainCreate(ctx, levels, width, pageSizes, tableFlags);
  if (domain == null) return null;
  if (cookieCreate(domain, rules, line, flags, queueEntries, queueNs)) return domain;
  domainDestroy(domain);
  return null;
}

/**
 * Frees a domain with its tables and its cookie. Its devices must be detached first.
 * @returns false when a device is still attached
 */
export function domainDestroy(domain: IommuDomain): bool {
  if (domain.attached != 0) return false;
  const unit = unitOf(domain);
  cookieFree(domain);
  iotlbFlushDomain(domain);
  formats().free(domain);
  assert(domain.tablePages == 0);
  unit.pageInvalidations += pageInvalidations(domain);
  unit.domainInvalidations += domainInvalidations(domain);
  lock(unit);
  unlinkRecord(fieldOf(unit, offsetof<Iommu>('domains')), addressOf(domain), offsetof<IommuDomain>('next'));
  --unit.domainCount;
  domainIdFree(unit, domain.id);
  unlock(unit);
  slabFree(unit.domainCache!, domain);
  return true;
}
