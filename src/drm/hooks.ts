import { checkSynchronous } from '../core/arguments.js';
import type { Calls } from '../core/calls.js';
import type { CpuRegisters } from '../core/cpu-registers.js';
import { ERRNO, errnoName, GemDmaError, invalidReturn, invalidType } from '../core/errors.js';
import type { Life } from '../core/life.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';

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
  /** Ids of the hooks' names in the registers. */
  private readonly ids: Readonly<Record<Hook, number>>;
  private readonly dmaDebug: DmaDebug | null;
  private readonly calls: Calls;
  private entered = false;
  /** The first error of a hook in the call that is running. */
  private broken: { error: unknown } | null = null;

  /**
   * @param dmaDebug the dma-debug of the machine: told of each call's begin
   * @param calls of the machine
   */
  constructor(registers: CpuRegisters, ids: Readonly<Record<Hook, number>>, dmaDebug: DmaDebug | null, calls: Calls) {
    this.registers = registers;
    this.ids = ids;
    this.dmaDebug = dmaDebug;
    this.calls = calls;
  }

  /**
   * One call of the driver from outside. A call that a hook makes is part of the call that runs the hook.
   * @param work is called with a, b and c: one function for all calls, so that no closure is made for each
   * @param target the life of what the call works on, which is busy for the hooks that it runs
   * @throws what the work throws; before that, what a hook threw or ERR_INVALID_RETURN_VALUE; in dma-debug's strict mode
   *   its first finding
   */
  call<T, A = undefined, B = undefined, C = undefined>(
    work: (a: A, b: B, c: C) => T,
    target: Life | null = null,
    a = undefined as A,
    b = undefined as B,
    c = undefined as C,
  ): T {
    if (this.entered) return target === null ? work(a, b, c) : target.work(work, a, b, c);
    if (this.dmaDebug !== null) this.dmaDebug.enter();
    const { calls } = this;
    let result: T;
    calls.begin();
    this.entered = true;
    try {
      result = target === null ? work(a, b, c) : target.work(work, a, b, c);
      if (this.broken !== null) throw this.broken.error;
    } catch (error) {
      const cause = this.left(error);
      calls.fail();
      throw cause;
    }
    this.entered = false;
    calls.end(result);
    return result;
  }

  // A failed call ends: its error is a hook's, if there is one.
  private left(error: unknown): unknown {
    const cause = this.broken === null ? error : this.broken.error;
    this.entered = false;
    this.broken = null;
    return cause;
  }

  /** Work on behalf of an object and a vma (0: none): mappings and events meanwhile carry their ids and the hook's. */
  during<T, A = undefined, B = undefined>(
    hook: Hook,
    object: number,
    vma: number,
    work: (a: A, b: B) => T,
    a = undefined as A,
    b = undefined as B,
  ): T {
    const { registers } = this;
    const { object: outerObject, vma: outerVma, hook: outerHook } = registers.record;
    registers.set(object, vma, this.ids[hook]);
    try {
      return work(a, b);
    } finally {
      registers.set(outerObject, outerVma, outerHook);
    }
  }

  // `during` for a hook, with the call of it and what it throws: the first error of a call is kept for its end.
  private run(hook: Hook, object: number, vma: number, code: unknown, on: object, a: unknown, b: unknown, c: unknown) {
    const { calls, registers } = this;
    const { object: outerObject, vma: outerVma, hook: outerHook } = registers.record;
    registers.set(object, vma, this.ids[hook]);
    calls.beginHook();
    let answer: unknown;
    try {
      if (typeof code !== 'function') throw invalidType(`policy.${hook}`, 'of type function', code);
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
  query<T>(hook: Hook, run: () => T): T {
    return this.calls.hook(() => this.during(hook, 0, 0, run));
  }

  /**
   * A hook that can refuse: code of the policy's, called as a method with a, b and c. It may be anything, as the caller of the
   * library left it.
   * @returns 0 or a negative errno
   */
  ask(hook: Hook, object: number, vma: number, code: unknown, on: object, a: unknown, b: unknown, c: unknown): number {
    const answer = this.run(hook, object, vma, code, on, a, b, c) ?? 0;
    return answer === 0 ? 0 : this.refusal(hook, answer);
  }

  private refusal(hook: Hook, answer: unknown): number {
    try {
      if (typeof answer === 'number' && errnoName(answer) in ERRNO) return answer;
      checkSynchronous(`policy.${hook}`, answer);
      throw invalidReturn(`policy.${hook}`, '0, a negative errno or nothing', answer);
    } catch (error) {
      this.broken ??= { error };
      return -ERRNO.EINVAL;
    }
  }

  /** A hook that cannot refuse. What it returns is not looked at, but that a hook is not asynchronous. */
  notify(hook: Hook, object: number, vma: number, code: unknown, on: object, a: unknown, b: unknown, c: unknown): void {
    const answer = this.run(hook, object, vma, code, on, a, b, c);
    if (answer !== undefined) this.guard(() => checkSynchronous(`policy.${hook}`, answer));
  }
}
