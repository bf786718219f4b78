import { PAGE_SIZE } from '../../core/generated/constants.js';
import { ScatterTable } from '../../dma/sg-table.js';
import type { OperationKind } from '../engine/operation.js';
import { Contents } from '../world/contents.js';
import {
  before,
  compareLeft,
  endAttachment,
  endMapping,
  known,
  left,
  type Mapping,
  pickDevice,
  pickDirection,
  pickMapping,
  refused,
} from './mapping.js';
import type { DmaPart } from './part.js';
import type { Kind } from './types.js';

/** Mappings of every kind are made and ended. */

/** Registers of other devices lie in the hole for them below 4 GiB. */
const REGISTERS = 0xe0000000;
const REGISTER_BYTES = 0x8000000;
const CACHELINE = 64;

const map: Kind<'map'> = {
  name: 'map',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    if (device === null) return null;
    const offset = random.oneIn(2) ? 0 : random.below(PAGE_SIZE);
    const length = offset === 0 && random.oneIn(2) ? PAGE_SIZE : 1 + random.below(PAGE_SIZE - offset);
    return { op: 'map', id: part.newId(), device, offset, length, dir: pickDirection(random), stamp: random.u32() };
  },
  apply: (part, operation) => {
    const { ram } = part.machine;
    const device = part.devices[operation.device];
    const direction = operation.dir;
    const offset = operation.offset;
    const length = operation.length;
    const frames = ram.alloc(1);
    const physical = frames[0] * PAGE_SIZE + offset;
    const bytes = before(operation.stamp, length);
    let address = -1;
    try {
      ram.write(physical, bytes);
      address = device.mapPage(frames[0], offset, length, direction);
      if (device.mappingError(address)) throw refused(device, 'dma_map_page');
    } catch (error) {
      ram.free(frames);
      throw error;
    }
    const contents = known(part, direction, bytes);
    part.mappings.add(operation.id, {
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
    if (operation.offset > 0) yield { ...operation, offset: 0 };
    if (operation.length < PAGE_SIZE) yield { ...operation, offset: 0, length: PAGE_SIZE };
  },
};

const unmap: Kind<'unmap'> = {
  name: 'unmap',
  generate: (part, random) => pickMapping(part, random, 'unmap', 'page'),
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (mapping?.kind !== 'page') return false;
    part.mappings.delete(operation.map);
    mapping.device.unmapPage(mapping.address, mapping.length, mapping.direction);
    const bytes = left(part, mapping);
    part.machine.ram.free([Math.floor(mapping.physical / PAGE_SIZE)]);
    compareLeft(mapping, operation.map, bytes);
    return true;
  },
  print: ({ map: id, device, length, dir }) => [
    `device${device}.unmapPage(map${id}, ${length}, ${dir});`,
    `machine.ram.free([pfn${id}]);`,
  ],
};

/** A list of which the CPU and the device use one page, `window`: what they write must come through, wherever it lies. */
const mapSg: Kind<'mapSg'> = {
  name: 'mapSg',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    if (device === null) return null;
    const pages = part.pages.draw(random);
    const dir = pickDirection(random);
    return { op: 'mapSg', id: part.newId(), device, pages, dir, window: random.below(pages), stamp: random.u32() };
  },
  apply: (part, operation) => {
    const device = part.devices[operation.device];
    const direction = operation.dir;
    const window = operation.window;
    const table = ScatterTable.allocate(part.machine, operation.pages, { maxSegment: 65536 });
    const physical = table.pfn(window) * PAGE_SIZE;
    const bytes = before(operation.stamp, PAGE_SIZE);
    try {
      part.machine.ram.write(physical, bytes);
      device.mapSgTable(table, direction);
    } catch (error) {
      table.release();
      throw error;
    }
    const contents = known(part, direction, bytes);
    part.mappings.add(operation.id, {
      ...{
        device,
        kind: 'sg',
        direction,
        address: table.dmaAddress(window),
        length: PAGE_SIZE,
        physical,
        table,
        contents,
      },
    });
    return true;
  },
  print: ({ id, device, pages, dir, window }) => [
    `const table${id} = ScatterTable.allocate(machine, ${pages}, { maxSegment: 65536 });`,
    `device${device}.mapSgTable(table${id}, ${dir});`,
    `const map${id} = table${id}.dmaAddress(${window});`,
  ],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1, window: 0 };
  },
};

const unmapSg: Kind<'unmapSg'> = {
  name: 'unmapSg',
  generate: (part, random) => pickMapping(part, random, 'unmapSg', 'sg'),
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (!mapping?.table) return false;
    part.mappings.delete(operation.map);
    mapping.device.unmapSg(mapping.table, mapping.direction);
    const bytes = left(part, mapping);
    mapping.table.release();
    compareLeft(mapping, operation.map, bytes);
    return true;
  },
  print: ({ map: id, device, dir }) => [`device${device}.unmapSg(table${id}, ${dir});`, `table${id}.release();`],
};

/** Registers of another device, for transfers from device to device. */
const mapResource: Kind<'mapResource'> = {
  name: 'mapResource',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    if (device === null) return null;
    const physical = REGISTERS + random.below(REGISTER_BYTES / 4) * 4;
    if (lineInUse(part, physical)) return null;
    return {
      op: 'mapResource',
      id: part.newId(),
      device,
      physical,
      length: 4 << random.below(14),
      dir: pickDirection(random),
    };
  },
  apply: (part, operation) => {
    const device = part.devices[operation.device];
    const direction = operation.dir;
    const physical = operation.physical;
    const length = operation.length;
    const address = device.mapResource(physical, length, direction);
    if (device.mappingError(address)) throw refused(device, 'dma_map_resource');
    part.mappings.add(operation.id, {
      ...{ device, kind: 'resource', direction, address, length, physical, contents: new Contents() },
    });
    return true;
  },
  print: ({ id, device, physical, length, dir }) => [
    `const map${id} = device${device}.mapResource(${physical}, ${length}, ${dir});`,
    `if (device${device}.mappingError(map${id})) throw new Error(device${device}.reason);`,
  ],
  *simpler(operation) {
    if (operation.physical !== REGISTERS) yield { ...operation, physical: REGISTERS };
    if (operation.length !== PAGE_SIZE) yield { ...operation, length: PAGE_SIZE };
  },
};

/** Whether a live mapping of registers begins in the same cacheline: dma-debug reports a second one. */
function lineInUse(part: DmaPart, physical: number): boolean {
  const line = Math.floor(physical / CACHELINE);
  const taken = ({ kind, physical: other }: Mapping) => kind === 'resource' && Math.floor(other / CACHELINE) === line;
  return part.mappings.values().some(taken);
}

const unmapResource: Kind<'unmapResource'> = {
  name: 'unmapResource',
  generate: (part, random) => pickMapping(part, random, 'unmapResource', 'resource'),
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (mapping?.kind !== 'resource') return false;
    part.mappings.delete(operation.map);
    endMapping(part, mapping);
    return true;
  },
  print: ({ map: id, device, length, dir }) => [`device${device}.unmapResource(map${id}, ${length}, ${dir});`],
};

const coherent: Kind<'coherent'> = {
  name: 'coherent',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    if (device === null) return null;
    return { op: 'coherent', id: part.newId(), device, length: (1 + random.below(4)) * PAGE_SIZE };
  },
  apply: (part, operation) => {
    const device = part.devices[operation.device];
    const length = operation.length;
    const buffer = device.allocCoherent(length);
    const { address } = buffer;
    part.mappings.add(operation.id, {
      ...{ device, kind: 'coherent', direction: 0, address, length, physical: 0, buffer, contents: new Contents() },
    });
    return true;
  },
  print: ({ id, device, length }) => [`const buffer${id} = device${device}.allocCoherent(${length});`],
};

const coherentFree: Kind<'coherentFree'> = {
  name: 'coherentFree',
  generate: (part, random) => pickMapping(part, random, 'coherentFree', 'coherent'),
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (!mapping?.buffer) return false;
    part.mappings.delete(operation.map);
    mapping.buffer.free();
    return true;
  },
  print: ({ map: id }) => [`buffer${id}.free();`],
};

const attach: Kind<'attach'> = {
  name: 'attach',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    const bo = part.world.pickObject(random);
    return device === null || bo === undefined ? null : { op: 'attach', id: part.newId(), bo, device };
  },
  apply: (part, operation) => {
    const lent = part.world.lend(operation.bo);
    if (lent === undefined) return false;
    const device = part.devices[operation.device];
    const { dmaBuf, size: length, contents } = lent;
    const attachment = dmaBuf.attach(device);
    dmaBuf.release();
    let table: ScatterTable;
    try {
      table = attachment.map();
    } catch (error) {
      attachment.detach();
      throw error;
    }
    part.mappings.add(operation.id, {
      ...{ device, kind: 'attachment', direction: 0, address: 0, length, physical: 0, contents },
      attachment: { of: attachment, table },
    });
    return true;
  },
  print: ({ id, bo, device }) => [
    `const buf${id} = bo${bo}.export();`,
    `const attachment${id} = buf${id}.attach(device${device});`,
    `buf${id}.release();`,
    `attachment${id}.map();`,
  ],
};

const detach: Kind<'detach'> = {
  name: 'detach',
  generate: (part, random) => pickMapping(part, random, 'detach', 'attachment'),
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (!mapping?.attachment) return false;
    part.mappings.delete(operation.map);
    endAttachment(mapping.attachment.of);
    return true;
  },
  print: ({ map: id }) => [`attachment${id}.unmap();`, `attachment${id}.detach();`],
};

export const mappingOperations: readonly OperationKind<DmaPart>[] = [
  map,
  unmap,
  mapSg,
  unmapSg,
  coherent,
  coherentFree,
  mapResource,
  unmapResource,
  attach,
  detach,
];
