import { Core, type CoreModules, compile } from '../core/instance.js';

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

/** An instance of the threads build on a shared memory, acting as one virtual CPU. */
export function sharedCore(modules: CoreModules, memory: WebAssembly.Memory, cpu: number): Core {
  const core = new Core(modules, memory);
  core.exports.cpuSet(cpu);
  return core;
}
