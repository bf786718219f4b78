import { checkInteger, GemDmaError } from './errors.js';
import { MM_OP_INSERT, MM_OP_REMOVE, MM_OP_RESERVE, PAGE_SIZE } from './generated/constants.js';
import type { ContextHandle } from './generated/exports.js';
import { MmOperationView } from './generated/records.js';
import { made } from './handle.js';
import type { Core } from './instance.js';

/** One drm_mm operation with what it is expected to give; MmOperation of assembly/gtt/drm-mm-replay.ts. */
export interface MmOperation {
  kind: 'insert' | 'reserve' | 'remove';
  /** Number of the node, chosen by the caller; a batch has a table from 0 to the highest. */
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

const KINDS = { insert: MM_OP_INSERT, reserve: MM_OP_RESERVE, remove: MM_OP_REMOVE } as const;

/** A list of operations in linear memory, ready to run as often as wanted, each time on a new manager. */
export class MmBatch {
  readonly count: number;
  readonly #core: Core;
  readonly #context: ContextHandle;
  readonly #operations: number;
  readonly #nodes: number;
  readonly #ids: number;

  /** Throws ENOMEM when linear memory has no room for the operations. */
  constructor(core: Core, context: ContextHandle, operations: readonly MmOperation[]) {
    this.#core = core;
    this.#context = context;
    this.count = operations.length;
    this.#ids = operations.reduce((most, { id }) => Math.max(most, checkInteger('id', id, 0, 2 ** 26)), 0) + 1;
    this.#operations = this.#block(operations.length * MmOperationView.SIZE);
    this.#nodes = this.#block(this.#ids * 4);
    const record = new MmOperationView(core);
    for (const [i, operation] of operations.entries()) {
      record.moveTo(this.#operations + i * MmOperationView.SIZE);
      record.kind = KINDS[operation.kind];
      record.id = operation.id;
      record.mode = operation.mode ?? 0;
      record.color = operation.color ?? 0;
      record.size = operation.size ?? 0;
      record.alignment = operation.alignment ?? 0;
      record.lo = operation.lo ?? 0;
      record.hi = operation.hi ?? 0;
      record.expected = operation.expected;
    }
  }

  #block(bytes: number): number {
    const order = Math.max(0, Math.ceil(Math.log2(bytes / PAGE_SIZE)));
    const at = this.#core.exports.blockAlloc(this.#context, order) >>> 0;
    if (at === 0) throw new GemDmaError('ENOMEM', 'mm_batch', `no ${bytes} bytes of linear memory for the operations`);
    return at;
  }

  /**
   * Runs the operations on a new manager.
   * @returns operations that came out as expected, what the next one gave, and the time taken in milliseconds
   */
  run(start: number, size: number, flavour: number, colorRule: number): { matched: number; got: number; ms: number } {
    const { mmCreate, mmDestroy, mmReplay } = this.#core.exports;
    const mm = made(mmCreate(this.#context, start, size, flavour, colorRule), 'mm_create', 'range manager');
    this.#core.fillWords(this.#nodes, this.#ids, 0);
    const begin = performance.now();
    const matched = mmReplay(mm, this.#operations, this.count, this.#nodes);
    const ms = performance.now() - begin;
    const next = new MmOperationView(this.#core, this.#operations + matched * MmOperationView.SIZE);
    const got = matched < this.count ? next.got : 0;
    mmDestroy(mm);
    return { matched, got, ms };
  }

  [Symbol.dispose](): void {
    this.#core.exports.blockFree(this.#context, this.#operations);
    this.#core.exports.blockFree(this.#context, this.#nodes);
  }
}
