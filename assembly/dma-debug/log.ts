// The verdict log: what was found, as records of 128 bytes in a ring that the host drains. Cpu.findings counts them, so
// that the host knows with one load after a call whether there is anything to fetch. A full ring keeps its oldest
// records, since the first finding is the one that explains the others, and counts what it dropped.
//
//   +0 u32 check     +4 u32 sequence   +8 f64 time (ns)    +16 u32 device id   +20 u32 REPORT_* flags
//   +24 f64 address  +32 f64 size      +40 f64 a           +48 f64 b           +56 u32 d   +60 u32 e
//   +64 u32 object, vma, hook, site of the caller          +80 the same of the entry (0 without one)
//   +96 f64 entry's address   +104 f64 its size   +112 f64 its time   +120 u32 its sequence
//   +124 u32 its type | direction << 8 | 1 << 16 (there is an entry) | its device id << 17
//
// What address, size, a, b, d and e mean for each check is told in checks.ts. DMA_MAPPING_ERROR is written as -1.

import { Context, cpuOf } from '../memory/context';
import { EVENT_FINDING, emit } from '../events/events';
import { DEVICE_FILTER_MATCH, DMA_MAPPING_ERROR, DmaDevice } from '../dma/device';
import { Entry } from './entry';
import { DEBUG_KERNEL, DEBUG_OWN, DebugState, LOG_RECORDS, OPTION_ALL_ERRORS, OPTION_FILTER } from './state';

export const LOG_RECORD_SIZE: usize = 128;

/** The kernel's checker saw it (and counted it, if it is an error). */
export const REPORT_KERNEL: u32 = 1;
/** The kernel would have printed it: the filter passes and num_errors or all_errors allowed it. */
export const REPORT_PRINTED: u32 = 2;
/** Our checker reports it. */
export const REPORT_OWN: u32 = 4;

// @ts-ignore: decorator
@inline
export function addressNumber(address: u64): f64 {
  return address == DMA_MAPPING_ERROR ? -1 : <f64>address;
}

/** An error of the kernel's checker (err_printk): counted, and printed if filter and limits let it. */
export function report(
  state: DebugState, check: u32, dev: DmaDevice, entry: usize, address: u64, size: u64, a: u64, b: u64, d: u32, e: u32,
): void {
  let flags: u32 = (state.flags & DEBUG_OWN) != 0 ? REPORT_OWN : 0;
  if ((state.flags & DEBUG_KERNEL) != 0) {
    flags |= REPORT_KERNEL;
    ++state.errorCount;
    const all = (state.options & OPTION_ALL_ERRORS) != 0;
    const passes = (state.options & OPTION_FILTER) == 0 || (dev.flags & DEVICE_FILTER_MATCH) != 0;
    if (passes && (all || state.numErrors != 0)) flags |= REPORT_PRINTED;
    // The count runs down even when the filter hid the text.
    if (!all && state.numErrors != 0) --state.numErrors;
  }
  if (flags == 0) return;
  // What a driver does wrong at every call fills the log at once: from then on it is counted here.
  if (isFull(state) && changetype<Context>(state.ctx).events == 0) {
    tally(state, check);
    ++state.logDropped;
  } else write(state, check, flags, dev.id, entry, address, size, a, b, d, e);
}

// @ts-ignore: decorator
@inline
function isFull(state: DebugState): bool {
  return state.logHead - state.logTail >= LOG_RECORDS;
}

/** Counts a verdict. Returns its number. */
// @ts-ignore: decorator
@inline
function tally(state: DebugState, check: u32): u32 {
  const count = state.counts + (<usize>check << 2);
  store<u32>(count, load<u32>(count) + 1);
  return ++cpuOf(changetype<Context>(state.ctx)).findings;
}

/** A remark of the kernel's that is no error: never counted, never filtered. */
export function reportUncounted(state: DebugState, check: u32, dev: DmaDevice, entry: usize, a: u64, d: u32): void {
  const flags: u32 = ((state.flags & DEBUG_KERNEL) != 0 ? REPORT_KERNEL | REPORT_PRINTED : 0)
    | ((state.flags & DEBUG_OWN) != 0 ? REPORT_OWN : 0);
  if (flags != 0) write(state, check, flags, dev.id, entry, 0, 0, a, 0, d, 0);
}

/** What becomes of the pool: no device is involved. */
export function reportPool(state: DebugState, check: u32, total: u32): void {
  write(state, check, REPORT_KERNEL | REPORT_PRINTED, 0, 0, 0, 0, 0, 0, total, 0);
}

/** A finding that the kernel's checker cannot make. */
export function reportOwn(
  state: DebugState, check: u32, dev: DmaDevice, entry: usize, address: u64, size: u64, d: u32, e: u32,
): void {
  write(state, check, REPORT_OWN, dev.id, entry, address, size, 0, 0, d, e);
}

function write(
  state: DebugState, check: u32, flags: u32, device: u32, entryAt: usize, address: u64, size: u64, a: u64, b: u64,
  d: u32, e: u32,
): void {
  const ctx = changetype<Context>(state.ctx);
  const cpu = cpuOf(ctx);
  const sequence = tally(state, check);
  emit(ctx, EVENT_FINDING, device, addressNumber(address), <f64>size, <f64>a, check, flags);
  if (isFull(state)) {
    ++state.logDropped;
    return;
  }
  const at = state.log + <usize>(state.logHead & (LOG_RECORDS - 1)) * LOG_RECORD_SIZE;
  ++state.logHead;
  store<u32>(at, check);
  store<u32>(at, sequence, 4);
  store<f64>(at, <f64>ctx.now, 8);
  store<u32>(at, device, 16);
  store<u32>(at, flags, 20);
  store<f64>(at, addressNumber(address), 24);
  store<f64>(at, <f64>size, 32);
  store<f64>(at, <f64>a, 40);
  store<f64>(at, <f64>b, 48);
  store<u32>(at, d, 56);
  store<u32>(at, e, 60);
  store<u32>(at, cpu.object, 64);
  store<u32>(at, cpu.vma, 68);
  store<u32>(at, cpu.hook, 72);
  store<u32>(at, cpu.site, 76);
  // A fill of so few bytes is a call that costs more than all the rest.
  v128.store(at, i64x2.splat(0), 80);
  v128.store(at, i64x2.splat(0), 96);
  v128.store(at, i64x2.splat(0), 112);
  if (entryAt == 0) return;
  const entry = changetype<Entry>(entryAt);
  store<u32>(at, entry.object, 80);
  store<u32>(at, entry.vma, 84);
  store<u32>(at, entry.hook, 88);
  store<u32>(at, entry.site, 92);
  store<f64>(at, addressNumber(entry.address), 96);
  store<f64>(at, <f64>entry.size, 104);
  store<f64>(at, <f64>entry.time, 112);
  store<u32>(at, entry.sequence, 120);
  store<u32>(at, (entry.kind & 0xffff) | 0x10000 | (changetype<DmaDevice>(entry.device).id << 17), 124);
}

/** Offset of the oldest record that was not drained; debugLogRun of them lie in one piece there. */
export function debugLogFirst(ctx: Context): usize {
  const state = changetype<DebugState>(ctx.dmaDebug);
  return state.log + <usize>(state.logTail & (LOG_RECORDS - 1)) * LOG_RECORD_SIZE;
}

export function debugLogRun(ctx: Context): u32 {
  const state = changetype<DebugState>(ctx.dmaDebug);
  return min(state.logHead - state.logTail, LOG_RECORDS - (state.logTail & (LOG_RECORDS - 1)));
}

export function debugLogDrained(ctx: Context, count: u32): void {
  changetype<DebugState>(ctx.dmaDebug).logTail += count;
}

/** Records dropped since the last call because the log was full. */
export function debugLogDropped(ctx: Context): u32 {
  const state = changetype<DebugState>(ctx.dmaDebug);
  const dropped = state.logDropped;
  state.logDropped = 0;
  return dropped;
}
