import type { Direction } from '../../dma/transfer.js';
import { deviceRead, deviceWrite } from '../../iommu/iommu.js';
import { StressFailure } from '../engine/failure.js';
import { type OperationKind, smallerRange } from '../engine/operation.js';
import type { Random } from '../engine/random.js';
import { stamped } from '../world/contents.js';
import { FROM_DEVICE, MAX_BYTES, type Mapping, notCopied, streaming, TO_DEVICE } from './mapping.js';
import type { DmaPart } from './part.js';
import type { Kind, OperationOf } from './types.js';

/** Devices and the CPU use the memory of streaming mappings in turn, and must see each other's bytes. */

/** A random piece of a mapping that a device may read or write: what it does is not forbidden by the direction. */
function pickPiece(part: DmaPart, random: Random, forbidden: Direction): OperationOf<'deviceRead'> | null {
  for (let tries = 0; tries < 8; ++tries) {
    const id = part.mappings.pick(random);
    if (id === undefined) return null;
    const mapping = part.mappings.get(id)!;
    if (!streaming(mapping) || mapping.direction === forbidden) continue;
    const device = part.devices.indexOf(mapping.device);
    return { op: 'deviceRead', map: id, device, ...piece(mapping.length, random) };
  }
  return null;
}

/** The mapping of which an operation names a piece, if it may be read or written. */
function accessed(
  part: DmaPart,
  { map, offset, length }: { map: number; offset: number; length: number },
  forbidden: Direction,
): Mapping | undefined {
  const mapping = part.mappings.get(map);
  if (!mapping || !streaming(mapping) || mapping.direction === forbidden) return undefined;
  return offset + length > mapping.length ? undefined : mapping;
}

/** The device reads what the CPU wrote before mapping. */
const read: Kind<'deviceRead'> = {
  name: 'deviceRead',
  generate: (part, random) => pickPiece(part, random, FROM_DEVICE),
  apply: (part, operation) => {
    const mapping = accessed(part, operation, FROM_DEVICE);
    if (!mapping) return false;
    const { device, address, contents } = mapping;
    const { offset, length } = operation;
    part.world.accessing(() => {
      if (contents.differs(offset, deviceRead(part.machine, device, address + offset, length)) < 0) return;
      throw new StressFailure('contents', 'device', `the device reads other bytes from map${operation.map}`);
    });
    return true;
  },
  print: ({ map: id, device, offset, length }) => [
    `deviceRead(machine, device${device}, map${id} + ${offset}, ${length});`,
  ],
};

/** The device writes: seen by the CPU at the latest after unmapping. */
const write: Kind<'deviceWrite'> = {
  name: 'deviceWrite',
  generate: (part, random) => {
    const picked = pickPiece(part, random, TO_DEVICE);
    return picked && { ...picked, op: 'deviceWrite', stamp: random.u32() };
  },
  apply: (part, operation) => {
    const mapping = accessed(part, operation, TO_DEVICE);
    if (!mapping) return false;
    const { offset, length, stamp } = operation;
    part.world.accessing(() => {
      const bytes = stamped(stamp, length);
      deviceWrite(part.machine, mapping.device, mapping.address + offset, bytes);
      mapping.contents.write(offset, bytes);
      mapping.written = { offset, length };
    });
    return true;
  },
  print: ({ map: id, device, offset, length, stamp }) => [
    `deviceWrite(machine, device${device}, map${id} + ${offset}, stamped(${stamp}, ${length}));`,
  ],
};

/**
 * A sync while the memory is mapped: the driver gives a part of it to the CPU, which reads what the device
 * wrote and writes something itself, and gives it back. A list is handed over whole.
 */
const sync: Kind<'sync'> = {
  name: 'sync',
  generate: (part, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const id = part.mappings.pick(random);
      if (id === undefined) return null;
      const mapping = part.mappings.get(id)!;
      if (mapping.kind !== 'page' && mapping.kind !== 'sg') continue;
      const { direction, kind, written } = mapping;
      // Where the device wrote, so that there is something to be seen; else anywhere.
      const { offset, length } = written && random.oneIn(2) ? written : piece(mapping.length, random);
      const device = part.devices.indexOf(mapping.device);
      const whole = { map: id, device, dir: direction, sg: kind === 'sg' };
      return { op: 'sync', ...whole, offset, length, stamp: random.u32() };
    }
    return null;
  },
  apply: (part, operation) => {
    const mapping = part.mappings.get(operation.map);
    const offset = operation.offset;
    const length = operation.length;
    if (mapping?.kind !== (operation.sg ? 'sg' : 'page') || offset + length > mapping.length) return false;
    const { ram } = part.machine;
    const { device, direction, table, physical, contents } = mapping;
    const address = mapping.address + offset;
    if (table) device.syncSgForCpu(table, direction);
    else device.syncForCpu(address, length, direction);
    const bytes = ram.read(physical + offset, length);
    if (contents.differs(offset, bytes) >= 0 && !notCopied(mapping)) {
      throw new StressFailure('contents', 'sync', `the CPU reads other bytes from map${operation.map} after a sync`);
    }
    if (direction !== FROM_DEVICE) {
      const written = stamped(operation.stamp, length);
      ram.write(physical + offset, written);
      contents.write(offset, written);
    }
    if (table) device.syncSgForDevice(table, direction);
    else device.syncForDevice(address, length, direction);
    if (part.machine.swiotlb !== null) notCopied(mapping);
    return true;
  },
  print: ({ map: id, device, dir, sg, offset, length }) => {
    const what = sg ? `Sg%(table${id}, ${dir})` : `%(map${id} + ${offset}, ${length}, ${dir})`;
    return ['ForCpu', 'ForDevice'].map((to) => `device${device}.sync${what.replace('%', to)};`);
  },
  simpler: smallerRange,
};

/** A random piece of a mapping. */
function piece(size: number, random: Random): { offset: number; length: number } {
  const length = 1 + random.below(Math.min(MAX_BYTES, size));
  return { offset: random.below(size - length + 1), length };
}

export const turnOperations: readonly OperationKind<DmaPart>[] = [read, write, sync];
