import { GemDmaError } from './errors.js';
import { PAGE_SIZE } from './generated/constants.js';
import type { ContextHandle, IovaDomainHandle } from './generated/exports.js';
import { IovaStepView } from './generated/records.js';
import type { Core } from './instance.js';

/** Steps for the IOVA allocator, packed into linear memory so that one call performs them all. */
export class IovaSteps {
  readonly #core: Core;
  readonly #context: ContextHandle;
  readonly #at: number;
  readonly #capacity: number;
  #count = 0;

  /** Throws GemDmaError ENOMEM when linear memory has no room for that many steps. */
  constructor(core: Core, context: ContextHandle, capacity: number) {
    const order = Math.max(0, Math.ceil(Math.log2((capacity * IovaStepView.SIZE) / PAGE_SIZE)));
    this.#at = core.exports.blockAlloc(context, order);
    if (this.#at === 0) {
      throw new GemDmaError('ENOMEM', 'iova_replay', `no linear memory for ${capacity} steps`);
    }
    this.#core = core;
    this.#context = context;
    this.#capacity = capacity;
  }

  get count(): number {
    return this.#count;
  }

  /** Appends a step (STEP_*). Operands are below 2^53; what they mean depends on the operation. */
  push(operation: number, first: number, second = 0, flag = false): void {
    if (this.#count === this.#capacity) throw new RangeError(`more than ${this.#capacity} steps`);
    const step = new IovaStepView(this.#core, this.#at + this.#count++ * IovaStepView.SIZE);
    step.operation = operation;
    step.first = first;
    step.second = second;
    step.flag = flag ? 1 : 0;
  }

  /** Performs all steps on a domain; returns how many allocations failed. */
  run(domain: IovaDomainHandle): number {
    return this.#core.exports.iovaReplay(domain, this.#at, this.#count);
  }

  [Symbol.dispose](): void {
    this.#core.exports.blockFree(this.#context, this.#at);
  }
}
