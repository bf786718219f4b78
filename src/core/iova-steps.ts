import { GemDmaError } from './errors.js';
import type { Core } from './instance.js';

/** Operations of a packed step (assembly/iova/replay.ts). */
export const STEP = { alloc: 1, free: 2, allocFast: 3, freeFast: 4, reserve: 5, find: 6, wait: 7 } as const;

const STEP_BYTES = 16;
const FLAG = 0x80000000;

/** Steps for the IOVA allocator, packed into linear memory so that one call performs them all. */
export class IovaSteps {
  readonly #core: Core;
  readonly #context: number;
  readonly #at: number;
  readonly #capacity: number;
  #count = 0;

  /** Throws GemDmaError ENOMEM when linear memory has no room for that many steps. */
  constructor(core: Core, context: number, capacity: number) {
    const order = Math.max(0, Math.ceil(Math.log2((capacity * STEP_BYTES) / 4096)));
    this.#at = core.exports.blockAlloc(context, order);
    if (this.#at === 0) {
      throw new GemDmaError('ENOMEM', 'iova_replay', `no linear memory for ${capacity} steps of ${STEP_BYTES} bytes`);
    }
    this.#core = core;
    this.#context = context;
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#count;
  }

  /** Appends a step. Operands are below 2^53; what they mean depends on the operation. */
  push(operation: number, first: number, second = 0, flag = false): void {
    if (this.#count === this.#capacity) throw new RangeError(`more than ${this.#capacity} steps`);
    const words = this.#core.u32;
    const at = (this.#at + this.#count++ * STEP_BYTES) >> 2;
    words[at] = first >>> 0;
    words[at + 1] = Math.floor(first / 2 ** 32) + operation * 2 ** 24;
    words[at + 2] = second >>> 0;
    words[at + 3] = Math.floor(second / 2 ** 32) + (flag ? FLAG : 0);
  }

  /** Performs all steps on a domain; returns how many allocations failed. */
  run(domain: number): number {
    return this.#core.exports.iovaReplay(domain, this.#at, this.#count);
  }

  [Symbol.dispose](): void {
    this.#core.exports.blockFree(this.#context, this.#at);
  }
}
