import type { Core } from './instance.js';

/**
 * The registers of a virtual CPU that host and core share (assembly/memory/cpu.ts): who is calling, which the core copies
 * into every mapping and event, and how many findings the checker has made. Reading or writing one is a plain load or
 * store in linear memory.
 */
export class CpuRegisters {
  readonly #core: Core;
  /** Index of the record's first word in Core.u32. */
  readonly #word: number;

  /** The registers of the CPU that this instance of the core runs as now. */
  constructor(core: Core, context: number) {
    this.#core = core;
    this.#word = core.exports.cpuRecord(context) >>> 2;
  }

  /** Host-side ids of the GEM object, the vma, the policy hook and the call site on whose behalf calls follow; 0 is none. */
  set(object: number, vma: number, hook: number): void {
    const { u32 } = this.#core;
    u32[this.#word] = object;
    u32[this.#word + 1] = vma;
    u32[this.#word + 2] = hook;
  }

  get object(): number {
    return this.#core.u32[this.#word];
  }

  set object(id: number) {
    this.#core.u32[this.#word] = id;
  }

  get vma(): number {
    return this.#core.u32[this.#word + 1];
  }

  set vma(id: number) {
    this.#core.u32[this.#word + 1] = id;
  }

  get hook(): number {
    return this.#core.u32[this.#word + 2];
  }

  set hook(id: number) {
    this.#core.u32[this.#word + 2] = id;
  }

  get site(): number {
    return this.#core.u32[this.#word + 3];
  }

  set site(id: number) {
    this.#core.u32[this.#word + 3] = id;
  }

  /** Index in Core.u32 of the count of findings. */
  get findingsWord(): number {
    return this.#word + 4;
  }

  /** Findings of dma-debug so far: compare it before and after a call. */
  get findings(): number {
    return this.#core.u32[this.#word + 4];
  }
}
