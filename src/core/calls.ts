/**
 * Calls of the library on one machine, one within the other: a driver's call runs a hook of its policy, and the hook maps a
 * page. What a call sets off besides its own work (dma-debug tells what it found) waits until the outermost is over, so
 * that nothing is left in the middle.
 */
export class Calls {
  private depth = 0;
  /** Called when the outermost call has ended, with its result. Its error comes out of a call that has succeeded. */
  ended: ((result: unknown) => void) | undefined;

  /** Whether a call is running. */
  get running(): boolean {
    return this.depth > 0;
  }

  /** Runs one call. */
  run<T>(work: () => T): T {
    let result: T;
    ++this.depth;
    try {
      result = work();
    } catch (error) {
      --this.depth;
      this.failed();
      throw error;
    }
    --this.depth;
    this.over(result);
    return result;
  }

  /** After a call that ran by itself. */
  over(result?: unknown): void {
    if (this.depth === 0) this.ended?.(result);
  }

  /** After a call that has failed: its own error counts, not that of the listener. */
  failed(): void {
    try {
      this.over();
    } catch {}
  }
}
