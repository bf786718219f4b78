import { checkFunction, checkSpan, checkSynchronous } from '../core/arguments.js';
import { GemDmaError } from '../core/errors.js';
import type { ContextHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import type { Core } from '../core/instance.js';
import { checkMaker, type LIBRARY, notMade } from '../core/life.js';

interface Task {
  due: number;
  sequence: number;
  run: () => void;
}

const NS_PER_MS = 1e6;

/** Most work items that run at one moment: beyond it the work is taken to requeue itself without end. */
const MAX_AT_ONCE = 2 ** 17;

/**
 * The machine's virtual clock. Nothing happens by itself: kernel timers (flush queue, IOVA depot) and deferred work of
 * drivers (userptr worker, retire) run when the clock is advanced past their time, in order of time and then of queueing.
 */
export class VirtualClock {
  static {
    guard(VirtualClock, VirtualClock.is, ['now', 'schedule']);
  }

  readonly #core: Core;
  private readonly context: ContextHandle;
  private readonly tasks: Task[] = [];
  private sequence = 0;

  /** @internal */
  constructor(maker: typeof LIBRARY, core: Core, context: ContextHandle) {
    checkMaker(maker, 'VirtualClock');
    this.#core = core;
    this.context = context;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #core in one;
  }

  /** Milliseconds since the machine was made; the clock counts whole nanoseconds. */
  get now(): number {
    if (!VirtualClock.is(this)) throw notMade('clock');
    this.#core.timeline.enter('clock');
    return this.#core.exports.clockNow(this.context) / NS_PER_MS;
  }

  /** Deferred work that waits. */
  get pending(): number {
    return this.tasks.length;
  }

  /**
   * Queues work to run `delay` milliseconds from now (0: at the next `advance` or `run`).
   * @returns a function that cancels it; it returns false if the work has run, or a restore has cancelled it
   * @throws TypeError if the argument is not a function; RangeError if the delay is not from 0 to 2^40
   */
  schedule(delay: number, run: () => void): () => boolean {
    if (!VirtualClock.is(this)) throw notMade('clock');
    this.#core.timeline.enter('clock');
    checkSpan('delay', delay);
    checkFunction('run', run);
    const due = this.#core.exports.clockNow(this.context) + Math.round(delay * NS_PER_MS);
    const task = { due, sequence: this.sequence++, run };
    let at = this.tasks.length;
    while (at > 0 && this.tasks[at - 1].due > due) --at;
    this.tasks.splice(at, 0, task);
    return () => {
      const index = this.tasks.indexOf(task);
      if (index >= 0) this.tasks.splice(index, 1);
      return index >= 0;
    };
  }

  /**
   * Moves time forward by milliseconds, running everything that becomes due. Work may queue more work.
   * @throws what the work throws; GemDmaError EBUSY where the work of one moment has no end
   */
  advance(milliseconds: number): void {
    this.#core.timeline.enter('clock');
    checkSpan('milliseconds', milliseconds);
    const { calls } = this.#core;
    calls.checkLevel('clock');
    let [moment, count] = [-1, 0];
    const { sequence } = this;
    const { clockAdvance, clockNow } = this.#core.exports;
    const until = clockNow(this.context) + Math.round(milliseconds * NS_PER_MS);
    while (this.tasks.length > 0 && this.tasks[0].due <= until) {
      if (this.tasks[0].due > moment) [moment, count] = [this.tasks[0].due, 0];
      if (this.tasks[0].sequence >= sequence && ++count > MAX_AT_ONCE) {
        const message = `${MAX_AT_ONCE} functions have run at one moment that others have queued, and there are more`;
        throw new GemDmaError('EBUSY', 'clock', message, { reason: 'CLOCK_STUCK' });
      }
      const task = this.tasks.shift()!;
      clockAdvance(this.context, Math.max(0, task.due - clockNow(this.context)));
      checkSynchronous('run', calls.hook(task.run));
      if (this.#core.timeline.closed) return; // The work has disposed the machine.
    }
    // Work that ran may have moved the clock on by itself.
    clockAdvance(this.context, Math.max(0, until - clockNow(this.context)));
  }

  /** Moves time forward to the next deferred work, which runs, or by all of `milliseconds` when there is none in them. */
  advanceToNext(milliseconds: number): void {
    this.#core.timeline.enter('clock');
    checkSpan('milliseconds', milliseconds);
    const first = this.tasks[0];
    const wait = first === undefined ? milliseconds : Math.max(0, first.due / NS_PER_MS - this.now);
    this.advance(Math.min(milliseconds, wait));
  }

  /** Runs deferred work that is due now, without moving time. */
  run(): void {
    this.advance(0);
  }
}
