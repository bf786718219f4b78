import { checkInteger, GemDmaError } from './errors.js';
import type { Core } from './instance.js';

/** One drm_mm operation with what it is expected to give; assembly/gtt/drm-mm-replay.ts has the layout. */
export interface MmOperation {
  kind: 'insert' | 'reserve' | 'remove';
  /** Number of the node, of the caller's choosing; a batch keeps a table from 0 to the highest. */
  id: number;
  mode?: number;
  color?: number;
  /** Bytes. */
  size?: number;
  alignment?: number;
  /** First byte of the range allowed, or of the reservation. */
  lo?: number;
  hi?: number;
  /** Start of the node, or a negative errno; 0 for a removal. */
  expected: number;
}

const KINDS = { insert: 0, reserve: 1, remove: 2 } as const;

/** A list of operations in linear memory, ready to run as often as wanted, each time on a new manager. */
export class MmBatch {
  readonly count: number;
  readonly #core: Core;
  readonly #context: number;
  readonly #operations: number;
  readonly #nodes: number;
  readonly #ids: number;

  /** Throws ENOMEM when linear memory has no room for the operations. */
  constructor(core: Core, context: number, operations: readonly MmOperation[]) {
    const size = core.exports.MM_OP_SIZE.value as number;
    this.#core = core;
    this.#context = context;
    this.count = operations.length;
    this.#ids = operations.reduce((most, { id }) => Math.max(most, checkInteger('id', id, 0, 2 ** 26)), 0) + 1;
    this.#operations = this.#block(operations.length * size);
    this.#nodes = this.#block(this.#ids * 4);
    let word = this.#operations >> 2;
    for (const operation of operations) {
      core.u32[word] = KINDS[operation.kind];
      core.u32[word + 1] = operation.id;
      core.u32[word + 2] = operation.mode ?? 0;
      core.u32[word + 3] = operation.color ?? 0;
      const { size: bytes = 0, alignment = 0, lo = 0, hi = 0, expected } = operation;
      for (const [i, value] of [bytes, alignment, lo, hi, expected].entries()) {
        core.u32[word + 4 + i * 2] = value >>> 0;
        core.u32[word + 5 + i * 2] = Math.floor(value / 2 ** 32) >>> 0;
      }
      word += size >> 2;
    }
  }

  #block(bytes: number): number {
    const order = Math.max(0, Math.ceil(Math.log2(bytes / 4096)));
    const at = this.#core.exports.blockAlloc(this.#context, order) >>> 0;
    if (at === 0) throw new GemDmaError('ENOMEM', 'mm_batch', `no ${bytes} bytes of linear memory for the operations`);
    return at;
  }

  /**
   * Runs the operations on a new manager.
   * @returns operations that came out as expected, what the next one gave, and the time taken in milliseconds
   */
  run(start: number, size: number, flavour: number, colorRule: number): { matched: number; got: number; ms: number } {
    const { mmCreate, mmDestroy, mmReplay, MM_OP_SIZE } = this.#core.exports;
    const mm = mmCreate(this.#context, start, size, flavour, colorRule);
    if (mm < 0) throw new GemDmaError('ENOMEM', 'mm_create', 'no linear memory for a range manager');
    this.#core.u32.fill(0, this.#nodes >> 2, (this.#nodes >> 2) + this.#ids);
    const begin = performance.now();
    const matched = mmReplay(mm, this.#operations, this.count, this.#nodes);
    const ms = performance.now() - begin;
    const at = this.#operations + matched * (MM_OP_SIZE.value as number);
    const word = (at >>> 2) + 14;
    const got = matched < this.count ? this.#core.u32[word] + (this.#core.u32[word + 1] | 0) * 2 ** 32 : 0;
    mmDestroy(mm);
    return { matched, got, ms };
  }

  [Symbol.dispose](): void {
    this.#core.exports.blockFree(this.#context, this.#operations);
    this.#core.exports.blockFree(this.#context, this.#nodes);
  }
}
