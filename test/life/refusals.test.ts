import { describe, expect, test } from 'vitest';
import { DMA_TO_DEVICE, PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { CoherentBuffer } from '../../src/dma/coherent.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_MAPPING_ERROR } from '../../src/dma/transfer.js';
import { deviceRead, deviceWrite } from '../../src/iommu/iommu.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import type { MachineOptions } from '../../src/machine/config.js';
import { Machine } from '../../src/machine-drivers/machine.js';
import { tracked } from './state.js';

/** Small inputs that once corrupted a machine, hung or were accepted in silence: refused, and nothing has changed. */

const BI = 0;

function rig(options: MachineOptions = {}) {
  const machine = new Machine({ ram: '64MiB', ...options });
  return { machine, device: machine.addDevice() };
}

const stale = expect.objectContaining({ code: 'ESTALE', reason: 'OBJECT_RESTORED_AWAY' });
const gone = expect.objectContaining({ code: 'ENODEV', reason: 'OBJECT_DESTROYED' });
const foreign = expect.objectContaining({ code: 'EXDEV', reason: 'OTHER_MACHINE' });

describe('after a restore', () => {
  test('a table that was made since is dead: its dispose does nothing, its other methods throw', () => {
    const { machine } = rig();
    const snapshot = machine.snapshot();
    const a = ScatterTable.allocate(machine, 4);
    machine.restore(snapshot);
    const b = ScatterTable.allocate(machine, 4);
    a[Symbol.dispose]();
    expect(() => a.release()).toThrow(stale);
    expect(() => a.pfns()).toThrow(stale);
    const c = ScatterTable.allocate(machine, 4);
    expect(new Set([...b.pfns(), ...c.pfns()]).size).toBe(8);
    machine.check();
  });

  test('what was destroyed since is good again, held or not', () => {
    const { machine, device } = rig();
    const table = ScatterTable.allocate(machine, 4);
    const buffer = device.allocCoherent(PAGE);
    const domain = new DmaDomain(machine);
    const other = new DmaDevice(machine, { id: 9, domain });
    const iova = new IovaDomain(machine);
    const snapshot = machine.snapshot();
    for (let round = 0; round < 3; ++round) {
      table.release();
      buffer.free();
      device.destroy();
      other.detach();
      other.destroy();
      domain.destroy();
      iova.destroy();
      expect([table, buffer, device, other, domain, iova].map(({ alive }) => alive)).not.toContain(true);
      expect(machine.devices).toEqual([]);
      machine.restore(snapshot);
      expect([table, buffer, device, other, domain, iova].map(({ alive }) => alive)).not.toContain(false);
      expect(machine.devices).toEqual([device]);
      expect(other.domain).toBe(domain);
      expect(other.mapSg(table, BI)).toBe(1);
      other.unmapSg(table, BI);
      device.freeCoherent(buffer);
      expect(iova.alloc(1)).toBeGreaterThan(0);
      machine.check();
      machine.restore(snapshot);
    }
  });

  test('going back and forth between snapshots: what lives in each', () => {
    const { machine } = rig();
    const first = machine.snapshot();
    const a = ScatterTable.allocate(machine, 1);
    const second = machine.snapshot();
    a.release();
    const b = ScatterTable.allocate(machine, 1);
    const third = machine.snapshot();
    const alive = (): boolean[] => [a.alive, b.alive];
    expect(alive()).toEqual([false, true]);
    machine.restore(second);
    expect(alive()).toEqual([true, false]);
    a.release();
    machine.restore(third);
    expect(alive()).toEqual([false, true]);
    machine.restore(first);
    expect(alive()).toEqual([false, false]);
    const c = ScatterTable.allocate(machine, 1);
    machine.restore(second);
    expect([...alive(), c.alive]).toEqual([true, false, false]);
    machine.restore(third);
    expect([...alive(), c.alive]).toEqual([false, true, false]);
    expect(() => a.bytes).toThrow(gone);
    expect(() => c.bytes).toThrow(stale);
  });
});

describe('a dead device', () => {
  test('is refused everywhere, and no one elses memory is written', () => {
    const { machine, device } = rig();
    const table = ScatterTable.allocate(machine, 1);
    const [pfn] = machine.ram.alloc(1);
    const range = device.allocIova(PAGE);
    device.destroy();
    device.destroy();
    device[Symbol.dispose]();
    tracked(machine, () => {
      for (const call of [
        () => device.setMask(64),
        () => device.setSegments(4096),
        () => device.attach('passthrough'),
        () => device.detach(),
        () => device.counts,
        () => device.limits,
        () => device.reason,
        () => device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE),
        () => device.unmapPage(PAGE, PAGE, DMA_TO_DEVICE),
        () => device.mapSg(table, DMA_TO_DEVICE),
        () => device.allocCoherent(1),
        () => device.allocIova(1),
        () => range.link(0, pfn * PAGE, PAGE, DMA_TO_DEVICE),
        () => range.free(),
        () => deviceRead(machine, device, 0, 1),
        () => deviceWrite(machine, device, 0, new Uint8Array(1)),
        () => machine.dmaDebug.driverUnbound(device),
        () => machine.addDevice({ domain: device }),
      ]) {
        expect(call, String(call)).toThrow(gone);
      }
    });
    machine.check();
  });

  test('leaves no domain behind, however often', () => {
    const { machine } = rig();
    machine.addDevice().destroy();
    const before = machine.iommu.stats.domains;
    for (let i = 0; i < 4000; ++i) machine.addDevice().destroy();
    expect(machine.iommu.stats.domains).toBe(before);
    expect(machine.iommu.stats.domains).toBe(1);
    machine.check();
  });

  test('its slot is used again once all were given out', () => {
    const { machine } = rig({ ram: '4MiB', iommu: 'off', swiotlb: false, dmaDebug: false });
    const first = machine.addDevice();
    const devices = Array.from({ length: 8187 }, () => machine.addDevice());
    expect(machine.addDevice().name).not.toBe(first.name);
    expect(() => machine.addDevice()).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    devices[17].destroy();
    expect(machine.addDevice().name).toBe(devices[17].name);
  });

  test('the domain that two devices share goes with the last of them', () => {
    const machine = new Machine({ ram: '64MiB' });
    const one = machine.addDevice();
    const other = machine.addDevice({ domain: one });
    const { domain } = one;
    one.destroy();
    expect(domain).toMatchObject({ alive: true });
    other.destroy();
    expect(domain).toMatchObject({ alive: false });
    expect(machine.iommu.stats.domains).toBe(0);
  });
});

describe('objects that are none, or are not of this machine', () => {
  test('tables', () => {
    const { machine, device } = rig();
    const table = ScatterTable.allocate(machine, 2);
    tracked(machine, () => {
      for (const made of [
        { handle: 1e9 },
        {},
        { ...table },
        Object.create(ScatterTable.prototype),
        Object.assign(Object.create(ScatterTable.prototype), table),
        Object.create(table),
        null,
        undefined,
        5,
        'table',
      ]) {
        expect(() => device.mapSg(made, DMA_TO_DEVICE), String(made)).toThrow(TypeError);
        expect(() => device.unmapSg(made, DMA_TO_DEVICE)).toThrow(TypeError);
        expect(() => device.mapSgTable(made, DMA_TO_DEVICE)).toThrow(TypeError);
        expect(() => device.syncSgForCpu(made, DMA_TO_DEVICE)).toThrow(TypeError);
        expect(() => device.freeCoherent(made)).toThrow(TypeError);
      }
    });
    const foreignTable = ScatterTable.allocate(new Machine({ ram: '16MiB' }), 1);
    tracked(machine, () => expect(() => device.mapSg(foreignTable, DMA_TO_DEVICE)).toThrow(foreign));
  });

  test('devices and domains', () => {
    const { machine, device } = rig();
    const { machine: another, device: stranger } = rig();
    const theirs = stranger.domain as DmaDomain;
    const loose = new DmaDevice(machine, { id: 7 });
    tracked(machine, () => {
      expect(() => loose.attach(theirs)).toThrow(foreign);
      expect(() => theirs.attach(loose)).toThrow(foreign);
      expect(() => new DmaDevice(machine, { id: 8, domain: theirs })).toThrow(foreign);
      expect(() => machine.addDevice({ domain: stranger })).toThrow(foreign);
      expect(() => deviceRead(machine, stranger, 0, 1)).toThrow(foreign);
      expect(() => machine.iommu.dump(theirs)).toThrow(foreign);
      expect(() => machine.dmaDebug.driverUnbound(stranger)).toThrow(foreign);
      expect(() => machine.restore(another.snapshot())).toThrow(foreign);
      for (const made of [{}, { handle: 4096 }, { ...device }, null, 3] as never[]) {
        expect(() => loose.attach(made)).toThrow(TypeError);
        expect(() => deviceRead(machine, made, 0, 1)).toThrow(TypeError);
        expect(() => machine.iommu.tables(made)).toThrow(TypeError);
        expect(() => machine.dmaDebug.driverUnbound(made)).toThrow(TypeError);
        expect(() => machine.addDevice({ domain: made ?? ({} as never) })).toThrow(TypeError);
        expect(() => machine.restore(made)).toThrow(TypeError);
        expect(() => ScatterTable.allocate(made, 1)).toThrow(TypeError);
        expect(() => new IovaDomain(made)).toThrow(TypeError);
        expect(() => new DmaDomain(made)).toThrow(TypeError);
        expect(() => new DmaDevice(made)).toThrow(TypeError);
      }
    });
  });

  test('the table of a coherent buffer is freed with the buffer, and by nobody else', () => {
    const { machine, device } = rig();
    const buffer = device.allocCoherent(PAGE);
    expect(() => buffer.table.release()).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    buffer.table[Symbol.dispose]();
    expect(buffer.alive).toBe(true);
    buffer.free();
    buffer.free();
    expect(() => device.freeCoherent(buffer)).toThrow(gone);
    expect(buffer).toBeInstanceOf(CoherentBuffer);
    machine.check();
  });
});

describe('arguments before effects', () => {
  test('physical addresses and blocks that cannot be', () => {
    const { machine, device } = rig();
    const block = machine.ram.allocBlock(3);
    const single = machine.ram.alloc(2);
    tracked(machine, () => {
      expect(() => device.mapResource(2 ** 52, PAGE, BI)).toThrow(RangeError);
      expect(() => device.mapResource(2 ** 52 - PAGE, 2 * PAGE, BI)).toThrow(RangeError);
      for (const order of [2 ** 32, -1, 11, 1.5, Number.NaN, '0' as never]) {
        expect(() => machine.ram.freeBlock(block, order), String(order)).toThrow(/ERR_|order/);
        expect(() => machine.ram.allocBlock(order)).toThrow(/ERR_|order/);
      }
      expect(() => machine.ram.freeBlock(block + 1, 1)).toThrow(/EINVAL/);
      expect(() => machine.ram.freeBlock(2 ** 31, 1)).toThrow(/EINVAL/);
      for (const pfns of [[single[0], single[0]], [single[0], single[1], 0x3fff], [5], [0xd0000], [2 ** 31]]) {
        expect(() => machine.ram.free(pfns), String(pfns)).toThrow(/EINVAL/);
      }
      for (const pfns of [[-1], [1.5], ['1'], [Number.NaN], null, 5, {}] as never[]) {
        expect(() => machine.ram.free(pfns), String(pfns)).toThrow(/pfns/);
      }
    });
    machine.ram.free(single);
    machine.ram.freeBlock(block, 3);
    machine.check();
  });

  test("frames that are the machine's own are not freed", () => {
    const { machine } = rig({ iommu: 'off', swiotlb: '1MiB' });
    const first = machine.swiotlb!.stats.start / PAGE;
    tracked(machine, () => {
      expect(() => machine.ram.free([first])).toThrow(/EBUSY/);
      expect(() => machine.ram.freeBlock(first - (first % 2), 1)).toThrow(/EBUSY/);
    });
  });

  test('constructors that fail leave no device, domain or record', () => {
    const { machine } = rig();
    machine.addI915().remove();
    const { devices } = machine;
    const count = devices.length;
    tracked(machine, () => {
      for (const options of [{ gen: 99 }, { gen: '8' }, { nope: 1 }, { policy: 5 }] as never[]) {
        expect(() => machine.addI915(options)).toThrow(/gen|nope|policy/);
      }
      for (const options of [
        { maskBits: 99 },
        { mask: 1 },
        { sourceId: -1 },
        { name: 5 },
        { forceBounce: 1 },
      ] as never[]) {
        expect(() => machine.addDevice(options)).toThrow(/maskBits|mask|sourceId|name|forceBounce/);
      }
      expect(() => machine.addDevice({ sourceId: 0x10 })).toThrow(/EBUSY/);
      for (const options of [
        { maxSegment: -1 },
        { maxSegment: 5 },
        { offset: 4096 },
        { size: 0 },
        { align: 1 },
      ] as never[]) {
        expect(() => ScatterTable.fromPages(machine, [1, 2], options)).toThrow(/maxSegment|entries|offset|size|align/);
      }
      expect(() => ScatterTable.fromPages(machine, [1, -2])).toThrow(RangeError);
      expect(() => ScatterTable.fromPages(machine, { length: 2 })).toThrow(TypeError);
      for (const options of [{ levels: 9 }, { width: 64 }, { allocator: 'best' }, { reserved: [[5, 1]] }] as never[]) {
        expect(() => new DmaDomain(machine, options)).toThrow(/levels|width|allocator|last/);
      }
      for (const options of [
        { allocator: 'toString' },
        { granule: 5000 },
        { granule: 6144 },
        { startpfn: 1 },
      ] as never[]) {
        expect(() => new IovaDomain(machine, options)).toThrow(/allocator|granule|startpfn/);
      }
    });
    expect(devices.length).toBe(count);
  });

  test('a domain that attaches a device tells it, and lets go of it', () => {
    const { machine } = rig();
    const domain = new DmaDomain(machine);
    const device = new DmaDevice(machine, { id: 5 });
    domain.attach(device);
    expect(device.domain).toBe(domain);
    expect(() => domain.attach(device)).toThrow(/EEXIST/);
    expect(() => device.attach('passthrough')).toThrow(/EEXIST/);
    expect(() => domain.destroy()).toThrow(/EBUSY/);
    device.detach();
    domain.destroy();
    domain.destroy();
    expect(() => domain.reserve(1, 2)).toThrow(gone);
    expect(() => domain.iovaStats()).toThrow(gone);
    machine.check();
  });

  test('what was accepted in silence', () => {
    const { machine, device } = rig();
    const [pfn] = machine.ram.alloc(1);
    const table = ScatterTable.allocate(machine, 1);
    tracked(machine, () => {
      for (const dir of ['TO_DEVICE', 1.7, 4, -1, Number.NaN, undefined, null, true, [1]] as never[]) {
        expect(() => device.mapPage(pfn, 0, PAGE, dir), String(dir)).toThrow(/dir/);
        expect(() => device.mapSg(table, dir)).toThrow(/dir/);
        expect(() => device.unmapPage(PAGE, PAGE, dir)).toThrow(/dir/);
        expect(() => device.syncForCpu(PAGE, PAGE, dir)).toThrow(/dir/);
      }
      for (const attrs of [1, 8, 1 << 10, -1, 0.5, '32', null, true] as never[]) {
        expect(() => device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE, attrs), String(attrs)).toThrow(/attrs/);
        expect(() => device.mapSg(table, DMA_TO_DEVICE, attrs)).toThrow(/attrs/);
        expect(() => device.allocCoherent(PAGE, attrs)).toThrow(/attrs/);
      }
      for (const address of [Number.NaN, -2, 0.5, '4096', null, Number.POSITIVE_INFINITY] as never[]) {
        expect(() => device.unmapPage(address, PAGE, DMA_TO_DEVICE), String(address)).toThrow(/address/);
        expect(() => device.syncForDevice(address, PAGE, DMA_TO_DEVICE)).toThrow(/address/);
        expect(() => device.mappingError(address)).toThrow(/address/);
      }
      for (const time of ['10', Number.NaN, -1, null, Number.POSITIVE_INFINITY] as never[]) {
        expect(() => machine.clock.advance(time), String(time)).toThrow(/milliseconds/);
        expect(() => machine.clock.schedule(time, () => {})).toThrow(/delay/);
      }
      expect(() => machine.clock.schedule(1, 'later' as never)).toThrow(/run/);
      expect(() => machine.events.start({ size: 4 } as never)).toThrow(/size/);
      expect(() => machine.dmaDebug.count('NO_SUCH' as never)).toThrow(/id/);
      expect(() => machine.dmaDebug.set({ strict: true } as never)).toThrow(/strict/);
      expect(() => machine.snapshot(5 as never)).toThrow(/held/);
    });
    for (const options of [
      { ram: [] },
      { ram: '64MiB', cpu: 2 },
      { iommu: [] },
      { swiotlb: [] },
      { dmaDebug: [] },
    ] as never[]) {
      expect(() => new Machine(options)).toThrow(TypeError);
    }
    expect(() => new Machine({ ram: '16MiB' }, machine.core)).toThrow(/core/);
  });
});

describe('addresses that a double does not hold', () => {
  const machine = new Machine({ ram: '64MiB', iommu: { levels: 5, reserved: [[0, 0xfffff]] } });
  const device = machine.addDevice({ maskBits: 64 });

  test('are not handed out, with five levels neither', () => {
    const [pfn] = machine.ram.alloc(1);
    const address = device.mapPage(pfn, 0x11, 64, DMA_TO_DEVICE);
    expect(address % PAGE).toBe(0x11);
    expect(Number.isSafeInteger(address + 64)).toBe(true);
    expect(device.mappingError(address)).toBe(false);
    device.unmapPage(address, 64, DMA_TO_DEVICE);
    const last = device.mapPage(5, 0xfff, 1, DMA_TO_DEVICE);
    expect(last % PAGE).toBe(0xfff);
    expect(last).toBeLessThan(2 ** 53);
    expect(device.mappingError(last)).toBe(false);
    device.unmapPage(last, 1, DMA_TO_DEVICE);
    expect(machine.dmaDebug.findings).toEqual([]);
    machine.check();
  });

  test('a domain of more than 53 bits is refused', () => {
    expect(() => new DmaDomain(machine, { levels: 5, width: 57 })).toThrow(RangeError);
    expect(() => new DmaDomain(machine, { levels: 5, width: 53 }).destroy()).not.toThrow();
  });

  test('an access at DMA_MAPPING_ERROR faults', () => {
    const before = machine.iommu.stats.faults;
    expect(() => deviceRead(machine, device, DMA_MAPPING_ERROR, 8)).toThrow(
      expect.objectContaining({ code: 'EFAULT' }),
    );
    expect(() => deviceWrite(machine, device, DMA_MAPPING_ERROR, new Uint8Array(8))).toThrow(/EFAULT/);
    expect(machine.iommu.stats.faults).toBe(before + 2);
    const bare = new Machine({ ram: '16MiB', iommu: 'off', swiotlb: false });
    expect(() => deviceWrite(bare, bare.addDevice(), DMA_MAPPING_ERROR, new Uint8Array(8))).toThrow(/EFAULT/);
  });
});

test('a ring that was full tells at once how many events it missed', () => {
  const { machine, device } = rig({ iommu: 'off', swiotlb: false, dmaDebug: false });
  machine.events.start({ records: 4 });
  const [pfn] = machine.ram.alloc(1);
  for (let i = 0; i < 100; ++i) device.unmapPage(device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE), PAGE, DMA_TO_DEVICE);
  expect(machine.events.drain().length).toBe(4);
  expect(machine.events.dropped).toBe(196);
});

test('coherent memory that a callback keeps from its driver is freed', () => {
  const { machine, device } = rig({ iommu: 'off', swiotlb: false, dmaDebug: { entries: 1 } });
  machine.dmaDebug.onError = () => {
    throw new Error('mine');
  };
  const frames: number[] = [];
  const allocate = (): void => {
    for (let i = 0; i < 1000; ++i) {
      frames.push(machine.ram.stats.inUse);
      device.allocCoherent(PAGE);
    }
  };
  expect(allocate).toThrow('mine'); // The pool of entries has grown.
  expect(machine.ram.stats.inUse).toBe(frames.at(-1));
  machine.check();
});
