// A virtual CPU: what the kernel keeps in per-CPU variables. The number of the CPU that runs is the one piece of state
// outside linear memory: a WebAssembly global belongs to one instance, so each worker of the threads build has its own,
// which is just what a CPU's own register is. The host sets it, once a worker or whenever it moves to another CPU.

let cpu: u32 = 0;

// @ts-ignore: decorator
@inline
export function currentCpu(): u32 {
  return cpu;
}

/** Moves this instance to another virtual CPU; the caller keeps the number below the context's cpuCount. */
export function cpuSet(index: u32): void {
  cpu = index;
}

export function cpuGet(): u32 {
  return cpu;
}

// @ts-ignore: decorator
@unmanaged
export class Cpu {
  /**
   * The caller. The host writes these words before a call that makes or ends a mapping; they are copied into dma-debug entries and
   * events. Ids of the host; 0 is none.
   */
  object: u32;
  vma: u32;
  hook: u32;
  site: u32;
  /** Findings of dma-debug so far, so that the host sees with one load whether a call reported something. */
  findings: u32;
  /** Why the last call on this CPU failed: a reason code of the subsystem that failed, see reason.ts. */
  reason: u32;
  /** Order-0 page stack (ram/): its vector of pfns and how many wait on it. */
  pages: usize;
  pageCount: u32;
  /** Table pages that wait for their next use (iommu/unit.ts), linked through their first words; and how many. */
  freeTables: usize;
  pooledUnits: u32;
  /** Pages of IOMMU tables taken on this CPU less those given back on it: only the sum over CPUs means anything. */
  tablePages: u32;
  /** The stack above pageCount, up to here: frames on loan; and below here some frame may have contents (ram/loan.ts). */
  loanEnd: u32;
  soiled: u32;
  /** Counts what else than lending and taking back has happened to the stack. */
  stackChanges: u32;
  pad: u64;
}

// A multiple of the cache line, so that two CPUs never write to the same one.
export const CPU_SIZE: usize = 128;
