// A record of the calls of a domain's driver, for comparison with a kernel: maps and unmaps of pages of one size (map_pages,
// unmap_pages) and flushes (amd_iommu_domain_flush_pages).

import { blockAlloc, blockFree, BLOCK_SIZE } from '../../memory/block';
import { IommuDomain } from '../domain';
import { AmdDomain, amdOf } from './amd-domain';

export const AMD_CALL_MAP: u32 = 0; // count pages of `size` bytes at iova, of which `done` bytes were mapped
export const AMD_CALL_UNMAP: u32 = 1; // the same, unmapped
export const AMD_CALL_FLUSH: u32 = 2; // `size` bytes at iova

// @ts-ignore: decorator
@unmanaged
export class AmdCall {
  iovaLow: u32;
  iovaHigh: u32;
  size: u64;
  count: u64;
  done: u64;
  /** CALL_* */
  kind: u32;
  pad: u32;
}

// @ts-ignore: decorator
@unmanaged
export class AmdCalls {
  /** Calls since the record was read last, the ones beyond AMD_CALLS_MAX included. */
  count: u32;
  pad: u32;
}

const CALLS_ORDER: u32 = 8;
const HEADER: usize = offsetof<AmdCalls>();
/** Calls that are kept between two readings. */
export const AMD_CALLS_MAX: u32 = (((<u32>BLOCK_SIZE << CALLS_ORDER) - 8) / 40);

/** Starts recording. Returns false without memory. */
export function amdCallsStart(domain: IommuDomain): bool {
  const amd = amdOf(domain);
  if (amd.calls != 0) return true;
  amd.calls = blockAlloc(amd.ctx, CALLS_ORDER);
  if (amd.calls == 0) return false;
  changetype<AmdCalls>(amd.calls).count = 0;
  return true;
}

export function callsStop(domain: AmdDomain): void {
  if (domain.calls != 0) blockFree(domain.ctx, domain.calls);
  domain.calls = 0;
}

/** Offset of the first AmdCall. */
export function amdCallsFirst(domain: IommuDomain): usize {
  return amdOf(domain).calls + HEADER;
}

/** Calls since the last reading. */
export function amdCallsTake(domain: IommuDomain): u32 {
  const calls = changetype<AmdCalls>(amdOf(domain).calls);
  const count = calls.count;
  calls.count = 0;
  return count;
}

export function noteCall(domain: AmdDomain, kind: u32, iova: u64, size: u64, count: u64, done: u64): void {
  const calls = changetype<AmdCalls>(domain.calls);
  if (calls.count < AMD_CALLS_MAX) {
    const call = changetype<AmdCall>(domain.calls + HEADER + <usize>calls.count * offsetof<AmdCall>());
    call.iovaLow = <u32>iova;
    call.iovaHigh = <u32>(iova >> 32);
    call.size = size;
    call.count = count;
    call.done = done;
    call.kind = kind;
  }
  ++calls.count;
}
