import type { ContextHandle } from './generated/exports.js';
import { CpuView } from './generated/records.js';
import type { Core } from './instance.js';

/**
 * The registers of a virtual CPU that host and core share (Cpu of assembly/memory/cpu.ts): who is calling, which the core copies
 * into every mapping and event, and how many findings dma-debug has made. Reading or writing one is a plain load or
 * store in linear memory.
 */
export class CpuRegisters {
  readonly #core: Core;
  readonly #at: number;
  /** The record as it was last looked at: growth of linear memory makes the view stale. */
  #cpu: CpuView;

  /** The registers of the CPU that this instance of the core runs as now. */
  constructor(core: Core, context: ContextHandle) {
    this.#core = core;
    this.#at = core.exports.cpuRecord(context);
    this.#cpu = new CpuView(core, this.#at);
    core.onRelease(() => {
      this.#cpu = undefined as never;
    });
  }

  get #fresh(): CpuView {
    return this.#cpu.stale ? (this.#cpu = new CpuView(this.#core, this.#at)) : this.#cpu;
  }

  /** Host-side ids of the GEM object, the vma, the policy hook and the call site on whose behalf calls follow; 0 is none. */
  set(object: number, vma: number, hook: number): void {
    const cpu = this.#fresh;
    cpu.object = object;
    cpu.vma = vma;
    cpu.hook = hook;
  }

  get object(): number {
    return this.#fresh.object;
  }

  set object(id: number) {
    this.#fresh.object = id;
  }

  get vma(): number {
    return this.#fresh.vma;
  }

  set vma(id: number) {
    this.#fresh.vma = id;
  }

  get hook(): number {
    return this.#fresh.hook;
  }

  set hook(id: number) {
    this.#fresh.hook = id;
  }

  get site(): number {
    return this.#fresh.site;
  }

  set site(id: number) {
    this.#fresh.site = id;
  }

  /**
   * Whether there may be more findings than `seen`: one load after each call of the DMA API. Through a view that growth has
   * made stale the answer is yes; reading `findings` takes a new one.
   */
  moved(seen: number): boolean {
    return this.#cpu.findings !== seen;
  }

  /** Findings of dma-debug so far: compare it before and after a call. */
  get findings(): number {
    return this.#fresh.findings;
  }
}
