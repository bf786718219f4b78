import type { Calls } from './calls.js';
import { CpuRegisters } from './cpu-registers.js';
import { GemDmaError } from './errors.js';
import type { ContextHandle, CoreExports, ToolExports } from './generated/exports.js';
import { wasm } from './generated/release.js';
import { wasm as toolsWasm } from './generated/release-tools.js';
import { Timeline } from './life.js';
import { fromBase64, latin1 } from './platform.js';
import { watchNullRecord } from './records/null-record.js';

/**
 * One instance of the WebAssembly core with its linear memory. This folder is the only place that touches linear
 * memory from TypeScript (a test checks that): all other code calls exports and asks a Core for copies.
 */

/** 64 KiB pages of linear memory that a new instance starts with: enough for a machine's own records. */
const INITIAL_PAGES = 64;
const MAX_PAGES = 65535;

/**
 * A build of the core: what a machine runs on, and the tools (assembly/tools.ts), which may be the same module.
 * @internal
 */
export interface CoreModules {
  readonly core: WebAssembly.Module;
  readonly tools: WebAssembly.Module;
  /** Bytes from 0 that no call may write to, looked at after each when given: the debug build's check (null-record.ts). */
  readonly nullRecord?: number;
}

/**
 * Asked by the threads build whenever it has slept for a tenth of a second for a lock: throws where the holder will not
 * come back. `slices` counts the tenths with the same holder.
 * @internal
 */
export type LockWait = (cpu: number, slices: number) => void;

let watched = 0;

/** For the project's tests: from now on instances of the release build also check the null record. @internal */
export function watchRelease(bytes: number): void {
  watched = bytes;
}

let coreModule: WebAssembly.Module | undefined;
let toolsModule: WebAssembly.Module | undefined;

/** A module that is embedded as base64, compiled synchronously. @internal */
export function compile(base64: string): WebAssembly.Module {
  return new WebAssembly.Module(fromBase64(base64));
}

/** The single-threaded release build. Each module is compiled on first use, once for all instances. */
const release: CoreModules = {
  get core() {
    return (coreModule ??= compile(wasm));
  },
  get tools() {
    return (toolsModule ??= compile(toolsWasm));
  },
  get nullRecord() {
    return watched;
  },
};

export class Core {
  readonly exports: CoreExports;
  /** @internal */
  readonly memory: WebAssembly.Memory;
  /** Of the machine that this instance runs, one at most. */
  readonly timeline = new Timeline();
  /** Calls that are running. */
  readonly calls: Calls = this.timeline.calls;
  /** Handle of that machine's context, 0 while there is none. */
  context: ContextHandle | 0 = 0;
  readonly #modules: CoreModules;
  readonly #lockWait: LockWait;
  #tools: ToolExports | undefined;
  #registers: CpuRegisters | undefined;
  #u8 = new Uint8Array(0);
  #u32 = new Uint32Array(0);
  #f64 = new Float64Array(0);

  /**
   * Instantiates the core. `modules` chooses another build of it (debug, threads), `memory` shares one.
   * @param lockWait of a shared memory: asked while a lock is held by another
   * @internal
   */
  constructor(modules: CoreModules = release, memory?: WebAssembly.Memory, lockWait: LockWait = () => {}) {
    this.#lockWait = lockWait;
    this.memory = memory ?? new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAX_PAGES });
    this.#modules = modules;
    this.exports = this.#instantiate(modules.core) as CoreExports;
  }

  /** Checks, dumps, statistics, histograms: a second instance on the same memory, made when first asked for. */
  get tools(): ToolExports {
    this.timeline.enter('machine');
    return (this.#tools ??= this.#instantiate(this.#modules.tools) as ToolExports);
  }

  /**
   * Drops the instance and its linear memory, so that they are collected although the machine may still be referenced. For
   * a timeline that is closed: nothing uses them any more. Nothing else keeps exports, memory or a view of it beyond a
   * call, but members of the time line that have a method forgetCore.
   */
  release(): void {
    const mutable = this as { exports: CoreExports; memory: WebAssembly.Memory };
    mutable.exports = {} as CoreExports;
    mutable.memory = new WebAssembly.Memory({ initial: 0 });
    this.#tools = undefined;
    this.refresh();
    for (const member of this.timeline.members) (member as { forgetCore?(): void }).forgetCore?.();
  }

  /** The attribution of calls on the current CPU, shared with the core; `context` is that of this instance. */
  registers(context: ContextHandle): CpuRegisters {
    if (this.#registers === undefined) {
      this.#registers = new CpuRegisters(this, context);
      this.timeline.members.add(this.#registers);
    }
    return this.#registers;
  }

  /** The virtual CPU that calls are made on. */
  get cpu(): number {
    return this.exports.cpuGet();
  }

  /** The attribution moves to the new CPU. */
  set cpu(index: number) {
    this.exports.cpuSet(index);
    this.#registers?.move();
  }

  #instantiate(module: WebAssembly.Module): unknown {
    const { exports } = new WebAssembly.Instance(module, {
      env: { memory: this.memory, lockWait: this.#lockWait },
    });
    const { nullRecord } = this.#modules;
    return nullRecord ? watchNullRecord(exports, this.memory, nullRecord) : exports;
  }

  // Growing memory detaches its buffer, and a view of a detached buffer has length 0: that test costs nothing, where
  // comparing `view.buffer` with `memory.buffer` costs 18 ns. A shared buffer is not detached; its old views stay valid
  // but short, so callers of a shared memory go through refresh().

  /** Linear memory as bytes. Take it anew after any call that may allocate. */
  get u8(): Uint8Array {
    return this.#u8.length === 0 ? (this.#u8 = new Uint8Array(this.memory.buffer)) : this.#u8;
  }

  /** Linear memory as 32-bit words; index is offset >> 2. */
  get u32(): Uint32Array {
    return this.#u32.length === 0 ? (this.#u32 = new Uint32Array(this.memory.buffer)) : this.#u32;
  }

  /** Linear memory as doubles; index is offset >> 3. */
  get f64(): Float64Array {
    return this.#f64.length === 0 ? (this.#f64 = new Float64Array(this.memory.buffer)) : this.#f64;
  }

  // What is at a place of linear memory, copied out and in, for all code outside this folder.

  /** A copy of n bytes. */
  readBytes(at: number, n: number): Uint8Array {
    return this.u8.slice(at >>> 0, (at >>> 0) + n);
  }

  writeBytes(at: number, bytes: ArrayLike<number>): void {
    this.u8.set(bytes, at >>> 0);
  }

  /** The text up to a zero byte, `most` bytes at most, as Latin-1. */
  readText(at: number, most: number): string {
    const bytes = this.u8.subarray(at >>> 0, (at >>> 0) + most);
    const end = bytes.indexOf(0);
    return latin1(bytes.subarray(0, end < 0 ? bytes.length : end));
  }

  /** A 32-bit word. */
  readWord(at: number): number {
    return this.u32[at >>> 2];
  }

  writeWord(at: number, value: number): void {
    this.u32[at >>> 2] = value;
  }

  /** A copy of n words of 32 bits. */
  readWords(at: number, n: number): Uint32Array {
    return this.u32.slice(at >>> 2, (at >>> 2) + n);
  }

  writeWords(at: number, words: ArrayLike<number>): void {
    this.u32.set(words, at >>> 2);
  }

  fillWords(at: number, n: number, value: number): void {
    this.u32.fill(value, at >>> 2, (at >>> 2) + n);
  }

  /** A copy of n doubles. */
  readDoubles(at: number, n: number): Float64Array {
    return this.f64.slice(at >>> 3, (at >>> 3) + n);
  }

  writeDoubles(at: number, doubles: ArrayLike<number>): void {
    this.f64.set(doubles, at >>> 3);
  }

  fillBytes(at: number, n: number, value: number): void {
    this.u8.fill(value, at >>> 0, (at >>> 0) + n);
  }

  /** Bytes of linear memory that there are now. */
  get memoryBytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** A copy of all of linear memory. */
  save(): Uint8Array {
    return this.u8.slice();
  }

  /** Puts a copy back. What linear memory has grown by since stays as it is. */
  restore(bytes: Uint8Array): void {
    this.u8.set(bytes);
  }

  /** Drops the views: needed only when a shared memory may have grown. */
  refresh(): void {
    this.#u8 = new Uint8Array(0);
    this.#u32 = new Uint32Array(0);
    this.#f64 = new Float64Array(0);
  }

  #staging = 0;

  /** Bytes in one piece for handing data to the core and back; the caller is done with it before the next call. */
  static readonly STAGING_SIZE = 65536;

  /** Offset of the staging block of a context. Throws ENOMEM when linear memory is used up. */
  staging(context: ContextHandle): number {
    if (this.#staging === 0) {
      this.#staging = this.exports.blockAlloc(context, 4);
      if (this.#staging === 0) {
        throw new GemDmaError('ENOMEM', 'staging', 'no linear memory left for the host staging buffer');
      }
    }
    return this.#staging;
  }
}
