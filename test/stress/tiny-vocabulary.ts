import {
  Contents,
  type DmaSetup,
  dmaVocabulary,
  Entities,
  type KindIn,
  type Lent,
  type OperationKind,
  type Random,
  type StressProfile,
  type Vocabulary,
  type World,
  WorldPart,
} from '../../src/workload/index.js';
import { type TinyDevice, type TinyObject, tiny } from '../drm/tiny-driver.js';

/** What the driver of test/drm/tiny-driver.ts brings to stress runs: the library knows neither. */

interface TinySetup {
  /** How many devices. */
  readonly tiny: number;
}

interface TinyOperations {
  tinyCreate: { id: number; device: number; pages: number };
  tinyPin: { bo: number };
  tinyUnpin: { bo: number };
  tinyRelease: { bo: number };
}

type Kind<Name extends keyof TinyOperations> = KindIn<TinyPart, TinyOperations, Name>;

interface Held {
  readonly object: TinyObject;
  readonly contents: Contents;
  pins: number;
}

class TinyPart extends WorldPart {
  readonly devices: readonly TinyDevice[];
  readonly objects = new Entities<Held>();

  constructor(world: World, setup: TinySetup) {
    super(world);
    this.devices = Array.from({ length: setup.tiny }, () => this.machine.addDriver(tiny, {}));
  }

  books(): { mappings: number; entries: number } {
    const objects = this.devices.flatMap(({ liveList }) => liveList.toArray() as TinyObject[]);
    const mapped = objects.filter(({ segments }) => segments > 0);
    return { mappings: mapped.length, entries: mapped.reduce((sum, { segments }) => sum + segments, 0) };
  }
  state(): Record<string, unknown> {
    return { tiny: this.objects.entries().map(([id, { object, pins }]) => [id, object.pages !== 0, pins]) };
  }
  teardown(): void {
    for (const [id, { object, pins }] of this.objects.entries()) {
      this.objects.delete(id);
      for (let i = 0; i < pins; ++i) object.gemUnpin();
      object.release();
    }
  }
  override get objectCount(): number {
    return this.objects.size;
  }
  override pickObject(random: Random): number | undefined {
    return this.objects.pick(random);
  }
  override lend(id: number): Lent | undefined {
    const held = this.objects.get(id);
    return held && { dmaBuf: held.object.export(), size: held.object.size, contents: held.contents };
  }
}

const create: Kind<'tinyCreate'> = {
  name: 'tinyCreate',
  generate: (part, random) =>
    part.objects.size >= part.limits.tinyObjects
      ? null
      : {
          ...{ op: 'tinyCreate', id: part.newId(), device: random.below(part.devices.length) },
          pages: part.pages.draw(random),
        },
  apply: (part, { id, device, pages }) => {
    part.objects.add(id, { object: part.devices[device].create(pages), contents: new Contents(), pins: 0 });
    return true;
  },
  print: ({ id, device, pages }) => [`const bo${id} = tiny${device}.create(${pages});`],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1 };
  },
};

function onObject<Name extends 'tinyPin' | 'tinyUnpin' | 'tinyRelease'>(
  name: Name,
  act: (held: Held, part: TinyPart, id: number) => boolean,
  code: string,
): OperationKind<TinyPart, { readonly op: Name; readonly bo: number }> {
  return {
    name,
    generate: (part, random) => {
      const bo = part.objects.pick(random);
      return bo === undefined ? null : { op: name, bo };
    },
    apply: (part, { bo }) => {
      const held = part.objects.get(bo);
      return held !== undefined && act(held, part, bo);
    },
    print: ({ bo }) => [`bo${bo}.${code};`],
  };
}

const pin = onObject(
  'tinyPin',
  (held) => {
    const pinned = held.object.gemPin() === 0;
    if (pinned) ++held.pins;
    return pinned;
  },
  'gemPin()',
);
const unpin = onObject(
  'tinyUnpin',
  (held) => {
    if (held.pins === 0) return false;
    --held.pins;
    held.object.gemUnpin();
    return true;
  },
  'gemUnpin()',
);
const release = onObject(
  'tinyRelease',
  ({ object, pins }, part, id) => {
    if (pins > 0) return false;
    part.objects.delete(id);
    object.release();
    return true;
  },
  'release()',
);

export const tinyVocabulary: Vocabulary<TinyPart> = {
  name: 'tiny',
  kinds: [create, pin, unpin, release],
  setup: 'tiny',
  limits: ['tinyObjects'],
  checkSetup(name, value) {
    if (!Number.isInteger(value)) throw new TypeError(`${name} is a number of devices`);
  },
  open: (world) => new TinyPart(world, world.config as unknown as TinySetup),
  ids: ['bo'],
  ends: { tinyCreate: (id) => ({ op: 'tinyRelease', bo: id }) },
  profiles: {
    tiny: {
      title: 'objects of the tiny driver are pinned, lent and swapped',
      weights: {
        ...{ tinyCreate: 10, tinyPin: 20, tinyUnpin: 16, tinyRelease: 8 },
        ...{ attach: 6, detach: 5, map: 4, unmap: 4, advance: 1 },
      },
      machine: { ram: '16MiB' },
      tiny: 2,
      devices: [32],
      // Memory that is lent is mapped more than once.
      expected: ['CACHELINE_OVERLAP', 'CACHELINE_OVERFLOW'],
      limits: { tinyObjects: 100, mappings: 60 },
      pages: [
        [1, 10],
        [16, 5],
        [256, 1],
      ],
    } satisfies StressProfile & TinySetup & DmaSetup,
  },
  program: {
    imports: ["import { tiny } from './tiny-driver.js';"],
    values: { tiny },
    setup: (config, named) =>
      Array.from({ length: (config as unknown as TinySetup).tiny }, (_, i) => i)
        .filter((i) => named(`tiny${i}`))
        .map((i) => `const tiny${i} = machine.addDriver(tiny, {});`),
  },
};

export const vocabularies = [tinyVocabulary, dmaVocabulary];
