import { illegalConstructor, invalidType } from './errors.js';
import { guard } from './guard.js';
import { Life, notMade, Timeline } from './life.js';

/** A class that extends Living, abstract ones too. */
interface LivingClass<T> {
  readonly name: string;
  readonly prototype: T;
}

/** Members that only the library calls, at each call of a driver. */
const INNER = [...['enter', 'ending', 'enterIdle', 'checkIdle', 'busy', 'work', 'end', 'accept', 'alive']];

/**
 * An object of a driver that belongs to a machine and can be dead: freed, or made after the snapshot that the machine went
 * back to, or busy (Life). A public method begins with `enter`; an object that comes as an argument goes through `accept`.
 *
 * Classes whose methods are called often keep the Life in a private field of their own: one class reads it there.
 */
export abstract class Living {
  static {
    guard(Living, Living.is, INNER);
  }

  // Not seen by snapshots: the time line decides what is alive after going back.
  readonly #life: Life;

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, value: unknown): boolean {
    return typeof value === 'object' && value !== null && #life in value;
  }

  /** @internal Its life. @throws GemDmaError ESTALE if the library did not make it */
  static lifeOf(one: Living, call: string): Life {
    if (!Living.is(one)) throw notMade(call);
    return one.#life;
  }

  /** @internal The members of a derived class refuse a `this` that is not an object of it (guard.ts). */
  static guard(kind: LivingClass<Living>, own: readonly PropertyKey[] = []): void {
    guard(kind, (one) => Living.isOf(kind, one), own);
  }

  private static isOf(kind: LivingClass<Living>, value: object): boolean {
    return #life in value && value instanceof (kind as unknown as typeof Object);
  }

  /**
   * @param kind what it is, as messages say it
   * @param number its number among those, 0 for none
   * @internal
   */
  constructor(timeline: Timeline, kind: string, number = 0) {
    if (!(timeline instanceof Timeline)) throw illegalConstructor('Living');
    this.#life = new Life(timeline, kind, number);
  }

  /** As messages say it. */
  protected get what(): string {
    return this.#life.what;
  }

  /** Whether it can be used. */
  get alive(): boolean {
    if (!Living.is(this)) throw notMade('alive');
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

  /** @internal The same for a call that changes or ends it, and may run hooks. @throws GemDmaError EBUSY */
  enterIdle(call: string): void {
    this.enter(call);
    this.checkIdle(call);
  }

  /** @internal @throws GemDmaError EBUSY while it is busy, and from within too many hooks */
  checkIdle(call: string): void {
    this.#life.checkIdle(call);
  }

  /** @internal Whether a call works on it that has led to the hook which runs now. */
  get busy(): boolean {
    return this.#life.busy;
  }

  /** @internal A call that works on it. */
  work<T>(run: () => T): T {
    return this.#life.work(run);
  }

  /** @internal It is destroyed. */
  end(): void {
    this.#life.end();
  }

  /** @internal Checks an argument of a call of `this`, which has entered: it is of the class, alive, of the same machine. */
  accept<T extends Living>(kind: LivingClass<T>, name: string, value: T, call: string): void {
    this.#life.join(Living.check(kind, name, value).#life, call);
    value.enter(call);
  }

  /** @internal An object of the class, dead or alive. @throws ERR_INVALID_ARG_TYPE for another, and for one that is made up */
  static check<T extends Living>(kind: LivingClass<T>, name: string, value: T): T {
    if (typeof value !== 'object' || value === null || !Living.isOf(kind, value))
      throw invalidType(name, `an instance of ${kind.name}`, value);
    return value;
  }
}
