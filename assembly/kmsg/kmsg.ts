// kmsg/ is the kernel's log as records: findings of dma-debug, faults, failures and notices in order. The host formats them as the
// configured kernel does (src/dmesg). As in the kernel, the newest records are kept and the same rate limits apply.

import { blockAllocZeroed, BLOCK_SIZE } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { Guarded, lock, unlock } from '../memory/lock';

/** What a record says. Numbers below it are checks of dma-debug (CHECK_*). */
export const KMSG_FIRST: u32 = 128;
export const KMSG_FAULT: u32 = 128; // address, size = requester id, a = domain, d = reason, e = 1 for a write
export const KMSG_FAULT_STATUS: u32 = 129; // d = fault status register
export const KMSG_ALREADY_SET: u32 = 130; // address = pfn, a = the entry that stays, b = the one that is lost
export const KMSG_SWIOTLB_FULL: u32 = 131; // size asked for, a = slots of the pool, b = slots in use
export const KMSG_DMA_OVERFLOW: u32 = 132; // address, size, a = mask, b = bus limit
export const KMSG_DMA_BITS: u32 = 133; // d = bits
export const KMSG_UNMAP_NOTHING: u32 = 134; // address, size: WARN_ON(!phys) of iommu_dma_unmap_page
export const KMSG_UNMAPPED_SIZE: u32 = 135; // address, size, a = unmapped: WARN_ON(unmapped != size)
export const KMSG_SUPPRESSED: u32 = 136; // d = LIMIT_*, e = how many
export const KMSG_ALIGNMENT: u32 = 137; // Unsupported alignment constraint
export const KMSG_SWIOTLB_CUT: u32 = 138; // a = bytes of the allocation, size = of the mapping
export const KMSG_RESOURCE_OVERFLOW: u32 = 139; // as KMSG_DMA_OVERFLOW, of dma_map_resource
export const KMSG_NO_MASK: u32 = 140; // d = 0 map_page, 1 map_sg, 2 map_resource, 3 alloc, 4 alloc_pages
export const KMSG_SWIOTLB_OVERFLOW: u32 = 141; // address of the slots, size, a = mask, b = bus limit
export const KMSG_NO_BOUNCE: u32 = 142; // an unaligned end behind an IOMMU, and no pool
export const KMSG_IOVA_FAILED: u32 = 143; // size = pages (2015)
export const KMSG_WALK_IN_DATA: u32 = 144; // ours: address, size, a = memory that was taken for a table, d = 1 for an unmap
export const KMSG_LIVE_REPLACED: u32 = 145; // ours: address, size of a mapping that took the place of live ones, a = bytes of these
export const KMSG_NO_NEW_POOL: u32 = 146;
export const KMSG_ATOMIC_EXHAUSTED: u32 = 150;
export const KMSG_UNALIGNED_MAP: u32 = 147; // address, size, a = physical, d = smallest page
export const KMSG_UNALIGNED_UNMAP: u32 = 148; // address, size, d = smallest page
export const KMSG_IOMMU_WIDTH: u32 = 149; // address = the end, d = bits

/** What is said once a boot, as bits of KernelLog.once. */
export const ONCE_DMA_OVERFLOW: u32 = 1;
export const ONCE_ALIGNMENT: u32 = 2;
export const ONCE_SWIOTLB_CUT: u32 = 4;
export const ONCE_RESOURCE_OVERFLOW: u32 = 8;
export const ONCE_NO_MASK: u32 = 16; // and the four after it: one place of the kernel each
export const ONCE_SWIOTLB_OVERFLOW: u32 = 512;
export const ONCE_NO_BOUNCE: u32 = 1024;
export const ONCE_UNMATCHED: u32 = 2048;

/** What is limited to ten messages in five seconds (DEFAULT_RATELIMIT_BURST, DEFAULT_RATELIMIT_INTERVAL). */
export const LIMIT_FAULTS: u32 = 0;
export const LIMIT_SWIOTLB: u32 = 1;
export const LIMIT_NEW_POOL: u32 = 2;
const LIMIT_KINDS: usize = 3;
const BURST: u32 = 10;
const INTERVAL: u64 = 5000000000;

/** Faults are printed without a limit (before 4.11). */
export const KMSG_FAULTS_UNLIMITED: u32 = 1;

/**
 * One record. What address to e mean is told beside the kinds above; of a finding what lies from aLow on is the check's payload
 * (Payload in dma-debug/entries/log.ts).
 */
// @ts-ignore: decorator
@unmanaged
export class KmsgRecord {
  /** KMSG_*, or the number of a check. */
  kind: u32;
  sequence: u32;
  /** Virtual time in nanoseconds. */
  time: u64;
  device: u32;
  /** REPORT_* of a finding (dma-debug/entries/log.ts). */
  flags: u32;
  cpu: u32;
  /** Type and direction of the mapping that a finding is about, as Entry.kind. */
  entryKind: u32;
  // 64 bits each, in two words: an address may have all of them.
  addressLow: u32; addressHigh: u32;
  sizeLow: u32; sizeHigh: u32;
  aLow: u32; aHigh: u32;
  bLow: u32; bHigh: u32;
  d: u32;
  e: u32;
  entryAddressLow: u32; entryAddressHigh: u32;
  entrySizeLow: u32; entrySizeHigh: u32;
}

/** Offset of a finding's payload in its record. */
export const KMSG_PAYLOAD: usize = offsetof<KmsgRecord>('aLow');

/** State of a rate limit (struct ratelimit_state). */
// @ts-ignore: decorator
@unmanaged
class RateLimit {
  begin: u64;
  printed: u32;
  missed: u32;
  started: u32;
  pad: u32;
}

// @ts-ignore: decorator
@unmanaged
export class KernelLog extends Guarded {
  /** KMSG_FAULTS_UNLIMITED */
  flags: u32;
  /** ONCE_*: said already. */
  once: u32;
  /** Counted without wrapping: the next record to write, the oldest one that the host has not read. */
  head: u32;
  tail: u32;
  /** Records that were overwritten unread. */
  lost: u32;
  pad: u32;
}

// The log's block: the record of the log, a RateLimit per kind, the records.
const LIMITS: usize = 64;
const RECORDS: usize = (LIMITS + LIMIT_KINDS * offsetof<RateLimit>() + 63) & ~63;
const CAPACITY: u32 = 512;
const LOG_ORDER: u32 = 4;

/** The log, which a machine has from the start. Returns null without memory. */
export function kmsgState(ctx: Context): KernelLog | null {
  if (ctx.kmsg == 0) ctx.kmsg = blockAllocZeroed(ctx, LOG_ORDER);
  assert(RECORDS + <usize>CAPACITY * offsetof<KmsgRecord>() <= BLOCK_SIZE << LOG_ORDER);
  return changetype<KernelLog | null>(ctx.kmsg);
}

/** Sets KMSG_FAULTS_UNLIMITED, or nothing. */
export function kmsgSetup(ctx: Context, flags: u32): void {
  changetype<KernelLog>(ctx.kmsg).flags = flags;
}

/** Whether something that the kernel says once is said now for the first time. */
export function kmsgOnce(ctx: Context, bit: u32): bool {
  const log = changetype<KernelLog>(ctx.kmsg);
  if ((log.once & bit) != 0) return false;
  log.once |= bit;
  return true;
}

/** Whether something that is limited may be said now (___ratelimit). */
export function kmsgAllowed(ctx: Context, which: u32): bool {
  const log = changetype<KernelLog>(ctx.kmsg);
  if (which == LIMIT_FAULTS && (log.flags & KMSG_FAULTS_UNLIMITED) != 0) return true;
  const limit = changetype<RateLimit>(ctx.kmsg + LIMITS + <usize>which * offsetof<RateLimit>());
  if (limit.started == 0) {
    limit.started = 1;
    limit.begin = ctx.now;
  }
  if (ctx.now > limit.begin + INTERVAL) {
    if (limit.missed != 0) kmsg(ctx, KMSG_SUPPRESSED, 0, 0, 0, 0, 0, which, limit.missed);
    limit.missed = 0;
    limit.begin = ctx.now;
    limit.printed = 0;
  }
  if (limit.printed < BURST) {
    ++limit.printed;
    return true;
  }
  ++limit.missed;
  return false;
}

/** Says something that is no finding of dma-debug. */
export function kmsg(
  ctx: Context, kind: u32, device: u32, address: u64, size: u64, a: u64, b: u64, d: u32, e: u32,
): void {
  const log = changetype<KernelLog>(ctx.kmsg);
  lock(log);
  const at = append(ctx, log, kind, device, 0, address, size, 0, 0, 0);
  store<u64>(at, a, offsetof<KmsgRecord>('aLow'));
  store<u64>(at, b, offsetof<KmsgRecord>('bLow'));
  const record = changetype<KmsgRecord>(at);
  record.d = d;
  record.e = e;
  unlock(log);
  // The host looks at this counter after each call.
  ++cpuOf(ctx).findings;
}

/**
 * Says a finding.
 * @param payload where the 24 bytes of its payload are
 */
export function kmsgFinding(
  ctx: Context, check: u32, device: u32, flags: u32, address: u64, size: u64, payload: usize, entryAddress: u64,
  entrySize: u64, entryKind: u32,
): void {
  const log = changetype<KernelLog>(ctx.kmsg);
  lock(log);
  const at = append(ctx, log, check, device, flags, address, size, entryAddress, entrySize, entryKind);
  store<u64>(at, load<u64>(payload), KMSG_PAYLOAD);
  store<u64>(at, load<u64>(payload, 8), KMSG_PAYLOAD + 8);
  store<u64>(at, load<u64>(payload, 16), KMSG_PAYLOAD + 16);
  unlock(log);
}

/** A new record, all but the 24 bytes of its numbers; the log is locked. */
function append(
  ctx: Context, log: KernelLog, kind: u32, device: u32, flags: u32, address: u64, size: u64, entryAddress: u64,
  entrySize: u64, entryKind: u32,
): usize {
  const sequence = log.head++;
  if (log.head - log.tail > CAPACITY) {
    ++log.tail;
    ++log.lost;
  }
  const at = recordOf(ctx, sequence);
  const record = changetype<KmsgRecord>(at);
  record.kind = kind;
  record.sequence = sequence;
  record.time = ctx.now;
  record.device = device;
  record.flags = flags;
  record.cpu = currentCpu();
  record.entryKind = entryKind;
  store<u64>(at, address, offsetof<KmsgRecord>('addressLow'));
  store<u64>(at, size, offsetof<KmsgRecord>('sizeLow'));
  store<u64>(at, entryAddress, offsetof<KmsgRecord>('entryAddressLow'));
  store<u64>(at, entrySize, offsetof<KmsgRecord>('entrySizeLow'));
  return at;
}

// @ts-ignore: decorator
@inline
function recordOf(ctx: Context, number: u32): usize {
  return ctx.kmsg + RECORDS + <usize>(number & (CAPACITY - 1)) * offsetof<KmsgRecord>();
}

/** Offset of the oldest record that was not read; kmsgRun of them lie in one piece there. */
export function kmsgFirst(ctx: Context): usize {
  return recordOf(ctx, changetype<KernelLog>(ctx.kmsg).tail);
}

export function kmsgRun(ctx: Context): u32 {
  const log = changetype<KernelLog>(ctx.kmsg);
  return min(log.head - log.tail, CAPACITY - (log.tail & (CAPACITY - 1)));
}

export function kmsgRead(ctx: Context, count: u32): void {
  changetype<KernelLog>(ctx.kmsg).tail += count;
}

/** Records that were overwritten unread since the last call. */
export function kmsgLost(ctx: Context): u32 {
  const log = changetype<KernelLog>(ctx.kmsg);
  const lost = log.lost;
  log.lost = 0;
  return lost;
}
