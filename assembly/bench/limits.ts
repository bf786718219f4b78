import { PAGE_SHIFT } from '../ram/ram';
// Limits that benchmarks are compared with: the tightest loops that have the memory traffic of an operation and do nothing else.

/**
 * The bare loop: stores a VT-d entry for each of n scattered frames, one after the other, `rounds` times over the same
 * table. No SIMD, no check: the plain loop that fills a page table.
 */
export function limitStorePtes(table: usize, pfns: usize, n: u32, rounds: u32): void {
  const end = table + (<usize>n << 3);
  for (let round: u32 = 0; round < rounds; ++round) {
    for (let at = table, from = pfns; at < end; at += 8, from += 4) store<u64>(at, (<u64>load<u32>(from) << PAGE_SHIFT) | 3);
  }
}

/** memory.fill over n entries of a table, `rounds` times: a lower limit of what unmapping them costs. */
export function limitFill(table: usize, n: u32, rounds: u32): void {
  for (let round: u32 = 0; round < rounds; ++round) memory.fill(table, 0, <usize>n << 3);
}

/** Nothing, so that the host can time the call itself. */
export function limitCall(value: u32): u32 {
  return value;
}
