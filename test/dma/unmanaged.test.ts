import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import {
  DMA_BIDIRECTIONAL,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  IOMMU_READ,
  IOMMU_WRITE,
  Machine,
  type MachineOptions,
  ScatterTable,
  UnmanagedDomain,
} from '../../src/index.js';

/** The IOMMU API by hand (drivers/iommu/iommu.c): domains without an allocator, groups, reserved regions, fault handlers. */

const BOTH = IOMMU_READ | IOMMU_WRITE;
const MiB = 2 ** 20;
const FORMATS: [string, MachineOptions][] = [
  ['vtd', {}],
  ['amdv1', { iommu: { format: 'amdv1' } }],
];

function machineOf(options: MachineOptions = {}) {
  const machine = new Machine({ ram: '64MiB', dmaDebug: { allErrors: true }, ...options });
  return { machine, device: machine.addDevice({ driver: 'gpu' }) };
}

describe.each(FORMATS)('%s', (format, options) => {
  test('maps, translates and unmaps at addresses of the driver', () => {
    const { machine, device } = machineOf(options);
    const domain = new UnmanagedDomain(machine);
    domain.attach(device);
    expect(domain.devices).toEqual([device]);
    const block = machine.ram.allocBlock(10);
    domain.map(0, block * PAGE, 4 * MiB, BOTH);
    // Two of 2 MiB, as both sides are aligned; AMD has one of 4 MiB.
    const leaves = machine.iommu.leaves(domain, 0, 4 * MiB);
    expect(leaves).toHaveLength(1);
    expect(domain.iovaToPhys(3 * MiB + 5)).toBe(block * PAGE + 3 * MiB + 5);
    deviceWrite(machine, device, 3 * MiB + 5, Uint8Array.of(7, 8));
    expect([...machine.ram.read(block * PAGE + 3 * MiB + 5, 2)]).toEqual([7, 8]);
    expect(domain.unmap(0, 4 * MiB)).toBe(4 * MiB);
    expect(domain.iovaToPhys(0)).toBeNull();
    expect(() => deviceRead(machine, device, 0, 1)).toThrow(expect.objectContaining({ reason: 'IOMMU_FAULT' }));
    expect(machine.iommu.staleAccesses()).toEqual([]);
    machine.check();
  });

  test('refuses what cannot be, and changes nothing', () => {
    const { machine } = machineOf(options);
    const domain = new UnmanagedDomain(machine);
    const misaligned = expect.objectContaining({ code: 'EINVAL', reason: 'IOMMU_MISALIGNED' });
    expect(() => domain.map(1, 0, PAGE, BOTH)).toThrow(misaligned);
    expect(() => domain.map(0, 8, PAGE, BOTH)).toThrow(misaligned);
    expect(() => domain.map(0, 0, 100, BOTH)).toThrow(misaligned);
    expect(() => domain.map(0, 0, PAGE, 64)).toThrow(RangeError);
    expect(() => domain.map(0, -1, PAGE, BOTH)).toThrow(RangeError);
    expect(domain.unmap(1, PAGE)).toBe(0);
    const list = ScatterTable.fromEntries(machine, [
      { pfn: 300, offset: 0, length: PAGE },
      { pfn: 301, offset: 0, length: PAGE },
      { pfn: 400, offset: 8, length: PAGE },
    ]);
    expect(() => domain.mapSg(PAGE, list, BOTH)).toThrow(misaligned);
    expect(domain.iovaToPhys(PAGE)).toBeNull();
    expect(() => new UnmanagedDomain(machine, { levels: 2 as never })).toThrow(RangeError);
    expect(() => new UnmanagedDomain(machine, { pages: 1 } as never)).toThrow(TypeError);
    domain.destroy();
    domain.destroy();
    expect(() => domain.map(0, 0, PAGE, BOTH)).toThrow(expect.objectContaining({ code: 'ENODEV' }));
    machine.check();
  });

  test('iommu_map_sg puts entries side by side', () => {
    const { machine, device } = machineOf(options);
    const domain = new UnmanagedDomain(machine);
    domain.attach(device);
    const list = ScatterTable.fromEntries(machine, [
      { pfn: 300, offset: 0, length: 2 * PAGE },
      { pfn: 302, offset: 0, length: PAGE },
      { pfn: 500, offset: 0, length: PAGE },
    ]);
    expect(domain.mapSg(0x10000, list, IOMMU_READ)).toBe(4 * PAGE);
    expect([0, 1, 2, 3].map((i) => domain.iovaToPhys(0x10000 + i * PAGE)! / PAGE)).toEqual([300, 301, 302, 500]);
    expect(() => deviceWrite(machine, device, 0x10000, Uint8Array.of(1))).toThrow(
      expect.objectContaining({ reason: 'IOMMU_FAULT' }),
    );
    expect(deviceRead(machine, device, 0x10000, 1)).toEqual(Uint8Array.of(0));
  });

  test("while it is attached the DMA API uses the device's own domain", () => {
    const { machine, device } = machineOf(options);
    const before = device.mapPage(300, 0, PAGE, DMA_BIDIRECTIONAL);
    const domain = new UnmanagedDomain(machine);
    domain.attach(device);
    const during = device.mapPage(301, 0, PAGE, DMA_BIDIRECTIONAL);
    expect(during).toBe(before - PAGE);
    expect(() => deviceRead(machine, device, before, 1)).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    expect(() => domain.destroy()).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(() => device.detach()).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(() => new UnmanagedDomain(machine).attach(device)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    machine.check();
    domain.detach(device);
    domain.detach(device);
    expect(deviceRead(machine, device, during, 1)).toEqual(Uint8Array.of(0));
    device.unmapPage(before, PAGE, DMA_BIDIRECTIONAL);
    device.unmapPage(during, PAGE, DMA_BIDIRECTIONAL);
    domain.attach(device);
    device.destroy();
    expect(domain.devices).toEqual([]);
    domain.destroy();
    machine.check();
    expect(machine.dmaDebug.findings.filter(({ check }) => check !== 'UNMAP_UNCHECKED')).toEqual([]);
  });

  test('a group moves together', () => {
    const { machine, device } = machineOf(options);
    const other = machine.addDevice({ domain: device });
    expect(machine.iommu.group(device)).toEqual([device, other]);
    const domain = new UnmanagedDomain(machine);
    const error = expect.objectContaining({ code: 'EINVAL', reason: 'GROUP_NOT_SINGLETON' });
    expect(() => domain.attach(other)).toThrow(error);
    domain.attachGroup(other);
    expect(domain.devices).toEqual([device, other]);
    domain.map(0, 300 * PAGE, PAGE, BOTH);
    for (const one of [device, other]) expect(deviceRead(machine, one, 0, 1)).toEqual(Uint8Array.of(0));
    domain.detach(device);
    expect(domain.devices).toEqual([]);
    machine.check();
  });

  test('a direct region leads to itself, and is never handed out', () => {
    const { machine } = machineOf(options);
    const reservedRegions = [
      { start: 0x200000, length: 3 * PAGE },
      { start: 0xffff0000, length: 0x10000, type: 'reserved' as const },
    ];
    const device = machine.addDevice({ reservedRegions });
    deviceWrite(machine, device, 0x201008, Uint8Array.of(9));
    expect(machine.ram.read(0x201008, 1)[0]).toBe(9);
    expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).toBeLessThan(0xffff0000);
    expect(device.reservedRegions).toEqual([
      { start: 0x200000, length: 3 * PAGE, type: 'direct', prot: BOTH },
      { start: 0xffff0000, length: 0x10000, type: 'reserved', prot: BOTH },
    ]);
    // A second device of the domain finds it mapped.
    machine.addDevice({ domain: device, reservedRegions: [{ start: 0x201000, length: 4 * PAGE }] });
    expect(machine.iommu.iovaToPhys(device.domain as never, 0x204000)).toBe(0x204000);
    expect(machine.iommu.alreadySet()).toEqual([]);
    machine.check();
    for (const bad of [
      { start: 1, length: PAGE },
      { start: 0, length: 0 },
      { start: 0, length: PAGE, type: 'msi' },
      { start: 0, length: PAGE, prot: 0 },
    ]) {
      expect(() => machine.addDevice({ reservedRegions: [bad as never] })).toThrow();
    }
  });

  test('a fault handler: AMD asks it before it prints, Intel does not', () => {
    const { machine, device } = machineOf(options);
    const domain = new UnmanagedDomain(machine);
    domain.attach(device);
    const calls: unknown[] = [];
    let answer = 0;
    domain.setFaultHandler((who, address, access) => {
      calls.push([who.id, address, access]);
      return answer;
    });
    const touch = () => {
      expect(() => deviceWrite(machine, device, 0x5000, Uint8Array.of(1))).toThrow(
        expect.objectContaining({ reason: 'IOMMU_FAULT' }),
      );
      return machine.messages.filter(({ id }) => id === 'FAULT').length;
    };
    const amd = format === 'amdv1';
    expect(touch()).toBe(amd ? 0 : 1);
    answer = -38;
    expect(touch()).toBe(amd ? 1 : 2);
    expect(calls).toEqual(amd ? Array(2).fill([device.id, 0x5000, 'write']) : []);
    domain.setFaultHandler(() => {
      const busy = expect.objectContaining({ code: 'EBUSY' });
      for (const end of [() => machine[Symbol.dispose](), () => machine.snapshot(), () => device.destroy()]) {
        expect(end).toThrow(busy);
      }
      return 0;
    });
    touch();
    if (amd) {
      for (const answer of [async () => 0, () => 'x', () => undefined] as never[]) {
        domain.setFaultHandler(answer);
        expect(() => deviceRead(machine, device, 0x5000, 1)).toThrow(
          expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' }),
        );
      }
      domain.setFaultHandler(() => deviceRead(machine, device, 0x5000, 1)[0]);
      expect(() => deviceRead(machine, device, 0x5000, 1)).toThrow(
        expect.objectContaining({ code: 'EBUSY', reason: 'HOOKS_TOO_DEEP' }),
      );
    }
    domain.setFaultHandler();
    touch();
    expect(calls).toHaveLength(amd ? 2 : 0);
    expect(() => domain.setFaultHandler(5 as never)).toThrow(TypeError);
  });

  test('a snapshot has its mappings and devices', () => {
    const { machine, device } = machineOf(options);
    const domain = new UnmanagedDomain(machine);
    const snapshot = machine.snapshot(domain);
    domain.attach(device);
    domain.map(0, 300 * PAGE, PAGE, BOTH);
    machine.restore(snapshot);
    expect([domain.devices, domain.iovaToPhys(0)]).toEqual([[], null]);
    const address = device.mapPage(300, 0, PAGE, DMA_BIDIRECTIONAL);
    expect(deviceRead(machine, device, address, 1)).toEqual(Uint8Array.of(0));
    machine.check();
  });
});

test('without an IOMMU there is nothing to attach to; passthrough devices can be taken', () => {
  const off = machineOf({ iommu: 'off' });
  expect(() => new UnmanagedDomain(off.machine).attach(off.device)).toThrow(
    expect.objectContaining({ code: 'ENODEV' }),
  );
  const { machine, device } = machineOf({ iommu: 'passthrough' });
  const domain = new UnmanagedDomain(machine);
  domain.attach(device);
  domain.map(0x9000, 300 * PAGE, PAGE, BOTH);
  deviceWrite(machine, device, 0x9000, Uint8Array.of(3));
  expect(machine.ram.read(300 * PAGE, 1)[0]).toBe(3);
  domain.detach(device);
  deviceWrite(machine, device, 300 * PAGE, Uint8Array.of(4));
  expect(machine.ram.read(300 * PAGE, 1)[0]).toBe(4);
  machine.check();
});
