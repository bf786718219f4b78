import { invalidType } from './errors.js';
import { Life, notMade, type Timeline } from './life.js';

/**
 * An object of a driver that belongs to a machine and can be dead: freed, or made after the snapshot that the machine went
 * back to. A public method begins with `enter`; an object that comes as an argument goes through `accept`.
 */
export abstract class Living {
  // Not seen by snapshots: the time line decides what is alive after going back.
  readonly #life: Life;

  /**
   * @param what it is, as messages say it
   * @internal
   */
  constructor(timeline: Timeline, what: string) {
    this.#life = new Life(timeline, what);
  }

  /** Whether it can be used. */
  get alive(): boolean {
    if (!(#life in this)) throw notMade('alive');
    return this.#life.alive;
  }

  /**
   * @internal
   * @throws GemDmaError ENODEV when it was destroyed, ESTALE when the machine went back to before it was made, or `this` is
   *   none that the library made
   */
  enter(call: string): void {
    if (!(#life in this)) throw notMade(call);
    this.#life.enter(call);
  }

  /**
   * @internal For a call that ends it and may be made twice: whether there is something to end.
   * @throws GemDmaError ESTALE
   */
  ending(call: string): boolean {
    if (!(#life in this)) throw notMade(call);
    return this.#life.ending(call);
  }

  /** @internal It is destroyed. */
  end(): void {
    this.#life.end();
  }

  /** @internal Checks an argument of a call of `this`, which has entered: it is of the class, alive, of the same machine. */
  accept<T extends Living>(kind: abstract new (...args: never[]) => T, name: string, value: T, call: string): void {
    this.#life.join(Living.check(kind, name, value).#life, call);
    value.enter(call);
  }

  /** @internal An object of the class, dead or alive. @throws ERR_INVALID_ARG_TYPE for another, and for one that is made up */
  static check<T extends Living>(kind: abstract new (...args: never[]) => T, name: string, value: T): T {
    if (!(value instanceof kind) || !(#life in value)) throw invalidType(name, `an instance of ${kind.name}`, value);
    return value;
  }
}
