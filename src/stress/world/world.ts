import { checkFunction, checkObject, oneOf } from '../../core/arguments.js';
import { badValue, GemDmaError, invalidType } from '../../core/errors.js';
import { FAULT_KINDS, FAULTS, type FaultKind } from '../../core/faults.js';
import { guard } from '../../core/guard.js';
import { checkMaker, type LIBRARY, notMade } from '../../core/life.js';
import { BaseMachine } from '../../machine/machine.js';
import { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import { Random, Weighted } from '../engine/random.js';
import type { StressWorld } from '../engine/runner.js';
import { Accounts } from './accounts.js';
import type { Lent, WorldPart } from './part.js';
import type { StressConfig } from './profile.js';
import type { Repertoire } from './vocabulary.js';

/** The world at one moment, layer by layer and part by part, as plain values. */
export type WorldState = Readonly<Record<string, unknown>>;

/** The machine of a run, with a part for each vocabulary, and the model that both are compared with. */
export class World implements StressWorld {
  static {
    guard(World, (one) => #made in one, ['newId', 'watch', 'accessing']);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** What the seed was applied to. */
  readonly config: StressConfig;
  /** The machine of the run. */
  readonly machine: BaseMachine;
  /** Sizes to draw, in pages. */
  readonly pages: Weighted<number>;
  /** In the order of the repertoire's vocabularies. */
  readonly parts: readonly WorldPart[];
  private readonly accounts: Accounts;
  private ids = 0;

  /** @throws GemDmaError when the machine cannot be made @internal */
  constructor(maker: typeof LIBRARY, config: StressConfig, repertoire: Repertoire) {
    checkMaker(maker, 'World');
    this.config = config;
    this.pages = new Weighted(
      config.pages.map(([pages]) => pages),
      config.pages.map(([, weight]) => weight),
    );
    this.machine = new BaseMachine(config.machine);
    this.parts = repertoire.vocabularies.map((vocabulary) => vocabulary.open(this));
    this.accounts = new Accounts(this);
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** The part of a class. @throws TypeError when no vocabulary of the run has made one */
  part<Part extends WorldPart>(type: abstract new (...args: never[]) => Part): Part {
    if (typeof type !== 'function' || typeof type.prototype !== 'object') throw invalidType('type', 'a class', type);
    const part = this.parts.find((one) => one instanceof type);
    if (part === undefined) throw badValue(`the run has no ${type.name}`);
    return part as Part;
  }

  /** For a world that was restored to its beginning: the user's code begins anew. */
  renew(): void {
    for (const part of this.parts) part.renew();
  }

  /** An id that no operation of this run has had. */
  newId(): number {
    if (!World.is(this)) throw notMade('World.newId');
    return ++this.ids;
  }

  watch(): void {
    if (!World.is(this)) throw notMade('World.watch');
    this.accounts.watch();
  }

  check(): void {
    try {
      this.machine.check();
    } catch (error) {
      const { message } = error as Error;
      throw new StressFailure('structure', /subsystem (\d+)/.exec(message)?.[1] ?? 'machine', message);
    }
    for (const part of this.parts) part.check();
    this.accounts.check();
  }

  teardown(): void {
    // A part may use what one before it lends.
    for (const part of this.parts.toReversed()) part.teardown();
    // Longer than any timer of the machine: flush queues and depots are empty afterwards.
    this.machine.clock.advance(1000);
    this.watch();
    this.check();
    this.accounts.empty();
    for (const part of this.parts) part.empty();
  }

  /** What a progress bar shows. */
  gauges(): {
    /** Live objects. */
    objects: number;
    /** Live DMA mappings over all devices. */
    mappings: number;
    /** Share of the most contended device address space that is in use, 0 to 1. */
    iovaUse: number;
    /** Findings of dma-debug so far. */
    findings: number;
  } {
    return {
      objects: this.parts.reduce((sum, { objectCount }) => sum + objectCount, 0),
      mappings: this.accounts.mappings,
      iovaUse: this.accounts.iovaUse,
      findings: this.accounts.findings,
    };
  }

  /** Allocations of a kind that were made to fail so far. */
  faultsStruck(kind: FaultKind): number {
    oneOf('kind', kind, FAULT_KINDS);
    return this.machine.core.tools.faultCount(this.machine.context, FAULTS[kind]);
  }

  /** What an operation that was refused must leave as it was, as plain values. */
  state(): WorldState {
    return Object.assign(this.accounts.state(), ...this.parts.map((part) => part.state()));
  }

  /** Undoes the side effects that the kernel also leaves after a refused operation. */
  rewind(before: WorldState, operation: Operation): void {
    checkObject('before', before);
    checkObject('operation', operation);
    for (const part of this.parts) part.rewind(before, operation);
  }

  /** A random object of any part that the devices of another may use, by its id. */
  pickObject(random: Random): number | undefined {
    if (!Random.is(random)) throw invalidType('random', 'a Random', random);
    const picked = this.parts.map((part) => part.pickObject(random)).filter((id) => id !== undefined);
    return picked.length > 1 ? random.pick(picked) : picked[0];
  }

  /** Lends an object to a device of another part; undefined where that cannot be. */
  lend(id: number): Lent | undefined {
    if (typeof id !== 'number' || Number.isNaN(id)) throw invalidType('id', 'of type number', id);
    for (const part of this.parts) {
      const lent = part.lend(id);
      if (lent !== undefined) return lent;
    }
    return undefined;
  }

  /** Does a device's access that must not fault: there is a mapping, and it is live. */
  accessing(access: () => void): void {
    if (!World.is(this)) throw notMade('World.accessing');
    checkFunction('access', access);
    try {
      access();
    } catch (error) {
      if (GemDmaError.is(error, 'EFAULT')) throw new StressFailure('fault', 'access', (error as Error).message);
      throw error;
    }
  }
}
