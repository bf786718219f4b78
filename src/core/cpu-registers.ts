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
  /** Index of the count of findings. */
  readonly #count: number;
  /** Core.u32 when `findings` was last read. */
  #words: Uint32Array;

  /** The registers of the CPU that this instance of the core runs as now. */
  constructor(core: Core, context: number) {
    this.#core = core;
    this.#word = core.exports.cpuRecord(context) >>> 2;
    this.#count = this.#word + 4;
    this.#words = core.u32;
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

  /**
   * Whether there may be more findings than `seen`: one load after each call of the DMA API. Through a view that growth has
   * detached the answer is yes; reading `findings` takes a new one.
   */
  moved(seen: number): boolean {
    return this.#words[this.#count] !== seen;
  }

  /** Findings of dma-debug so far: compare it before and after a call. */
  get findings(): number {
    this.#words = this.#core.u32;
    return this.#words[this.#count];
  }
}
