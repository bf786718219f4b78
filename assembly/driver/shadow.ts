// Which bytes of linear memory C may touch: the shadow of KASAN (mm/kasan/generic.c), with the device as one more owner.
//
// A word for each 4 KiB says
//
//   0        nothing of C's: the core's own blocks, and the first page
//   1        open: all of it may be touched
//   2, 3     all of it belongs to a device that may write it (2), or that reads it (3: the CPU may read it, too)
//   4        freed
//   more     address of 512 bytes, one for each 8 bytes of the page
//
// and such a byte
//
//   0            open                    0xfb   freed
//   1 to 7       only the first k bytes  0xfc   beyond an object's end
//   10dmx kkk    belongs to a device: d it may write there, m not all of the 8 bytes do, so that the mappings must be
//                asked (owner.ts); kkk as without a device
//
// clang's instrumentation calls __asan_load* and __asan_store* before each access. The common answer costs two loads.

import { BLOCK_SHIFT, BLOCK_SIZE, blockAllocZeroed, blockFree } from '../memory/block';
import { fieldOf } from '../memory/record';
import { slabAllocBytes, slabCacheAt, slabFreeBytes } from '../memory/slab';
import { hostReport } from './host';
import { Mapping, mappingAt } from './owner';
import { DriverState, STATE_KASAN, ctxOf, driverState } from './state';

export const SHADOW_CLOSED: u32 = 0;
export const SHADOW_OPEN: u32 = 1;
export const SHADOW_DEVICE_WRITES: u32 = 2;
export const SHADOW_DEVICE_READS: u32 = 3;
export const SHADOW_FREED: u32 = 4;
const DETAIL_SIZE: usize = BLOCK_SIZE >> 3;

const BYTE_OWNED: u32 = 0x80;
const BYTE_WRITES: u32 = 0x20;
const BYTE_MIXED: u32 = 0x10;
const BYTE_PARTIAL: u32 = 7;
export const BYTE_FREED: u32 = 0xfb;
export const BYTE_REDZONE: u32 = 0xfc;

// Kinds of what hostReport tells; src/driver/report.ts has the names, in the same order.
export const REPORT_NULL: u32 = 0;
export const REPORT_WILD: u32 = 1;
export const REPORT_FREED: u32 = 2;
export const REPORT_BEYOND: u32 = 3;
export const REPORT_DEVICE_OWNS: u32 = 4;
export const REPORT_FREE_MAPPED: u32 = 5;
export const REPORT_SYNC_NOT_MAPPED: u32 = 6;

// Registers of this instance: set by gd_shadow_attach.
let shadow: usize = 0;
let units: usize = 0;

/** Takes the shadow's place into registers. */
export function gd_shadow_attach(): void {
  const state = driverState();
  shadow = state.unitShadow;
  units = (state.flags & STATE_KASAN) != 0 ? <usize>state.units : 0;
}

// @ts-ignore: decorator
@inline
function wordAt(address: usize): usize {
  return shadow + (address >> BLOCK_SHIFT << 2);
}

// @ts-ignore: decorator
@inline
function owned(value: u32): bool {
  return (value & 0xc0) == BYTE_OWNED;
}

/** Sets the word of whole pages. */
export function shadowPages(at: usize, count: u32, code: u32): void {
  const state = driverState();
  for (let i: u32 = 0; i < count; ++i) {
    const slot = state.unitShadow + ((at >> BLOCK_SHIFT) + i << 2);
    const word = load<u32>(slot);
    if (word > SHADOW_FREED) slabFreeBytes(state.shadowCache!, word);
    store<u32>(slot, code);
  }
}

/** A page's bytes have moved: so does its shadow. */
export function shadowMove(from: usize, to: usize): void {
  const state = driverState();
  const source = state.unitShadow + (from >> BLOCK_SHIFT << 2);
  const target = state.unitShadow + (to >> BLOCK_SHIFT << 2);
  store<u32>(target, load<u32>(source));
  store<u32>(source, SHADOW_FREED);
}

/** The 512 bytes of a page, made if need be; 0 without memory. */
function detail(address: usize): usize {
  const state = driverState();
  const slot = state.unitShadow + (address >> BLOCK_SHIFT << 2);
  const word = load<u32>(slot);
  if (word > SHADOW_FREED) return word;
  const cache = slabCacheAt<usize>(ctxOf(), fieldOf(state, offsetof<DriverState>('shadowCache')), DETAIL_SIZE);
  const at: usize = cache == null ? 0 : slabAllocBytes(cache);
  if (at == 0) return 0;
  let value: u32 = 0;
  if (word == SHADOW_DEVICE_WRITES) value = BYTE_OWNED | BYTE_WRITES;
  else if (word == SHADOW_DEVICE_READS) value = BYTE_OWNED;
  else if (word != SHADOW_OPEN) value = BYTE_FREED;
  memory.fill(at, <u8>value, DETAIL_SIZE);
  store<u32>(slot, <u32>at);
  return at;
}

/** Nothing in [at, at + n) may be touched, for the reason `code`; both multiples of 8. */
export function gd_poison(at: usize, n: usize, code: u32): void {
  if (units == 0) return;
  while (n != 0) {
    const part = min(n, BLOCK_SIZE - (at & (BLOCK_SIZE - 1)));
    const bytes = detail(at);
    if (bytes != 0) memory.fill(bytes + ((at & (BLOCK_SIZE - 1)) >> 3), <u8>code, part >> 3);
    at += part;
    n -= part;
  }
}

/** All of [at, at + n) may be touched; at is a multiple of 8. */
export function gd_unpoison(at: usize, n: usize): void {
  if (units == 0) return;
  while (n != 0) {
    const part = min(n, BLOCK_SIZE - (at & (BLOCK_SIZE - 1)));
    const bytes: usize = load<u32>(wordAt(at)) == SHADOW_OPEN ? 0 : detail(at);
    if (bytes != 0) {
      const first = bytes + ((at & (BLOCK_SIZE - 1)) >> 3);
      memory.fill(first, 0, part >> 3);
      if ((part & 7) != 0) store<u8>(first + (part >> 3), <u8>(part & 7));
    }
    at += part;
    n -= part;
  }
}

/** A block of 4 KiB << order that is the runtime's own: C's drivers may not touch it. Returns its address, 0 without memory. */
export function gd_block_alloc(order: u32): usize {
  return blockAllocZeroed(ctxOf(), order);
}

export function gd_block_free(at: usize): void {
  blockFree(ctxOf(), at);
}

/** Module data, stacks, memory of the host's: C may touch it, and it is no frame. n is a multiple of 4 KiB. */
export function gd_open(at: usize, n: usize): void {
  shadowPages(at, <u32>(n >> BLOCK_SHIFT), SHADOW_OPEN);
}

/** Gives the bytes [at, at + n), which lie in one page, to a device. */
export function shadowOwn(at: usize, n: usize, writes: bool): void {
  const slot = wordAt(at);
  const word = load<u32>(slot);
  if (word == SHADOW_CLOSED || word == SHADOW_FREED) return;
  if (n == BLOCK_SIZE && word == SHADOW_OPEN) {
    store<u32>(slot, writes ? SHADOW_DEVICE_WRITES : SHADOW_DEVICE_READS);
    return;
  }
  const bytes = detail(at);
  if (bytes == 0) return;
  const code: u32 = BYTE_OWNED | (writes ? BYTE_WRITES : 0);
  const from = at & (BLOCK_SIZE - 1);
  const end = from + n;
  const many = <u64>code * 0x0101010101010101;
  for (let g = from >> 3; g << 3 < end; ) {
    const place = bytes + g;
    const start = g << 3;
    if ((g & 7) == 0 && start >= from && start + 64 <= end && load<u64>(place) == 0) {
      store<u64>(place, many);
      g += 8;
      continue;
    }
    const value = <u32>load<u8>(place);
    ++g;
    if (value >= 0xc0) continue;
    const there = value & BYTE_PARTIAL;
    const whole = start >= from && end >= start + (there == 0 ? 8 : there);
    const other = owned(value) ? value | BYTE_MIXED : 0;
    store<u8>(place, <u8>(code | there | other | (whole ? 0 : BYTE_MIXED)));
  }
}

/** Takes the bytes [at, at + n), which lie in one page, from a device. Returns whether other mappings may own some of them. */
export function shadowDisown(at: usize, n: usize): bool {
  const slot = wordAt(at);
  const word = load<u32>(slot);
  if (word == SHADOW_CLOSED || word == SHADOW_OPEN || word == SHADOW_FREED) return false;
  if (n == BLOCK_SIZE && word < SHADOW_FREED) {
    store<u32>(slot, SHADOW_OPEN);
    return false;
  }
  const bytes = detail(at);
  if (bytes == 0) return false;
  const from = at & (BLOCK_SIZE - 1);
  const end = from + n;
  let mixed = false;
  for (let g = from >> 3; g << 3 < end; ) {
    const place = bytes + g;
    if ((g & 7) == 0 && (g << 3) + 64 <= end && (load<u64>(place) & 0xdfdfdfdfdfdfdfdf) == 0x8080808080808080) {
      store<u64>(place, 0);
      g += 8;
      continue;
    }
    ++g;
    const value = <u32>load<u8>(place);
    if (!owned(value)) continue;
    if ((value & BYTE_MIXED) != 0) mixed = true;
    store<u8>(place, <u8>(value & BYTE_PARTIAL));
  }
  return mixed;
}

// @ts-ignore: decorator
@inline
function check(address: usize, size: usize, write: bool): void {
  const unit = address >> BLOCK_SHIFT;
  const offset = address & (BLOCK_SIZE - 1);
  if (unit < units && offset + size <= BLOCK_SIZE) {
    const word = load<u32>(shadow + (unit << 2));
    if (word == SHADOW_OPEN) return;
    if (word > SHADOW_FREED && (offset & 7) + size <= 8 && load<u8>(<usize>word + (offset >> 3)) == 0) return;
  }
  checkSlow(address, size, write);
}

function checkSlow(address: usize, size: usize, write: bool): void {
  if (units == 0) return;
  const end = address + size;
  for (let at = address; at < end; ) {
    const stop = min((at | 7) + 1, end);
    if (!checkGranule(at, stop, address, size, write)) return;
    at = stop;
  }
}

/** One granule of an access, [at, stop). Returns false when something was reported. */
function checkGranule(at: usize, stop: usize, address: usize, size: usize, write: bool): bool {
  const unit = at >> BLOCK_SHIFT;
  const word: u32 = unit < units ? load<u32>(shadow + (unit << 2)) : 0;
  if (word == SHADOW_OPEN) return true;
  if (word == SHADOW_CLOSED) return tell(unit == 0 ? REPORT_NULL : REPORT_WILD, address, size, write);
  if (word == SHADOW_FREED) return tell(REPORT_FREED, address, size, write);
  if (word <= SHADOW_FREED) return askOwner(at, stop, address, size, write);
  const value = <u32>load<u8>(<usize>word + ((at & (BLOCK_SIZE - 1)) >> 3));
  if (value == 0) return true;
  if (value >= 0xc0) return tell(value == BYTE_FREED ? REPORT_FREED : REPORT_BEYOND, address, size, write);
  const there = value & BYTE_PARTIAL;
  if (there != 0 && <u32>((stop - 1) & 7) >= there) return tell(REPORT_BEYOND, address, size, write);
  return owned(value) ? askOwner(at, stop, address, size, write) : true;
}

/** Whether the device that owns bytes lets the CPU do what it does. */
function askOwner(at: usize, stop: usize, address: usize, size: usize, write: bool): bool {
  const found = mappingAt(at, stop, write);
  if (found == 0) return true;
  const mapping = changetype<Mapping>(found);
  hostReport(
    REPORT_DEVICE_OWNS, address, <u32>size, <u32>write, mapping.cpu, mapping.length, mapping.dma,
    mapping.dir, mapping.site,
  );
  return false;
}

function tell(kind: u32, address: usize, size: usize, write: bool): bool {
  hostReport(kind, address, <u32>size, <u32>write, 0, 0, 0, 0, 0);
  return false;
}

export function __asan_load1_noabort(address: usize): void { check(address, 1, false); }
export function __asan_load2_noabort(address: usize): void { check(address, 2, false); }
export function __asan_load4_noabort(address: usize): void { check(address, 4, false); }
export function __asan_load8_noabort(address: usize): void { check(address, 8, false); }
export function __asan_load16_noabort(address: usize): void { check(address, 16, false); }
export function __asan_loadN_noabort(address: usize, size: usize): void { check(address, size, false); }
export function __asan_store1_noabort(address: usize): void { check(address, 1, true); }
export function __asan_store2_noabort(address: usize): void { check(address, 2, true); }
export function __asan_store4_noabort(address: usize): void { check(address, 4, true); }
export function __asan_store8_noabort(address: usize): void { check(address, 8, true); }
export function __asan_store16_noabort(address: usize): void { check(address, 16, true); }
export function __asan_storeN_noabort(address: usize, size: usize): void { check(address, size, true); }
export function __asan_handle_no_return(): void {}

/** For the runtime, which is not instrumented: the CPU reads or writes n bytes on behalf of the driver. */
export function gd_check(address: usize, n: usize, write: bool): void {
  if (n != 0) check(address, n, write);
}

export function __asan_memcpy(to: usize, from: usize, n: usize): usize {
  if (n != 0) {
    check(from, n, false);
    check(to, n, true);
    memory.copy(to, from, n);
  }
  return to;
}

export function __asan_memmove(to: usize, from: usize, n: usize): usize {
  return __asan_memcpy(to, from, n);
}

export function __asan_memset(to: usize, value: u32, n: usize): usize {
  if (n != 0) {
    check(to, n, true);
    memory.fill(to, <u8>value, n);
  }
  return to;
}
