import { GemDmaError } from '../../core/errors.js';
import type { CoherentBuffer, Direction, DmaDevice } from '../../dma/device.js';
import { ScatterTable } from '../../dma/sg-table.js';
import type { DmaBufAttachment } from '../../gem/dma-buf.js';
import { deviceRead, deviceWrite } from '../../iommu/iommu.js';
import { Contents, stamped } from './contents.js';
import { StressFailure } from './failure.js';
import type { Operation, OperationKind } from './operation.js';
import type { Random } from './random.js';
import type { World } from './world.js';

/**
 * What drivers of other devices do: the DMA API, directly. `map` names a mapping by the id that the making operation gave
 * it. Every mapping has frames of its own, with bytes that the CPU wrote before mapping; what the device reads must be
 * those, and what it writes must be there after unmapping.
 */
type DmaOperation = OperationKind<World>;

/** A live mapping of a device. */
export interface Mapping {
  readonly device: DmaDevice;
  readonly kind: 'page' | 'sg' | 'coherent' | 'attachment';
  readonly direction: Direction;
  /** Device address of the first byte, for page and coherent. */
  readonly address: number;
  readonly length: number;
  /** Physical address of the first byte of a page mapping. */
  readonly physical: number;
  readonly table?: ScatterTable;
  readonly buffer?: CoherentBuffer;
  /** The device's use of a GPU's object, and the table that the exporter mapped for it. */
  readonly attachment?: { readonly of: DmaBufAttachment; readonly table: number };
  readonly contents: Contents;
  /** Where the device wrote last. */
  written?: { offset: number; length: number };
}

const PAGE = 4096;
const TO_DEVICE = 1;
const FROM_DEVICE = 2;
const MAX_BYTES = 200;
const NO_PROBE = { offset: 0, length: 16 };

const arg = (operation: Operation, name: string): number => operation[name] as number;

function pickDevice(world: World, random: Random): number | null {
  if (world.devices.length === 0 || world.mappings.size >= world.config.limits.mappings) return null;
  return random.below(world.devices.length);
}

function refused(device: DmaDevice, syscall: string): GemDmaError {
  return new GemDmaError('ENOMEM', syscall, `device ${device.id} cannot map: ${device.reason}`, {
    reason: device.reason,
  });
}

/** The bytes that the CPU puts at the start of a mapping before the device may see them. */
function before(stamp: number, length: number): Uint8Array {
  return stamped(stamp, Math.min(NO_PROBE.length, length));
}

const map: DmaOperation = {
  name: 'map',
  generate: (world, random) => {
    const device = pickDevice(world, random);
    if (device === null) return null;
    const offset = random.oneIn(2) ? 0 : random.below(PAGE);
    const length = offset === 0 && random.oneIn(2) ? PAGE : 1 + random.below(PAGE - offset);
    return { op: 'map', id: world.newId(), device, offset, length, dir: random.below(3), stamp: random.u32() };
  },
  apply: (world, operation) => {
    const { ram } = world.machine;
    const device = world.devices[arg(operation, 'device')];
    const direction = arg(operation, 'dir') as Direction;
    const offset = arg(operation, 'offset');
    const length = arg(operation, 'length');
    const frames = ram.alloc(1);
    const physical = frames[0] * PAGE + offset;
    const contents = new Contents();
    const bytes = before(arg(operation, 'stamp'), length);
    let address = -1;
    try {
      ram.write(physical, bytes);
      contents.write(0, bytes);
      address = device.mapPage(frames[0], offset, length, direction);
      if (device.mappingError(address)) throw refused(device, 'dma_map_page');
    } catch (error) {
      ram.free(frames);
      throw error;
    }
    world.mappings.add(arg(operation, 'id'), {
      ...{ device, kind: 'page', direction, address, length, physical, contents },
    });
    return true;
  },
  print: ({ id, device, offset, length, dir }) => [
    `const [pfn${id}] = machine.ram.alloc(1);`,
    `const map${id} = device${device}.mapPage(pfn${id}, ${offset}, ${length}, ${dir});`,
    `if (device${device}.mappingError(map${id})) throw new Error(device${device}.reason);`,
  ],
  *simpler(operation) {
    if (arg(operation, 'offset') > 0) yield { ...operation, offset: 0 };
    if (arg(operation, 'length') < PAGE) yield { ...operation, offset: 0, length: PAGE };
  },
};

const unmap: DmaOperation = {
  name: 'unmap',
  generate: (world, random) => pickMapping(world, random, 'unmap', 'page'),
  apply: (world, operation) => {
    const mapping = world.mappings.get(arg(operation, 'map'));
    if (mapping?.kind !== 'page') return false;
    world.mappings.delete(arg(operation, 'map'));
    mapping.device.unmapPage(mapping.address, mapping.length, mapping.direction);
    const { ram } = world.machine;
    const { offset, length } = mapping.written ?? NO_PROBE;
    const bytes = ram.read(mapping.physical + offset, Math.min(length, mapping.length - offset));
    ram.free([Math.floor(mapping.physical / PAGE)]);
    if (mapping.contents.differs(offset, bytes) >= 0) {
      throw new StressFailure(
        'contents',
        'unmapped page',
        `map${operation.map} does not hold what the device left there`,
      );
    }
    return true;
  },
  print: ({ map: id, device, length, dir }) => [
    `device${device}.unmapPage(map${id}, ${length}, ${dir});`,
    `machine.ram.free([pfn${id}]);`,
  ],
};

function pickMapping(world: World, random: Random, op: string, kind: Mapping['kind']): Operation | null {
  for (let tries = 0; tries < 8; ++tries) {
    const id = world.mappings.pick(random);
    if (id === undefined) return null;
    const mapping = world.mappings.get(id)!;
    if (mapping.kind !== kind) continue;
    const { length, direction } = mapping;
    return { op, map: id, device: world.devices.indexOf(mapping.device), length, dir: direction };
  }
  return null;
}

const mapSg: DmaOperation = {
  name: 'mapSg',
  generate: (world, random) => {
    const device = pickDevice(world, random);
    if (device === null) return null;
    const pages = world.pages.draw(random);
    return { op: 'mapSg', id: world.newId(), device, pages, dir: random.below(3) };
  },
  apply: (world, operation) => {
    const device = world.devices[arg(operation, 'device')];
    const direction = arg(operation, 'dir') as Direction;
    const length = arg(operation, 'pages') * PAGE;
    const table = ScatterTable.allocate(world.machine, arg(operation, 'pages'), { maxSegment: 65536 });
    try {
      device.mapSgTable(table, direction);
    } catch (error) {
      table.release();
      throw error;
    }
    const contents = new Contents();
    world.mappings.add(arg(operation, 'id'), {
      ...{ device, kind: 'sg', direction, address: table.dmaAddress(0), length, physical: 0, table, contents },
    });
    return true;
  },
  print: ({ id, device, pages, dir }) => [
    `const table${id} = ScatterTable.allocate(machine, ${pages}, { maxSegment: 65536 });`,
    `device${device}.mapSgTable(table${id}, ${dir});`,
  ],
  *simpler(operation) {
    if (arg(operation, 'pages') > 1) yield { ...operation, pages: 1 };
  },
};

const unmapSg: DmaOperation = {
  name: 'unmapSg',
  generate: (world, random) => pickMapping(world, random, 'unmapSg', 'sg'),
  apply: (world, operation) => {
    const mapping = world.mappings.get(arg(operation, 'map'));
    if (!mapping?.table) return false;
    world.mappings.delete(arg(operation, 'map'));
    mapping.device.unmapSg(mapping.table, mapping.direction);
    mapping.table.release();
    return true;
  },
  print: ({ map: id, device, dir }) => [`device${device}.unmapSg(table${id}, ${dir});`, `table${id}.release();`],
};

const coherent: DmaOperation = {
  name: 'coherent',
  generate: (world, random) => {
    const device = pickDevice(world, random);
    if (device === null) return null;
    return { op: 'coherent', id: world.newId(), device, length: (1 + random.below(4)) * PAGE };
  },
  apply: (world, operation) => {
    const device = world.devices[arg(operation, 'device')];
    const length = arg(operation, 'length');
    const buffer = device.allocCoherent(length);
    const { address } = buffer;
    world.mappings.add(arg(operation, 'id'), {
      ...{ device, kind: 'coherent', direction: 0, address, length, physical: 0, buffer, contents: new Contents() },
    });
    return true;
  },
  print: ({ id, device, length }) => [`const buffer${id} = device${device}.allocCoherent(${length});`],
};

const coherentFree: DmaOperation = {
  name: 'coherentFree',
  generate: (world, random) => pickMapping(world, random, 'coherentFree', 'coherent'),
  apply: (world, operation) => {
    const mapping = world.mappings.get(arg(operation, 'map'));
    if (!mapping?.buffer) return false;
    world.mappings.delete(arg(operation, 'map'));
    mapping.buffer.free();
    return true;
  },
  print: ({ map: id }) => [`buffer${id}.free();`],
};

const attach: DmaOperation = {
  name: 'attach',
  generate: (world, random) => {
    const device = pickDevice(world, random);
    const bo = world.objects.pick(random);
    return device === null || bo === undefined ? null : { op: 'attach', id: world.newId(), bo, device };
  },
  apply: (world, operation) => {
    const bo = world.objects.get(arg(operation, 'bo'));
    if (bo?.object.backing.kind !== 'shmem') return false;
    const device = world.devices[arg(operation, 'device')];
    const dmaBuf = bo.object.export();
    const attachment = dmaBuf.attach(device);
    dmaBuf.release();
    let table: number;
    try {
      table = attachment.map();
    } catch (error) {
      attachment.detach();
      throw error;
    }
    const length = bo.object.size;
    world.mappings.add(arg(operation, 'id'), {
      ...{ device, kind: 'attachment', direction: 0, address: 0, length, physical: 0, contents: bo.contents },
      attachment: { of: attachment, table },
    });
    return true;
  },
  print: ({ id, bo, device }) => [
    `const attachment${id} = bo${bo}.export().attach(device${device});`,
    `attachment${id}.map();`,
  ],
};

const detach: DmaOperation = {
  name: 'detach',
  generate: (world, random) => pickMapping(world, random, 'detach', 'attachment'),
  apply: (world, operation) => {
    const mapping = world.mappings.get(arg(operation, 'map'));
    if (!mapping?.attachment) return false;
    world.mappings.delete(arg(operation, 'map'));
    endAttachment(mapping.attachment.of);
    return true;
  },
  print: ({ map: id }) => [`attachment${id}.unmap();`, `attachment${id}.detach();`],
};

function endAttachment(attachment: DmaBufAttachment): void {
  attachment.unmap();
  attachment.detach();
}

/** Ends a mapping as a correct driver does. */
export function endMapping(world: World, mapping: Mapping): void {
  const { device, buffer, table, attachment, address, length, direction, physical } = mapping;
  if (buffer) buffer.free();
  else if (attachment) endAttachment(attachment.of);
  else if (table) {
    device.unmapSg(table, direction);
    table.release();
  } else {
    device.unmapPage(address, length, direction);
    world.machine.ram.free([Math.floor(physical / PAGE)]);
  }
}

/** The device reads what the CPU wrote before mapping, or writes: seen by the CPU at the latest after unmapping. */
function deviceAccess(name: 'deviceRead' | 'deviceWrite'): DmaOperation {
  const write = name === 'deviceWrite';
  const forbidden = write ? TO_DEVICE : FROM_DEVICE;
  return {
    name,
    generate: (world, random) => {
      for (let tries = 0; tries < 8; ++tries) {
        const id = world.mappings.pick(random);
        if (id === undefined) return null;
        const mapping = world.mappings.get(id)!;
        if (mapping.kind !== 'page' || mapping.direction === forbidden) continue;
        const length = 1 + random.below(Math.min(MAX_BYTES, mapping.length));
        const offset = random.below(mapping.length - length + 1);
        const device = world.devices.indexOf(mapping.device);
        const operation = { op: name, map: id, device, offset, length };
        return write ? { ...operation, stamp: random.u32() } : operation;
      }
      return null;
    },
    apply: (world, operation) => {
      const mapping = world.mappings.get(arg(operation, 'map'));
      const offset = arg(operation, 'offset');
      const length = arg(operation, 'length');
      if (mapping?.kind !== 'page' || mapping.direction === forbidden || offset + length > mapping.length) return false;
      const { device, address, contents } = mapping;
      world.accessing(() => {
        if (write) {
          const bytes = stamped(arg(operation, 'stamp'), length);
          deviceWrite(world.machine, device, address + offset, bytes);
          contents.write(offset, bytes);
          mapping.written = { offset, length };
        } else if (contents.differs(offset, deviceRead(world.machine, device, address + offset, length)) >= 0) {
          throw new StressFailure('contents', 'device', `the device reads other bytes from map${operation.map}`);
        }
      });
      return true;
    },
    print: ({ map: id, device, offset, length, stamp }) =>
      write
        ? [`deviceWrite(machine, device${device}, map${id} + ${offset}, stamped(${stamp}, ${length}));`]
        : [`deviceRead(machine, device${device}, map${id} + ${offset}, ${length});`],
  };
}

/** Time passes: flush queues and depots run, requests of the GPU complete, deferred work is done. */
const advance: DmaOperation = {
  name: 'advance',
  generate: (_world, random) => ({ op: 'advance', ms: random.oneIn(20) ? 10 + random.below(100) : random.below(4) }),
  apply: (world, operation) => {
    world.machine.clock.advance(arg(operation, 'ms'));
    return true;
  },
  print: ({ ms }) => [`machine.clock.advance(${ms});`],
  *simpler(operation) {
    if (arg(operation, 'ms') > 0) yield { ...operation, ms: 0 };
  },
};

export const dmaOperations: readonly DmaOperation[] = [
  map,
  unmap,
  mapSg,
  unmapSg,
  coherent,
  coherentFree,
  attach,
  detach,
  deviceAccess('deviceRead'),
  deviceAccess('deviceWrite'),
  advance,
];
