import { deviceRead, deviceWrite } from '../../iommu/iommu.js';
import { stamped } from './contents.js';
import { StressFailure } from './failure.js';
import { arg, type DmaOperation, FROM_DEVICE, MAX_BYTES, notCopied, streaming, TO_DEVICE } from './mappings.js';
import type { Operation } from './operation.js';
import type { Random } from './random.js';

/** Devices and the CPU take turns at the memory of streaming mappings, and time passes. */

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
        if (!streaming(mapping) || mapping.direction === forbidden) continue;
        const { offset, length } = part(mapping.length, random);
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
      if (!mapping || !streaming(mapping) || mapping.direction === forbidden) return false;
      if (offset + length > mapping.length) return false;
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

/**
 * The CPU's turn while the device has the memory: the driver hands a part of it to the CPU, which reads what the device
 * wrote and writes something itself, and gives it back. A list is handed over whole.
 */
const sync: DmaOperation = {
  name: 'sync',
  generate: (world, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const id = world.mappings.pick(random);
      if (id === undefined) return null;
      const mapping = world.mappings.get(id)!;
      if (mapping.kind !== 'page' && mapping.kind !== 'sg') continue;
      const { direction, kind, written } = mapping;
      // Where the device wrote, so that there is something to be seen; else anywhere.
      const { offset, length } = written && random.oneIn(2) ? written : part(mapping.length, random);
      const device = world.devices.indexOf(mapping.device);
      const operation = { op: 'sync', map: id, device, dir: direction, sg: kind === 'sg', offset, length };
      return { ...operation, stamp: random.u32() };
    }
    return null;
  },
  apply: (world, operation) => {
    const mapping = world.mappings.get(arg(operation, 'map'));
    const offset = arg(operation, 'offset');
    const length = arg(operation, 'length');
    if (mapping?.kind !== (operation.sg ? 'sg' : 'page') || offset + length > mapping.length) return false;
    const { ram } = world.machine;
    const { device, direction, table, physical, contents } = mapping;
    const address = mapping.address + offset;
    if (table) device.syncSgForCpu(table, direction);
    else device.syncForCpu(address, length, direction);
    const bytes = ram.read(physical + offset, length);
    if (contents.differs(offset, bytes) >= 0 && !notCopied(mapping)) {
      throw new StressFailure('contents', 'sync', `the CPU reads other bytes from map${operation.map} after a sync`);
    }
    if (direction !== FROM_DEVICE) {
      const written = stamped(arg(operation, 'stamp'), length);
      ram.write(physical + offset, written);
      contents.write(offset, written);
    }
    if (table) device.syncSgForDevice(table, direction);
    else device.syncForDevice(address, length, direction);
    if (world.machine.swiotlb !== null) notCopied(mapping);
    return true;
  },
  print: ({ map: id, device, dir, sg, offset, length }) => {
    const what = sg ? `Sg%(table${id}, ${dir})` : `%(map${id} + ${offset}, ${length}, ${dir})`;
    return ['ForCpu', 'ForDevice'].map((to) => `device${device}.sync${what.replace('%', to)};`);
  },
  simpler: smallerPart,
};

/** A random part of a mapping. */
function part(size: number, random: Random): { offset: number; length: number } {
  const length = 1 + random.below(Math.min(MAX_BYTES, size));
  return { offset: random.below(size - length + 1), length };
}

function* smallerPart(operation: Operation): Iterable<Operation> {
  if (arg(operation, 'length') > 1) yield { ...operation, length: 1 };
  if (arg(operation, 'offset') > 0) yield { ...operation, offset: 0 };
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

export const turnOperations: readonly DmaOperation[] = [
  deviceAccess('deviceRead'),
  deviceAccess('deviceWrite'),
  sync,
  advance,
];
