import { checkSynchronous } from '../core/arguments.js';
import type { Calls } from '../core/calls.js';
import type { CpuRegisters } from '../core/cpu-registers.js';
import { ERRNO, errnoName, GemDmaError, invalidReturn, invalidType } from '../core/errors.js';
import type { Life } from '../core/life.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';

/** A moment of a driver, as the registers have it: a hook, or work of the driver's own. */
export interface Moment {
  readonly name: string;
  readonly id: number;
}

/** What `begin` has begun: the call, work on the target. */
const ENTERED = 1;
const WORKS = 2;

/**
 * How a driver is entered, and how it runs the hooks of a policy. Both happen here and nowhere else.
 *
 * - `call` is one call from outside: a method of the library, a timer, a notifier. At its end dma-debug reports what it
 *   found.
 * - `during` names the object, vma and hook that mappings and events belong to while some work is done. The names before it
 *   are restored afterwards, even if the work throws; it may be nested.
 * - `ask` and `notify` run a policy's hook, `guard` other code that is not the driver's. The driver's code is written as
 *   the kernel's: a function is never left in the middle. So a hook that throws, or returns what it may not, counts as
 *   refusing (-EINVAL) or as done; the driver undoes or completes its work, and the outermost `call` throws the first such
 *   error.
 * - `query` runs a hook before anything is done: what it throws is thrown at once.
 */
export class HookRunner<Hook extends string> {
  private readonly registers: CpuRegisters;
  /** The driver's moments, by name. */
  readonly moments: Readonly<Record<Hook, Moment>>;
  private readonly dmaDebug: DmaDebug | null;
  private readonly calls: Calls;
  private entered = false;
  /** The first error of a hook in the call that is running. */
  private broken: { error: unknown } | null = null;

  /**
   * @param dmaDebug the dma-debug of the machine: told of each call's begin
   * @param calls of the machine
   */
  constructor(
    registers: CpuRegisters,
    moments: Readonly<Record<Hook, Moment>>,
    dmaDebug: DmaDebug | null,
    calls: Calls,
  ) {
    this.registers = registers;
    this.moments = moments;
    this.dmaDebug = dmaDebug;
    this.calls = calls;
  }

  /**
   * One call of the driver from outside. A call that a hook makes is part of the call that runs the hook.
   * @param target the life of what the call works on, which is busy for the hooks that it runs
   * @throws what the work throws; before that, what a hook threw or ERR_INVALID_RETURN_VALUE; in dma-debug's strict mode
   *   its first finding
   */
  call<T>(work: () => T, target: Life | null = null): T {
    const began = this.begin(target);
    let result: T;
    try {
      result = work();
    } catch (error) {
      throw this.fail(began, target, error);
    }
    this.end(began, target, result);
    return result;
  }

  /**
   * `call` in parts, for calls that are made often and written out: `begin`, the work in a try block, then `end` with its result,
   * or in the catch block `throw` what `fail` makes of the error.
   * @returns what the other two are to be told
   */
  begin(target: Life | null): number {
    if (this.entered) return target?.begin() ? WORKS : 0;
    if (this.dmaDebug !== null) this.dmaDebug.enter();
    this.calls.begin();
    this.entered = true;
    return target?.begin() ? ENTERED | WORKS : ENTERED;
  }

  /** @throws what a hook threw */
  end(began: number, target: Life | null, result?: unknown): void {
    if ((began & WORKS) !== 0) this.finish(began, target!);
    if ((began & ENTERED) === 0) return;
    if (this.broken !== null) throw this.left(this.broken.error);
    this.entered = false;
    this.calls.end(result);
  }

  // What waits for the end of the target is part of the call.
  private finish(began: number, target: Life): void {
    try {
      target.finish(true);
    } catch (error) {
      throw (began & ENTERED) === 0 ? error : this.left(error);
    }
  }

  /** @returns the error of the call */
  fail(began: number, target: Life | null, error: unknown): unknown {
    if ((began & WORKS) !== 0) {
      try {
        target!.finish(true);
      } catch (later) {
        error = later;
      }
    }
    return (began & ENTERED) === 0 ? error : this.left(error);
  }

  // A failed call ends: its error is a hook's, if there is one.
  private left(error: unknown): unknown {
    const cause = this.broken === null ? error : this.broken.error;
    this.entered = false;
    this.broken = null;
    this.calls.fail();
    return cause;
  }

  /** Work on behalf of an object and a vma (0: none): mappings and events meanwhile carry their ids and the hook's. */
  during<T, A = undefined, B = undefined>(
    moment: Moment,
    object: number,
    vma: number,
    work: (a: A, b: B) => T,
    a = undefined as A,
    b = undefined as B,
  ): T {
    const { registers } = this;
    const { object: outerObject, vma: outerVma, hook: outerHook } = registers.record;
    registers.set(object, vma, moment.id);
    try {
      return work(a, b);
    } finally {
      registers.set(outerObject, outerVma, outerHook);
    }
  }

  // `during` for a hook, with the call of it and what it throws: the first error of a call is kept for its end.
  private run(
    moment: Moment,
    object: number,
    vma: number,
    code: unknown,
    on: object,
    a: unknown,
    b: unknown,
    c: unknown,
  ) {
    const { calls, registers } = this;
    const { object: outerObject, vma: outerVma, hook: outerHook } = registers.record;
    registers.set(object, vma, moment.id);
    calls.beginHook();
    let answer: unknown;
    try {
      if (typeof code !== 'function') throw invalidType(`policy.${moment.name}`, 'of type function', code);
      answer = code.call(on, a, b, c);
    } catch (error) {
      this.broken ??= { error };
      answer = -ERRNO.EINVAL;
    }
    calls.endHook();
    registers.set(outerObject, outerVma, outerHook);
    return answer;
  }

  /** Other code that the driver calls during its work: another driver's shrinker, an exporter. */
  guard(run: () => unknown): void {
    try {
      run();
    } catch (error) {
      this.broken ??= { error };
    }
  }

  /** The errno that the other code threw, for a caller that can refuse. Any other error is kept, and counts as EINVAL. */
  errnoOf(error: unknown): number {
    try {
      if (GemDmaError.is(error) && errnoName(error.errno) in ERRNO) return error.errno;
    } catch {
      // A value that resembles an error may throw when it is read.
    }
    this.broken ??= { error };
    return -ERRNO.EINVAL;
  }

  /** A hook whose answer is needed before anything is done. */
  query<T>(moment: Moment, run: () => T): T {
    return this.calls.hook(() => this.during(moment, 0, 0, run));
  }

  /**
   * A hook that can refuse: code of the policy's, called as a method with a, b and c. It may be anything, as the caller of the
   * library left it.
   * @returns 0 or a negative errno
   */
  ask(
    moment: Moment,
    object: number,
    vma: number,
    code: unknown,
    on: object,
    a: unknown,
    b: unknown,
    c: unknown,
  ): number {
    const answer = this.run(moment, object, vma, code, on, a, b, c) ?? 0;
    return answer === 0 ? 0 : this.refusal(moment, answer);
  }

  private refusal(moment: Moment, answer: unknown): number {
    try {
      if (typeof answer === 'number' && errnoName(answer) in ERRNO) return answer;
      checkSynchronous(`policy.${moment.name}`, answer);
      throw invalidReturn(`policy.${moment.name}`, '0, a negative errno or nothing', answer);
    } catch (error) {
      this.broken ??= { error };
      return -ERRNO.EINVAL;
    }
  }

  /** A hook that cannot refuse. What it returns is not looked at, but that a hook is not asynchronous. */
  notify(
    moment: Moment,
    object: number,
    vma: number,
    code: unknown,
    on: object,
    a: unknown,
    b: unknown,
    c: unknown,
  ): void {
    const answer = this.run(moment, object, vma, code, on, a, b, c);
    if (answer !== undefined) this.guard(() => checkSynchronous(`policy.${moment.name}`, answer));
  }
}
