import { checkInteger, invalidType } from '../../core/errors.js';
import type { DmaDevice } from '../../dma/device.js';
import { ScatterTable } from '../../dma/sg-table.js';
import { deviceRead, deviceWrite } from '../../iommu/iommu.js';
import { Entities } from '../engine/entities.js';
import { spaceOf } from '../world/accounts.js';
import { type Books, WorldPart } from '../world/part.js';
import type { Vocabulary } from '../world/vocabulary.js';
import type { World } from '../world/world.js';
import { turnOperations } from './access.js';
import { endMapping, type Mapping } from './mapping.js';
import { mappingOperations } from './mappings.js';
import { rangeOperations } from './ranges.js';

/** What a profile says of devices without a driver, which use the DMA API directly. */
export interface DmaSetup {
  /** Their streaming masks in bits. */
  readonly devices: readonly number[];
}

/** Devices without a driver, and what is mapped for them. */
export class DmaPart extends WorldPart {
  static {
    WorldPart.guard(DmaPart);
  }

  /** The run's devices, in the order of the profile. */
  readonly devices: readonly DmaDevice[];
  /** @internal */
  readonly mappings = new Entities<Mapping>();

  constructor(world: World, { devices }: DmaSetup) {
    super(world);
    this.devices = devices.map((maskBits) => this.machine.addDevice({ maskBits }));
  }

  books(): Books {
    const books = { mappings: 0, entries: 0 };
    const links = this.machine.config.dmaDebug.checkers === 'kernel' ? 0 : 1;
    for (const { kind, table, attachment } of this.mappings.values()) {
      // Reserved address space is one mapping and no entry; each page that is linked into it is no mapping, and an entry of
      // our checker's own. A list is one mapping, and one entry per segment.
      const list = table ?? attachment?.table;
      if (kind !== 'linked') ++books.mappings;
      if (kind === 'linked') books.entries += links;
      else if (kind !== 'range') books.entries += list?.nents ?? 1;
    }
    return books;
  }

  state(): Record<string, unknown> {
    return { space: spaceOf(this.devices), mapped: this.mappings.size };
  }

  teardown(): void {
    for (const [id, mapping] of this.mappings.entries()) {
      // Ending a range ends what is linked in it.
      if (this.mappings.delete(id)) endMapping(this, mapping);
    }
  }
}

/** Everything that drivers do with the DMA API alone. */
export const dmaVocabulary: Vocabulary<DmaPart> = {
  name: 'dma',
  kinds: [...mappingOperations, ...rangeOperations, ...turnOperations],
  setup: 'devices',
  limits: ['mappings'],
  checkSetup(name, devices) {
    if (!Array.isArray(devices)) throw invalidType(name, 'an array of mask bits', devices);
    for (const bits of devices) checkInteger(name, bits, 12, 64);
  },
  open: (world) => new DmaPart(world, world.config as unknown as DmaSetup),
  ids: ['map', 'range', 'linked'],
  ends: {
    map: (id, maker) => ({ ...maker, op: 'unmap', map: id }),
    mapSg: (id, maker) => ({ ...maker, op: 'unmapSg', map: id }),
    coherent: (id) => ({ op: 'coherentFree', map: id }),
    mapResource: (id, maker) => ({ ...maker, op: 'unmapResource', map: id }),
    attach: (id) => ({ op: 'detach', map: id }),
    reserve: (id) => ({ op: 'unreserve', map: id }),
    link: (id, maker) => ({ ...maker, op: 'unlink', map: id }),
  },
  // A range that is given back takes what is linked in it along.
  endsToo: ['linked'],
  program: {
    exports: { ScatterTable, deviceRead, deviceWrite },
    setup: (config, named) =>
      (config as unknown as DmaSetup).devices.flatMap((maskBits, i) =>
        named(`device${i}`) ? [`const device${i} = machine.addDevice({ maskBits: ${maskBits} });`] : [],
      ),
  },
};
