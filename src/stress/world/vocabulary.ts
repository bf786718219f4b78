import { checkArray, checkObject } from '../../core/arguments.js';
import { badValue } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import { notMade } from '../../core/life.js';
import type { Operation, OperationKind } from '../engine/operation.js';
import { commonKinds } from './common.js';
import type { WorldPart } from './part.js';
import type { StressConfig, StressProfile } from './profile.js';
import type { World } from './world.js';

/**
 * What a stress run can do. A vocabulary is what one driver, or one way of using devices, brings to runs: its operations,
 * its part of the world with what must hold of it, profiles, and how all of this is printed. A repertoire is the
 * vocabularies of a run. No other file of this folder depends on a driver.
 */
export interface Vocabulary<Part extends WorldPart = WorldPart> {
  /** As errors name it. */
  readonly name: string;
  /** Its operations. */
  readonly kinds: readonly OperationKind<Part>[];

  /** The field of a profile that says what is to be made, such as `gpus`. */
  readonly setup: string;
  /** Its names in the `limits` of a profile. */
  readonly limits: readonly string[];
  /** Profiles that it comes with, by name. The first of a repertoire is the default. */
  readonly profiles?: Readonly<Record<string, StressProfile>>;
  /**
   * Checks the field of a profile.
   * @param name of the field, for the error
   * @throws TypeError or RangeError
   */
  checkSetup(name: string, value: unknown): void;
  /** What a run's own options change in its configuration. */
  configure?(profile: StressProfile): Partial<StressConfig>;

  /** Makes its part of a world: devices, and what must hold of them. */
  open(world: World): Part;
  /** Whether the part calls the user's code, which may keep state where no snapshot of the machine finds it. */
  readonly hasOwnState?: boolean;

  /** Arguments of its operations that name things by their id, the one that the operation is about first. */
  readonly ids: readonly string[];
  /** The operation that gives back what another made, by the name of the other. */
  readonly ends: Readonly<Record<string, (id: number, maker: Operation) => Operation>>;
  /** Arguments that name things which end together with the one that an operation gives back. */
  readonly endsToo?: readonly string[];
  /** Argument lists that name several things. */
  readonly idLists?: readonly string[];
  /** How a failing run is printed. */
  readonly program: ProgramText;
}

/** What the program needs that a failing run is printed as. */
export interface ProgramText {
  /** Exports of gemdma that the lines may name. */
  readonly exports?: Readonly<Record<string, unknown>>;
  /** Lines that import other names. */
  readonly imports?: readonly string[];
  /** What these names stand for when the program is run in this process. */
  readonly values?: Readonly<Record<string, unknown>>;
  /**
   * Lines that make what the operations name.
   * @param named whether a name occurs in the operations
   */
  setup(config: StressConfig, named: (name: string) => boolean): string[];
}

/** The vocabularies of a run, as one. */
export class Repertoire {
  static {
    guard(Repertoire, (one) => #made in one, ['kindOf']);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** In order; the first names the default profile. */
  readonly vocabularies: readonly Vocabulary[];
  /** Every kind of operation there is, on a whole world. */
  readonly kinds: readonly OperationKind<World>[];
  /** Names of all operations, for weights. */
  readonly names: readonly string[];
  /** Profiles of all of them by name. */
  readonly profiles: Readonly<Record<string, StressProfile>>;
  private readonly byName: ReadonlyMap<string, OperationKind<World>>;

  constructor(vocabularies: readonly Vocabulary[]) {
    checkArray('vocabularies', vocabularies);
    for (const one of vocabularies) {
      checkObject('vocabularies', one);
      checkArray('vocabularies.kinds', one.kinds);
    }
    this.vocabularies = vocabularies;
    this.kinds = [...vocabularies.flatMap(({ kinds }, i) => kinds.map((kind) => onPart(kind, i))), ...commonKinds];
    this.names = this.kinds.map(({ name }) => name);
    this.byName = new Map(this.kinds.map((kind) => [kind.name, kind]));
    this.profiles = Object.assign({}, ...vocabularies.map(({ profiles }) => profiles));
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** The kind of an operation. @throws TypeError for an operation that there is not */
  kindOf(operation: Operation): OperationKind<World> {
    if (!Repertoire.is(this)) throw notMade('Repertoire.kindOf');
    checkObject('operation', operation);
    const kind = this.byName.get(operation.op);
    if (kind === undefined) throw badValue(`there is no operation '${operation.op}'`);
    return kind;
  }

  /** Whether a world may have state that no snapshot of its machine holds. */
  get hasOwnState(): boolean {
    return this.vocabularies.some(({ hasOwnState }) => hasOwnState === true);
  }

  /** Arguments that name things, the one that an operation is about first. */
  get idArguments(): readonly string[] {
    return ['id', ...this.vocabularies.flatMap(({ ids }) => ids)];
  }

  /** Argument lists that name things. */
  get idLists(): readonly string[] {
    return this.vocabularies.flatMap(({ idLists = [] }) => idLists);
  }

  /** Things that an operation names. Ids are unique over all things of a run. */
  idsOf(operation: Operation): number[] {
    checkObject('operation', operation);
    const ids = this.idArguments.map((name) => operation[name] as number).filter((id) => id > 0);
    return [...ids, ...this.idLists.flatMap((name) => (operation[name] ?? []) as readonly number[])];
  }

  /** The operation that gives back what another made; undefined for one that makes nothing. */
  endOf(maker: Operation): Operation | undefined {
    checkObject('maker', maker);
    const vocabulary = this.vocabularies.find(({ ends }) => maker.op in ends);
    return vocabulary?.ends[maker.op](maker.id as number, maker);
  }

  /** Things that an operation gives back. */
  endedBy(operation: Operation): number[] {
    checkObject('operation', operation);
    const vocabulary = this.vocabularies.find(({ ends }) =>
      Object.values(ends).some((end) => end(0, { op: '' }).op === operation.op),
    );
    if (vocabulary === undefined) return [];
    const subject = this.idArguments.slice(1).find((name) => name in operation);
    const ids = [subject ?? '', ...(vocabulary.endsToo ?? [])].map((name) => operation[name]);
    return ids.filter((id) => typeof id === 'number');
  }
}

/** A kind of operation on one part of the world, as one on the world. */
function onPart(kind: OperationKind<WorldPart>, part: number): OperationKind<World> {
  const { simpler } = kind;
  return {
    name: kind.name,
    generate: (world, random) => kind.generate(world.parts[part], random),
    apply: (world, operation) => kind.apply(world.parts[part], operation),
    print: (operation) => kind.print(operation),
    ...(simpler && { simpler: (operation: Operation) => simpler.call(kind, operation) }),
  };
}
