import { PAGE_SIZE } from '../../core/generated/constants.js';
import type { OperationKind } from '../engine/operation.js';
import type { Random } from '../engine/random.js';
import { Contents } from '../world/contents.js';
import {
  before,
  compareLeft,
  known,
  left,
  type Mapping,
  pickDevice,
  pickDirection,
  pickMapping,
  unlink,
} from './mapping.js';
import type { DmaPart } from './part.js';
import type { Kind, OperationOf } from './types.js';

/** The two-step calls: address space is reserved once, and memory linked into it and unlinked page by page. */

/** Pages of a range, at most: links are made one by one. */
const MOST_PAGES = 64;

const reserve: Kind<'reserve'> = {
  name: 'reserve',
  generate: (part, random) => {
    const device = pickDevice(part, random);
    if (device === null || typeof part.devices[device].domain !== 'object') return null;
    return { op: 'reserve', id: part.newId(), device, pages: Math.min(MOST_PAGES, part.pages.draw(random)) };
  },
  apply: (part, operation) => {
    const device = part.devices[operation.device];
    const length = operation.pages * PAGE_SIZE;
    const range = device.allocIova(length);
    part.mappings.add(operation.id, {
      ...{ device, kind: 'range', direction: 0, address: range.address, length, physical: 0, contents: new Contents() },
      ...{ range, links: new Map() },
    });
    return true;
  },
  print: ({ id, device, pages }) => [`const range${id} = device${device}.allocIova(${pages * PAGE_SIZE});`],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1 };
  },
};

/** A random range, with its id. */
function pickRange(part: DmaPart, random: Random): [number, Mapping] | undefined {
  for (let tries = 0; tries < 8; ++tries) {
    const id = part.mappings.pick(random);
    if (id === undefined) return undefined;
    const mapping = part.mappings.get(id)!;
    if (mapping.kind === 'range') return [id, mapping];
  }
  return undefined;
}

const link: Kind<'link'> = {
  name: 'link',
  generate: (part, random) => {
    if (pickDevice(part, random) === null) return null;
    const [range, mapping] = pickRange(part, random) ?? [];
    if (mapping === undefined) return null;
    // Often at the start: a range that is linked from there can be destroyed at once.
    const page = random.oneIn(3) ? 0 : random.below(mapping.length / PAGE_SIZE);
    if (mapping.links!.has(page)) return null;
    return { op: 'link', id: part.newId(), range: range!, page, dir: pickDirection(random), stamp: random.u32() };
  },
  apply: (part, operation) => {
    const of = part.mappings.get(operation.range);
    const page = operation.page;
    if (of?.kind !== 'range' || page * PAGE_SIZE >= of.length || of.links!.has(page)) return false;
    const { ram } = part.machine;
    const direction = operation.dir;
    const frames = ram.alloc(1);
    const physical = frames[0] * PAGE_SIZE;
    const bytes = before(operation.stamp, PAGE_SIZE);
    try {
      ram.write(physical, bytes);
      of.range!.link(page * PAGE_SIZE, physical, PAGE_SIZE, direction);
    } catch (error) {
      ram.free(frames);
      throw error;
    }
    of.range!.sync(page * PAGE_SIZE, PAGE_SIZE);
    of.links!.set(page, operation.id);
    part.mappings.add(operation.id, {
      ...{
        device: of.device,
        kind: 'linked',
        direction,
        address: of.address + page * PAGE_SIZE,
        length: PAGE_SIZE,
        physical,
      },
      ...{ contents: known(part, direction, bytes), link: { of, range: operation.range, page } },
    });
    return true;
  },
  print: ({ id, range, page, dir }) => {
    const at = page * PAGE_SIZE;
    return [
      `const [pfn${id}] = machine.ram.alloc(1);`,
      `range${range}.link(${at}, pfn${id} * ${PAGE_SIZE}, ${PAGE_SIZE}, ${dir});`,
      `range${range}.sync(${at}, ${PAGE_SIZE});`,
      `const map${id} = range${range}.address + ${at};`,
    ];
  },
  *simpler(operation) {
    if (operation.page > 0) yield { ...operation, page: 0 };
  },
};

const unlinkPage: Kind<'unlink'> = {
  name: 'unlink',
  generate: (part, random) => {
    const operation = pickMapping(part, random, 'unlink', 'linked');
    if (operation === null) return null;
    const { map, dir } = operation;
    const { range, page } = part.mappings.get(map)!.link!;
    return { op: 'unlink', map, range, page, dir };
  },
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    if (mapping?.kind !== 'linked') return false;
    part.mappings.delete(operation.map);
    const bytes = left(part, mapping);
    unlink(part, mapping);
    compareLeft(mapping, operation.map, bytes);
    return true;
  },
  print: ({ map, range, page, dir }) => [
    `range${range}.unlink(${page * PAGE_SIZE}, ${PAGE_SIZE}, ${dir});`,
    `machine.ram.free([pfn${map}]);`,
  ],
};

/** Gives a range back: with nothing linked, or together with the one page that is linked at its start (`linked`). */
const unreserve: Kind<'unreserve'> = {
  name: 'unreserve',
  generate: (part, random): OperationOf<'unreserve'> | null => {
    const [map, mapping] = pickRange(part, random) ?? [];
    if (mapping === undefined || mapping.links!.size > 1) return null;
    const linked = mapping.links!.get(0) ?? 0;
    if (linked === 0) return mapping.links!.size === 0 ? { op: 'unreserve', map: map! } : null;
    return { op: 'unreserve', map: map!, linked, dir: part.mappings.get(linked)!.direction };
  },
  apply: (part, operation) => {
    const of = part.mappings.get(operation.map);
    const linked = operation.linked ?? 0;
    if (of?.kind !== 'range' || of.links!.size !== (linked === 0 ? 0 : 1)) return false;
    if (linked === 0) of.range!.free();
    else {
      const mapping = part.mappings.get(linked);
      if (mapping?.link?.of !== of || mapping.link.page !== 0) return false;
      const bytes = left(part, mapping);
      of.range!.free(PAGE_SIZE, mapping.direction);
      part.machine.ram.free([mapping.physical / PAGE_SIZE]);
      part.mappings.delete(linked);
      compareLeft(mapping, linked, bytes);
    }
    part.mappings.delete(operation.map);
    return true;
  },
  print: ({ map, linked, dir }) =>
    linked === undefined
      ? [`range${map}.free();`]
      : [`range${map}.free(${PAGE_SIZE}, ${dir});`, `machine.ram.free([pfn${linked}]);`],
};

export const rangeOperations: readonly OperationKind<DmaPart>[] = [reserve, link, unlinkPage, unreserve];
