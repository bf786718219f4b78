import { GemDmaError } from '../core/errors.js';
import { Core, type CoreModules, compile } from '../core/instance.js';
import { CONTROL_DEAD } from './protocol.js';

let compiled: Promise<CoreModules> | undefined;

/** The threads build of the core, loaded on first use only: the single-threaded library pays nothing for it. */
export function threadsModules(): Promise<CoreModules> {
  compiled ??= Promise.all([import('../core/generated/threads.js'), import('../core/generated/threads-tools.js')]).then(
    ([core, tools]) => ({ core: compile(core.wasm), tools: compile(tools.wasm) }),
  );
  return compiled;
}

const PAGE = 65536;
/** What asconfig.json declares as the import's maximum; a memory may not have a larger one. */
const MAX_PAGES = 65536;

/**
 * A memory that several instances of the core share. It has its final size from the start. The operating system gives
 * it pages on first touch, so that costs address space only; and a shared memory that grows would reach the other
 * instances no earlier than at their next stack check, until when a memory.fill into the new part traps in them.
 */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.min(MAX_PAGES, Math.ceil(bytes / PAGE));
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * Tenths of a second for which a lock may have the same holder. Its sections take microseconds; a worker that was cut off
 * is known to be dead sooner, unless the thread that would hear of it is the one that waits.
 */
const MOST_SLICES = 20;

/**
 * An instance of the threads build on a shared memory, acting as one virtual CPU.
 * @param control words of the pool, which tell the CPUs whose workers are dead
 */
export function sharedCore(modules: CoreModules, memory: WebAssembly.Memory, cpu: number, control: Int32Array): Core {
  const core: Core = new Core(modules, memory, (holder, slices) => {
    if (slices < MOST_SLICES && Atomics.load(control, CONTROL_DEAD + holder) === 0) return;
    const message = `CPU ${holder} died with a lock held that CPU ${cpu} waits for`;
    // What this call was changing is half done as well.
    core.timeline.close({ code: 'EIO', reason: 'MACHINE_BROKEN', message });
    throw new GemDmaError('EIO', 'lock', message, { reason: LOCK_HOLDER_DEAD });
  });
  core.exports.cpuSet(cpu);
  return core;
}

/** Reason of the error that a waiter gets. */
export const LOCK_HOLDER_DEAD = 'LOCK_HOLDER_DEAD';

/** Whether an error has left an operation of the core in its middle, with its locks held. */
export function leavesHalfDone(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError || (GemDmaError.is(error) && error.reason === LOCK_HOLDER_DEAD);
}
