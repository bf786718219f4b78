// The verdict log: a ring of records that the host drains. Cpu.findings counts them, so that the host sees with one load after a
// call whether there are new ones. A full ring keeps its oldest records, since the first finding explains the others, and counts
// those that it drops.

import { DEVICE_FILTER_MATCH, DmaDevice } from '../../device/device';
import { EVENT_FINDING, emit } from '../../events/events';
import { kmsgFinding } from '../../kmsg/kmsg';
import { Context, cpuOf } from '../../memory/context';
import { addressOf } from '../../memory/record';
import { Entry, directionIn } from './entry';
import {
  DEBUG_KERNEL, DEBUG_OWN, LOG_RECORDS, OPTION_ALL_ERRORS, OPTION_FILTER, DebugState, debugRecord,
} from './state';

/** The kernel's checker found it (and counted it, if it is an error). */
export const REPORT_KERNEL: u32 = 1;
/** The kernel would have printed it: the filter passes and num_errors or all_errors allowed it. */
export const REPORT_PRINTED: u32 = 2;
/** Our checker reports it. */
export const REPORT_OWN: u32 = 4;
/** The verdict refers to a mapping: the record's entry fields are set. */
export const REPORT_ENTRY: u32 = 8;

/** Checks below this number are the kernel's (kernel/dma/debug.c), the others are ours. All are below CHECKS_END. */
export const FIRST_OWN_CHECK: u32 = 64;
export const CHECKS_END: u32 = 96;

/** What a check tells beside the device addresses and the mapping: a class of the check extends this one, in at most 24 bytes. */
// @ts-ignore: decorator
@unmanaged
export class Payload {}

/**
 * One verdict. Its address and size are device addresses that the check is about: of the call, or of the mapping where the call
 * has none of its own (frames are freed, a driver is unbound). What else a check tells is in its payload.
 */
// @ts-ignore: decorator
@unmanaged
export class Verdict {
  /** CHECK_* */
  check: u32;
  sequence: u32;
  /** Virtual time in nanoseconds. */
  time: u64;
  /** Id of the device, 0 where none is involved. */
  device: u32;
  /** REPORT_* */
  flags: u32;
  /** -1 is DMA_MAPPING_ERROR, 0 none: the call has not mapped yet. */
  address: i64;
  size: u64;
  /** The caller, as ids of the host. */
  object: u32;
  vma: u32;
  hook: u32;
  site: u32;
  /** The mapping that the verdict refers to: its caller, place and time. */
  entryObject: u32;
  entryVma: u32;
  entryHook: u32;
  entrySite: u32;
  entryAddress: i64;
  entrySize: u64;
  entryTime: u64;
  entrySequence: u32;
  /** TYPE_* and DMA_* direction. */
  entryType: u8;
  entryDirection: u8;
  entryDevice: u16;
  /** The check's Payload. */
  payload0: u64;
  payload1: u64;
  payload2: u64;
}

/** Offset of the payload in a Verdict. */
export const VERDICT_PAYLOAD: usize = offsetof<Verdict>('payload0');

/** A zeroed payload, to be filled in and passed to a report. There is one at a time. */
// @ts-ignore: decorator
@inline
export function payload<T>(state: DebugState): T {
  const at = state.payload;
  store<u64>(at, 0);
  store<u64>(at, 0, 8);
  store<u64>(at, 0, 16);
  return changetype<T>(at);
}

/** An error that the kernel's checker finds (err_printk): counted, and printed if filter and limits let it. */
export function report(
  state: DebugState, check: u32, dev: DmaDevice, entry: Entry | null, address: u64, size: u64, told: Payload | null,
): void {
  let flags: u32 = (state.flags & DEBUG_OWN) != 0 ? REPORT_OWN : 0;
  if ((state.flags & DEBUG_KERNEL) != 0) {
    flags |= REPORT_KERNEL;
    ++state.errorCount;
    const all = (state.options & OPTION_ALL_ERRORS) != 0;
    const passes = (state.options & OPTION_FILTER) == 0 || (dev.flags & DEVICE_FILTER_MATCH) != 0;
    if (passes && (all || state.numErrors != 0)) flags |= REPORT_PRINTED;
    // The count is decremented even if the filter hides the text.
    if (!all && state.numErrors != 0) --state.numErrors;
  }
  if (flags == 0) return;
  // An error at every call fills the log quickly. Verdicts are only counted then.
  if (isFull(state) && state.ctx.events == 0) {
    if ((flags & REPORT_PRINTED) != 0) say(state.ctx, check, flags, dev.id, entry, address, size, told);
    tally(state, check);
    ++state.logDropped;
  } else write(state, check, flags, dev.id, entry, address, size, told);
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
  return ++cpuOf(state.ctx).findings;
}

/** A warning of the kernel's that is no error: it is not counted in error_count and not filtered. */
export function reportUncounted(
  state: DebugState, check: u32, dev: DmaDevice, entry: Entry | null, told: Payload | null,
): void {
  const flags: u32 = ((state.flags & DEBUG_KERNEL) != 0 ? REPORT_KERNEL | REPORT_PRINTED : 0)
    | ((state.flags & DEBUG_OWN) != 0 ? REPORT_OWN : 0);
  if (flags != 0) write(state, check, flags, dev.id, entry, 0, 0, told);
}

/** The pool has grown or is empty: no device is involved. */
export function reportPool(state: DebugState, check: u32, told: Payload): void {
  write(state, check, REPORT_KERNEL | REPORT_PRINTED, 0, null, 0, 0, told);
}

/** A finding of our checker. */
export function reportOwn(
  state: DebugState, check: u32, dev: DmaDevice, entry: Entry | null, address: u64, size: u64, told: Payload | null,
): void {
  write(state, check, REPORT_OWN, dev.id, entry, address, size, told);
}

/** Writes a verdict to the kernel's log. */
function say(
  ctx: Context, check: u32, flags: u32, device: u32, entry: Entry | null, address: u64, size: u64, told: Payload | null,
): void {
  const payload = addressOf(told);
  if (entry == null) kmsgFinding(ctx, check, device, flags, address, size, payload, 0, 0, 0);
  else {
    const about = flags | REPORT_ENTRY;
    kmsgFinding(ctx, check, device, about, address, size, payload, entry.address, entry.size, entry.kind);
  }
}

function write(
  state: DebugState, check: u32, flags: u32, device: u32, entry: Entry | null, address: u64, size: u64,
  told: Payload | null,
): void {
  const ctx = state.ctx;
  const cpu = cpuOf(ctx);
  const sequence = tally(state, check);
  emit(ctx, EVENT_FINDING, device, address, size, 0, check, flags);
  const full = isFull(state);
  if (!full || (flags & REPORT_PRINTED) != 0) say(ctx, check, flags, device, entry, address, size, told);
  if (full) {
    ++state.logDropped;
    return;
  }
  const at = slotOf(state, state.logHead);
  ++state.logHead;
  const verdict = changetype<Verdict>(at);
  verdict.check = check;
  verdict.sequence = sequence;
  verdict.time = ctx.now;
  verdict.device = device;
  verdict.flags = flags;
  verdict.address = address;
  verdict.size = size;
  verdict.object = cpu.object;
  verdict.vma = cpu.vma;
  verdict.hook = cpu.hook;
  verdict.site = cpu.site;
  // memory.fill would be a call, which costs more than these stores.
  v128.store(at, i64x2.splat(0), offsetof<Verdict>('entryObject'));
  v128.store(at, i64x2.splat(0), offsetof<Verdict>('entryAddress'));
  v128.store(at, i64x2.splat(0), offsetof<Verdict>('entryTime'));
  // A check without a payload copies zeros from the null record.
  const from = addressOf(told);
  verdict.payload0 = load<u64>(from);
  verdict.payload1 = load<u64>(from, 8);
  verdict.payload2 = load<u64>(from, 16);
  if (entry == null) return;
  verdict.flags = flags | REPORT_ENTRY;
  verdict.entryObject = entry.object;
  verdict.entryVma = entry.vma;
  verdict.entryHook = entry.hook;
  verdict.entrySite = entry.site;
  verdict.entryAddress = entry.address;
  verdict.entrySize = entry.size;
  verdict.entryTime = entry.time;
  verdict.entrySequence = entry.sequence;
  verdict.entryType = <u8>entry.kind;
  verdict.entryDirection = <u8>directionIn(entry.kind);
  verdict.entryDevice = <u16>entry.device.id;
}

// @ts-ignore: decorator
@inline
function slotOf(state: DebugState, number: u32): usize {
  return state.log + <usize>(number & (LOG_RECORDS - 1)) * offsetof<Verdict>();
}

/** Offset of the oldest record that was not drained; debugLogRun of them lie in one piece there. */
export function debugLogFirst(ctx: Context): usize {
  const state = debugRecord(ctx);
  return slotOf(state, state.logTail);
}

export function debugLogRun(ctx: Context): u32 {
  const state = debugRecord(ctx);
  return min(state.logHead - state.logTail, LOG_RECORDS - (state.logTail & (LOG_RECORDS - 1)));
}

export function debugLogDrained(ctx: Context, count: u32): void {
  debugRecord(ctx).logTail += count;
}

/** Records dropped since the last call because the log was full. */
export function debugLogDropped(ctx: Context): u32 {
  const state = debugRecord(ctx);
  const dropped = state.logDropped;
  state.logDropped = 0;
  return dropped;
}
