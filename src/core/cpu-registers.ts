import type { ContextHandle, CpuHandle } from './generated/exports.js';
import { CpuView } from './generated/records.js';
import type { Core } from './instance.js';

/**
 * The registers of a virtual CPU that host and core share (Cpu of assembly/memory/cpu.ts): the attribution of calls, which
 * the core copies into every mapping and event, and how many findings dma-debug has made. Reading or writing one is a plain
 * load or store in linear memory. A Core has one such object, which follows it from CPU to CPU.
 */
export class CpuRegisters {
  readonly #core: Core;
  readonly #context: ContextHandle;
  #at: CpuHandle;
  /** The record as it was last looked at: growth of linear memory makes the view stale. */
  #cpu: CpuView;
  /** The count of findings up to which they were taken. */
  #taken: number;

  /** The registers of the CPU that this instance of the core runs as now. */
  constructor(core: Core, context: ContextHandle) {
    this.#core = core;
    this.#context = context;
    this.#at = core.exports.cpuRecord(context);
    this.#cpu = new CpuView(core, this.#at);
    this.#taken = this.#cpu.findings;
  }

  /** The machine is disposed: see Core.release. */
  forgetCore(): void {
    this.#cpu = undefined as never;
  }

  /** The record itself, for several reads: good until the next call of the core. */
  get record(): CpuView {
    const cpu = this.#cpu;
    return cpu.stale ? this.#look() : cpu;
  }

  #look(): CpuView {
    const cpu = new CpuView(this.#core, this.#at);
    this.#cpu = cpu;
    return cpu;
  }

  /** The instance runs as another CPU from now on. The attribution and pending findings move to it. */
  move(): void {
    const { object, vma, hook, site, findings } = this.record;
    const left = findings - this.#taken;
    this.set(0, 0, 0);
    this.site = 0;
    this.reset();
    this.#taken = (this.#taken - left) >>> 0;
    this.set(object, vma, hook);
    this.site = site;
  }

  /** Linear memory was restored: no finding is pending. */
  reset(): void {
    this.#at = this.#core.exports.cpuRecord(this.#context);
    this.#cpu = new CpuView(this.#core, this.#at);
    this.#taken = this.#cpu.findings;
  }

  /**
   * Host-side ids of the GEM object, the vma, the policy hook and the call site that the next calls are made for; 0 is
   * none.
   */
  set(object: number, vma: number, hook: number): void {
    const cpu = this.record;
    cpu.object = object;
    cpu.vma = vma;
    cpu.hook = hook;
  }

  get object(): number {
    return this.record.object;
  }

  set object(id: number) {
    this.record.object = id;
  }

  get vma(): number {
    return this.record.vma;
  }

  set vma(id: number) {
    this.record.vma = id;
  }

  get hook(): number {
    return this.record.hook;
  }

  set hook(id: number) {
    this.record.hook = id;
  }

  get site(): number {
    return this.record.site;
  }

  set site(id: number) {
    this.record.site = id;
  }

  /**
   * Whether findings may be pending: one load after each call of the DMA API. A view that memory growth has detached says yes; taking
   * the findings makes a new view.
   */
  get moved(): boolean {
    return this.#cpu.findings !== this.#taken;
  }

  /** They count as taken: no listener is called for them. */
  pass(): void {
    // Not through `record`, which may be of two classes: this runs at each unmap of a driver that checks no mapping.
    const cpu = this.#cpu;
    if (cpu.stale) this.take();
    else this.#taken = cpu.findings;
  }

  /** How many findings there are since they were last taken. */
  take(): number {
    const { findings } = this.record;
    const count = (findings - this.#taken) >>> 0;
    this.#taken = findings;
    return count;
  }

  /** Findings of dma-debug so far on this CPU. */
  get findings(): number {
    return this.record.findings;
  }
}
