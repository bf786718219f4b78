import { BLOCK_SHIFT, BLOCK_SIZE, blocksInit } from './block';
import { Context, FAULT_KINDS, MAX_CPUS } from './context';
import { CPU_SIZE } from './cpu';

/** Bytes of linear memory that a machine may be limited to: 1 MiB, and 4 GiB less a page of WebAssembly. */
const LIMIT_MIN: u64 = 0x100000;
const LIMIT_MAX: u64 = 0xffff0000;

/**
 * Lays out a context at the start of linear memory.
 * @param limitBytes most bytes of linear memory that may be used, rounded down to 64 KiB; growth past it is ENOMEM
 * @param cpus virtual CPUs, 1 to MAX_CPUS
 * @returns the context, or null when the limit leaves no room for one
 */
export function contextCreate(limitBytes: u64, cpus: u32): Context | null {
  if (cpus == 0 || cpus > MAX_CPUS || limitBytes < LIMIT_MIN || limitBytes > LIMIT_MAX) return null;
  const limit = <usize>limitBytes & ~0xffff;
  const base: usize = (__heap_base + 63) & ~63;
  const cpuArray: usize = (base + offsetof<Context>() + 63) & ~63;
  const faultTable: usize = cpuArray + <usize>cpus * CPU_SIZE;
  const states: usize = (faultTable + <usize>FAULT_KINDS * 8 + 63) & ~63;
  const end: usize = (states + (limit >> BLOCK_SHIFT) + (BLOCK_SIZE - 1)) & ~(BLOCK_SIZE - 1);
  if (end >= limit) return null;
  const have: usize = <usize>memory.size() << 16;
  if (have < end && memory.grow(<i32>((end - have + 0xffff) >> 16)) < 0) return null;
  memory.fill(base, 0, end - base);
  const ctx = changetype<Context>(base);
  ctx.end = end;
  ctx.limit = limit;
  ctx.blockStates = states;
  ctx.cpus = cpuArray;
  ctx.cpuCount = cpus;
  ctx.faultTable = faultTable;
  blocksInit(ctx);
  return ctx;
}
