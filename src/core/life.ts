import { Calls } from './calls.js';
import { type ErrnoName, GemDmaError, illegalConstructor } from './errors.js';

/**
 * Which objects of the host may be used. An object that stands for a record of the core (a device, a table, a domain)
 * holds the record's number for good, and a Life that says whether the record is there.
 *
 *   Timeline   a machine's: counts births and deaths by serial numbers, which never go back
 *   Era        the time between two restores; over once the machine went back to a snapshot or accepts no more calls
 *   Life       an object's: the serial of its birth, that of its death, the last era in which it was found alive
 *
 * A birth or death counts unless a restore has undone it. Going back to a snapshot undoes all that came after it, so what
 * was made since is dead and what was destroyed since is alive, without a walk over the objects.
 *
 * The check is one load and a branch (`era.over`). Two objects that were found alive in the same era belong to the same
 * machine: the era is a machine's own.
 */

/**
 * First argument of constructors that only the library calls: their objects represent records of the core, and an object that a
 * caller made could name another object's record.
 */
export const LIBRARY: unique symbol = Symbol('made by the library');

/** @throws ERR_ILLEGAL_CONSTRUCTOR unless the library makes the object */
export function checkMaker(maker: typeof LIBRARY, what: string): void {
  if (maker !== LIBRARY) throw illegalConstructor(what);
}

/** The error of a method whose `this` is not an object of its class: a prototype, a copy, a Proxy. */
export function notMade(call: string): GemDmaError {
  return new GemDmaError('ESTALE', call, 'the method is called on what the library did not make', {
    reason: 'OBJECT_NOT_MADE',
  });
}

/** One stretch of a machine's time. */
export class Era {
  over = false;
  readonly timeline: Timeline;

  constructor(timeline: Timeline) {
    this.timeline = timeline;
  }
}

/** What a snapshot holds of a timeline. */
export interface TimelineMark {
  readonly serial: number;
  readonly undone: readonly number[];
}

/** Why a machine accepts no more calls. */
export interface Closing {
  code: ErrnoName;
  reason: 'MACHINE_DISPOSED' | 'MACHINE_BROKEN';
  message: string;
}

export class Timeline {
  /** The era that runs now. */
  era = new Era(this);
  /** Calls that are running. */
  readonly calls = new Calls();
  /**
   * Objects with state outside of linear memory, which a snapshot copies. An object that keeps exports or a view of memory beyond a
   * call has a method forgetCore, which dispose calls.
   */
  readonly members = new Set<object>();
  private serial = 0;
  /** Serials whose births and deaths were undone, as ascending pairs: above the first, up to the second. */
  private undone: readonly number[] = [];
  private lastMark = 0;
  private closing: Closing | null = null;
  private stands = false;

  /** The serial of a birth or death that happens now. */
  next(): number {
    return ++this.serial;
  }

  /** Whether the event of a serial is part of the present time line. */
  counts(serial: number): boolean {
    const { undone } = this;
    for (let i = undone.length - 2; i >= 0 && serial <= undone[i + 1]; i -= 2) {
      if (serial > undone[i]) return false;
    }
    return true;
  }

  /** Whether a snapshot was taken at a serial or later. */
  markedSince(serial: number): boolean {
    return this.lastMark >= serial;
  }

  /** The present, to come back to. */
  mark(): TimelineMark {
    this.lastMark = this.serial;
    return { serial: this.serial, undone: this.undone };
  }

  /** Undoes all that happened since a mark. */
  goBack({ serial, undone }: TimelineMark): void {
    if (this.serial > serial) {
      const last = undone.length - 1;
      this.undone =
        undone[last] === serial ? [...undone.slice(0, last), this.serial] : [...undone, serial, this.serial];
    } else this.undone = undone;
    this.renew();
  }

  /** Ends the time line: every call from now on is refused. Only the first reason counts. */
  close(closing: Closing): void {
    if (this.closing !== null) return;
    this.closing = closing;
    this.renew();
    this.era.over = true;
  }

  get closed(): boolean {
    return this.closing !== null;
  }

  /** @throws GemDmaError ENODEV or EIO once the machine accepts no more calls */
  enter(call: string): void {
    if (this.era.over) this.refuse(call);
  }

  refuse(call: string): void {
    if (this.stands) {
      throw new GemDmaError('EBUSY', call, 'a snapshot is being taken', { reason: 'CALL_UNDER_WAY' });
    }
    if (this.closing === null) return;
    const { code, reason, message } = this.closing;
    throw new GemDmaError(code, call, message, { reason });
  }

  /** Work during which every call of the machine is refused with EBUSY. */
  still<T>(work: () => T): T {
    this.stands = true;
    this.renew();
    this.era.over = true;
    try {
      return work();
    } finally {
      this.stands = false;
      if (this.closing === null) this.renew();
    }
  }

  private renew(): void {
    this.era.over = true;
    this.era = new Era(this);
  }
}

// The era of destroyed objects: it is over, and belongs to no machine.
const DEAD = new Era(new Timeline());
DEAD.over = true;

/** No call works on the object: above any count of hooks. */
const IDLE = 0x3fffffff;

/**
 * Whether an object can be used, and whether a call works on it.
 *
 * A call works on an object from `begin` to `finish`. A hook that runs meanwhile finds it busy, and so does all that the
 * hook calls: what would change or end it is refused before any effect (`checkIdle`), and reclaim passes it by, as the
 * kernel's trylock does. The call itself, and what it calls without a hook in between, does not find it busy.
 *
 * All objects have one of this class, whatever their own class. The engine's caches of property accesses hold four classes; the
 * same fields on the objects themselves would be looked up in a table at each call.
 */
export class Life {
  readonly timeline: Timeline;
  /** The last era in which the object was found alive. */
  private era: Era;
  /** How many hooks ran when the outermost call began that works on it. */
  private since = IDLE;
  /** Called once no call works on it any more. */
  private waiting: { finished(): void } | null = null;
  private readonly kind: string;
  private readonly number: number;
  private readonly birth: number;
  /** The serial of its death, 0 for none. */
  private death = 0;
  /** Deaths that a restore has undone and a restore to another snapshot may bring back. */
  private earlier: number[] | undefined;

  /**
   * The object is born now.
   * @param kind what it is, as messages say it
   * @param number its number among those, 0 for none
   */
  constructor(timeline: Timeline, kind: string, number = 0) {
    this.timeline = timeline;
    this.era = timeline.era;
    this.kind = kind;
    this.number = number;
    this.birth = timeline.next();
  }

  /**
   * Every method of the object begins here.
   * @param call the kernel's name of it, the error's `syscall`
   * @throws GemDmaError ENODEV when it was destroyed or the machine disposed, ESTALE when it was made after the snapshot
   *   that the machine went back to, EIO when the machine is broken
   */
  enter(call: string): void {
    if (this.era.over) this.revive(call);
  }

  /** The same for an object that is an argument of this one's call. EXDEV for one of another machine. */
  join(other: Life, call: string): void {
    if (other.era !== this.era) this.admit(other, call);
  }

  /** The same for a call of one of the machine's own objects, whose time line it is. */
  enterIn(timeline: Timeline, call: string): void {
    if (this.timeline !== timeline) this.foreign(call);
    if (this.era.over) this.revive(call);
  }

  /** For a call that changes or ends it and may run hooks. @throws GemDmaError EBUSY while busy, and from within too many hooks */
  checkIdle(call: string): void {
    // Outside of hooks it cannot be.
    if (this.timeline.calls.level !== 0) this.checkWithin(call);
  }

  private checkWithin(call: string): void {
    const { calls } = this.timeline;
    calls.checkLevel(call);
    if (this.since >= calls.level) return;
    throw new GemDmaError('EBUSY', call, `a call works on the ${this.what}: not from within a hook of that call`, {
      reason: 'OBJECT_BUSY',
    });
  }

  /** Whether a call works on it that has led to the hook which runs now. */
  get busy(): boolean {
    return this.since < this.timeline.calls.level;
  }

  /** Whether any call works on it. */
  get underWay(): boolean {
    return this.since !== IDLE;
  }

  /** Begins work on it. Returns whether it is the outermost, for `finish`. */
  begin(): boolean {
    if (this.since !== IDLE) return false;
    this.since = this.timeline.calls.level;
    return true;
  }

  /** That work is over. */
  finish(outermost: boolean): void {
    if (!outermost) return;
    this.since = IDLE;
    if (this.waiting !== null) this.tellFinished(this.waiting);
  }

  /** A call that works on it. */
  work<T>(run: () => T): T {
    const outermost = this.begin();
    try {
      return run();
    } finally {
      this.finish(outermost);
    }
  }

  /** While a call works on it: `one` is called at the end of that call. */
  afterwards(one: { finished(): void }): void {
    this.waiting = one;
  }

  private tellFinished(one: { finished(): void }): void {
    this.waiting = null;
    one.finished();
  }

  /** As messages say it. */
  get what(): string {
    return this.number === 0 ? this.kind : `${this.kind} ${this.number}`;
  }

  /** Whether it may be used now. */
  get alive(): boolean {
    return !this.timeline.closed && this.exists;
  }

  /**
   * For destroy: whether it is not destroyed yet. A second destroy does nothing.
   * @throws GemDmaError as `enter`, but for what was destroyed already
   */
  ending(call: string): boolean {
    if (!this.era.over) return true;
    this.timeline.refuse(call);
    if (this.timeline.counts(this.birth) && !this.exists) return false;
    this.revive(call);
    return true;
  }

  /** The record is gone. */
  end(): void {
    if (this.death !== 0 && this.timeline.markedSince(this.death)) {
      this.earlier ??= [];
      this.earlier.push(this.death);
    }
    this.death = this.timeline.next();
    this.era = DEAD;
  }

  private get exists(): boolean {
    const { timeline } = this;
    if (!timeline.counts(this.birth)) return false;
    if (this.death !== 0 && timeline.counts(this.death)) return false;
    return this.earlier === undefined || !this.earlier.some((death) => timeline.counts(death));
  }

  private revive(call: string): void {
    const { timeline, what } = this;
    timeline.refuse(call);
    if (!timeline.counts(this.birth)) {
      throw new GemDmaError('ESTALE', call, `the ${what} was made after the snapshot that the machine went back to`, {
        reason: 'OBJECT_RESTORED_AWAY',
      });
    }
    if (!this.exists) {
      throw new GemDmaError('ENODEV', call, `the ${what} was destroyed`, { reason: 'OBJECT_DESTROYED' });
    }
    this.era = timeline.era;
  }

  private admit(other: Life, call: string): void {
    if (other.timeline !== this.timeline) other.foreign(call);
    other.revive(call);
  }

  private foreign(call: string): never {
    throw new GemDmaError('EXDEV', call, `the ${this.what} belongs to another machine`, { reason: 'OTHER_MACHINE' });
  }
}
