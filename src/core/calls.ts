import { GemDmaError } from './errors.js';

/** Most hooks that may be nested: a call from within the last one would run hooks without end. */
const MAX_HOOKS = 8;

/**
 * Calls of the library on one machine, one within the other: a driver's call runs a hook of its policy, and the hook maps a
 * page. Side effects of a call, such as reports of dma-debug, wait until the outermost call has returned, so that no call is interrupted.
 *
 * A hook is a caller's code that runs in the middle of a call: of a policy, an exporter, a notifier, a shrinker. All
 * run through `hook`, which counts them. What a call works on (core/living.ts) notes the count: it is busy for all that runs
 * at a higher one.
 */
export class Calls {
  private depth = 0;
  private hooks = 0;
  private held = 0;
  private telling = false;
  /** Called when the outermost call has ended, with its result. If it throws, the call throws that error although it has succeeded. */
  ended: ((result: unknown) => void) | undefined;

  /** Whether a call is running. */
  get running(): boolean {
    return this.depth > 0;
  }

  /** How many hooks are running, one within the other. */
  get level(): number {
    return this.hooks;
  }

  /** Runs one call. */
  run<T>(work: () => T): T {
    let result: T;
    this.begin();
    try {
      result = work();
    } catch (error) {
      this.fail();
      throw error;
    }
    this.end(result);
    return result;
  }

  /** A call begins, which ends with `end` or `fail`. */
  begin(): void {
    ++this.depth;
  }

  /** The call that began last has this result. */
  end(result: unknown): void {
    --this.depth;
    this.over(result);
  }

  /** The call that began last has failed. */
  fail(): void {
    --this.depth;
    this.failed();
  }

  /** Runs a hook. What it throws comes out. */
  hook<T>(run: () => T): T {
    this.beginHook();
    try {
      return run();
    } finally {
      this.endHook();
    }
  }

  /** Begins a hook; `endHook` must follow even if the hook throws. */
  beginHook(): void {
    ++this.hooks;
  }

  endHook(): void {
    --this.hooks;
  }

  /**
   * Runs work that makes calls, such as a driver's probe. The machine cannot be disposed or restored meanwhile. Findings of each call
   * are reported when that call returns.
   */
  hold<T>(work: () => T): T {
    ++this.held;
    try {
      return work();
    } finally {
      --this.held;
    }
  }

  /**
   * For a call that may run hooks, before its effects.
   * @throws GemDmaError EBUSY from within too many hooks
   */
  checkLevel(call: string): void {
    if (this.hooks < MAX_HOOKS) return;
    throw new GemDmaError('EBUSY', call, `${MAX_HOOKS} hooks run one within the other: the last may not run more`, {
      reason: 'HOOKS_TOO_DEEP',
    });
  }

  /**
   * For a call that ends objects of other calls.
   * @throws GemDmaError EBUSY while a call is under way
   */
  checkRest(call: string): void {
    if (this.depth === 0 && this.held === 0) return;
    throw new GemDmaError('EBUSY', call, 'a call is under way: not from within a hook', { reason: 'CALL_UNDER_WAY' });
  }

  /**
   * Runs listeners once no call is running. Findings of the listeners' own calls wait until the next call: otherwise they could
   * notify each other without end.
   */
  tell(work: () => void): void {
    if (this.depth > 0 || this.telling) return;
    this.telling = true;
    try {
      work();
    } finally {
      this.telling = false;
    }
  }

  /** After a call that ran by itself. */
  over(result?: unknown): void {
    if (this.depth === 0) this.ended?.(result);
  }

  /** After a failed call: its own error is thrown, not that of the listener. */
  failed(): void {
    try {
      this.over();
    } catch {}
  }
}
