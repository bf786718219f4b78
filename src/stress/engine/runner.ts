import { badValue, GemDmaError, invalidValue } from '../../core/errors.js';
import { StressFailure } from './failure.js';
import type { Operation, OperationKind } from './operation.js';
import { type Random, Weighted } from './random.js';

/** What a runner needs of the world that it drives, besides what the operations need. */
export interface StressWorld {
  /** Throws a StressFailure when dma-debug has reported something since the last call. Asked after every operation. */
  watch(): void;
  /** Walks everything and compares the layers; throws a StressFailure. Asked every `checkEvery` operations. */
  check(): void;
  /** Gives everything back and throws a StressFailure for whatever stays. The world is of no use afterwards. */
  teardown(): void;
}

/** What a run did. All counts follow from the seed and the number of operations alone. */
export interface Tally {
  /** Operations drawn, those that found nothing to do included. */
  operations: number;
  /** Operations that did something, by kind. */
  done: Record<string, number>;
  /** Operations that the emulated kernel refused, by errno name: full address spaces, no memory, purged objects. */
  refused: Record<string, number>;
  /** Complete checks of every structure and every sum. */
  checks: number;
}

/** Drives a world through operations, random or recorded, and notices the first failure. */
export class Runner<World extends StressWorld> {
  readonly world: World;
  readonly tally: Tally = { operations: 0, done: {}, refused: {}, checks: 0 };
  /** The first failure; nothing runs after it. */
  failure: StressFailure | null = null;
  private readonly byName: ReadonlyMap<string, OperationKind<World>>;
  private readonly checkEvery: number;

  constructor(world: World, kinds: readonly OperationKind<World>[], checkEvery: number) {
    this.world = world;
    this.byName = new Map(kinds.map((kind) => [kind.name, kind]));
    this.checkEvery = checkEvery;
    for (const { name } of kinds) this.tally.done[name] = 0;
  }

  /**
   * Applies one operation, and checks everything when its turn has come.
   * @returns false when it failed, with `failure` set
   */
  apply(operation: Operation): boolean {
    const kind = this.byName.get(operation.op);
    if (kind === undefined) throw badValue(`there is no operation '${operation.op}'`);
    return this.applyKind(kind, operation);
  }

  private applyKind(kind: OperationKind<World>, operation: Operation): boolean {
    const { tally, world } = this;
    ++tally.operations;
    try {
      try {
        if (kind.apply(world, operation)) ++tally.done[kind.name];
      } catch (error) {
        if (!(error instanceof GemDmaError)) throw error;
        tally.refused[error.code] = (tally.refused[error.code] ?? 0) + 1;
      }
      world.watch();
      if (tally.operations % this.checkEvery === 0) this.checkAll();
    } catch (error) {
      this.failure = asFailure(error);
      return false;
    }
    return true;
  }

  private checkAll(): void {
    ++this.tally.checks;
    this.world.check();
  }

  /**
   * Draws and applies up to `count` operations.
   * @param seen called with every operation before it is applied
   * @returns false after a failure
   */
  run(random: Random, table: Weighted<OperationKind<World>>, count: number, seen?: (op: Operation) => void): boolean {
    for (let i = 0; i < count; ++i) {
      const operation = this.draw(random, table);
      seen?.(operation.recorded);
      if (!this.applyKind(operation.kind, operation.recorded)) return false;
    }
    return true;
  }

  // A kind that has nothing to work on is drawn again: the weights must be such that some kind always has.
  private draw(
    random: Random,
    table: Weighted<OperationKind<World>>,
  ): { kind: OperationKind<World>; recorded: Operation } {
    for (let tries = 0; tries < 10_000; ++tries) {
      const kind = table.draw(random);
      const recorded = kind.generate(this.world, random);
      if (recorded !== null) return { kind, recorded };
    }
    throw invalidValue('weights', 'such that some operation can be done in every state', 'those given');
  }

  /** Checks everything, gives everything back and checks again. Returns false after a failure. */
  finish(): boolean {
    if (this.failure !== null) return false;
    try {
      this.checkAll();
      this.world.teardown();
    } catch (error) {
      this.failure = asFailure(error);
    }
    return this.failure === null;
  }
}

/** A table of the kinds that have a weight. Throws ERR_INVALID_ARG_VALUE for a weight of a kind that there is not. */
export function operationTable<World>(
  kinds: readonly OperationKind<World>[],
  weights: Readonly<Record<string, number>>,
): Weighted<OperationKind<World>> {
  const names = new Set(kinds.map(({ name }) => name));
  const unknown = Object.keys(weights).find((name) => !names.has(name));
  if (unknown !== undefined) {
    throw invalidValue(
      'weights',
      `of operations (there are ${[...names].join(', ')}): there is no operation '${unknown}'`,
      unknown,
    );
  }
  const used = kinds.filter(({ name }) => (weights[name] ?? 0) > 0);
  return new Weighted(
    used,
    used.map(({ name }) => weights[name]),
  );
}

// Anything that is not a refusal of the emulated kernel is a bug: of the driver that is emulated (BUG_ON), or of gemdma.
function asFailure(error: unknown): StressFailure {
  if (error instanceof StressFailure) return error;
  const { name = 'Error', message = String(error), stack } = error as Error;
  return new StressFailure('error', name, message, { stack });
}
