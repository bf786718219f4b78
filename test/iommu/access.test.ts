import { describe, expect, test } from 'vitest';
import { CpuRegisters } from '../../src/core/cpu-registers.js';
import {
  DEVICE_BEHIND_IOMMU,
  EBUSY,
  EINVAL,
  ENOMEM,
  FAULT_PAGE_TABLE,
  FORMAT_VTD,
  PAGE_SIZE as PAGE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/core/generated/constants.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_MAPPING_ERROR, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { formatStaleAccesses } from '../../src/iommu/dump.js';
import { deviceRead, deviceWrite } from '../../src/iommu/iommu.js';
import { formatFault } from '../../src/iommu-formats/fault.js';
import { BaseMachine } from '../../src/machine/machine.js';
import { formatFtrace } from '../../src/trace/export/ftrace.js';
import { debug } from '../core/debug.js';

const MiB = 1024 * 1024;
/** Nanoseconds. */
const MS = 1e6;

function setup(options: DomainOptions = {}) {
  const machine = new BaseMachine({ ram: '64MiB' }, new Core(debug));
  const domain = new DmaDomain(machine, options);
  const device = new DmaDevice(machine, { id: 1, sourceId: 0x10, maskBits: 48, domain });
  return { machine, domain, device, exports: machine.core.exports, iommu: machine.iommu };
}

/** A seeded generator (xorshift32) of whole numbers below a bound. */
function random(seed: number): (bound: number) => number {
  let x = seed * 0x9e3779b1;
  return (bound) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % bound;
  };
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('a device accesses memory', () => {
  test('what a CPU wrote is what the device reads, and the other way round, across pages', () => {
    const { machine, device } = setup();
    const [first, second] = machine.ram.alloc(2);
    machine.ram.write(first * PAGE, bytes(1, 2, 3));
    const a = device.mapPage(first, 0, PAGE, DMA_BIDIRECTIONAL);
    expect([...deviceRead(machine, device, a, 4)]).toEqual([1, 2, 3, 0]);
    const list = new Uint32Array([second, first]);
    const at = machine.core.staging(machine.context);
    machine.core.writeWords(at, list);
    expect(
      machine.core.exports.domainMapPfns((device.domain as DmaDomain).handle, 2 ** 30, at, 2, PROT_READ | PROT_WRITE),
    ).toBe(0);
    deviceWrite(machine, device, 2 ** 30 + PAGE - 2, bytes(7, 8, 9, 10));
    expect([...machine.ram.read(second * PAGE + PAGE - 2, 2)]).toEqual([7, 8]);
    expect([...machine.ram.read(first * PAGE, 3)]).toEqual([9, 10, 3]);
    machine.check();
  });

  test('every fault has the reason of the specification, source, address and direction', () => {
    const { machine, domain, device, iommu, exports } = setup({ writeImpliesRead: false });
    const [pfn] = machine.ram.alloc(1);
    const readable = device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    const writable = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    const other = new DmaDevice(machine, { id: 2, sourceId: 0x0318, domain });
    const stray = new DmaDevice(machine, { id: 3, sourceId: 0x0400 });
    exports.deviceSetFlags(stray.handle, DEVICE_BEHIND_IOMMU, 0);
    other.detach();
    const blocked = (act: () => void): void => {
      expect(act).toThrow(expect.objectContaining({ code: 'EFAULT', reason: 'IOMMU_FAULT' }));
    };
    machine.clock.advance(5);
    blocked(() => deviceWrite(machine, device, readable + 8, bytes(1)));
    blocked(() => deviceRead(machine, device, writable, 1));
    blocked(() => deviceRead(machine, device, 0x12345678, 1));
    blocked(() => deviceRead(machine, device, 2 ** 48, 1));
    blocked(() => deviceRead(machine, other, readable, 1));
    blocked(() => deviceWrite(machine, stray, 0, bytes(1)));
    const { id } = { id: machine.core.tools.domainId(domain.handle) };
    expect(
      iommu
        .faults()
        .map(({ reason, sourceId, device, address, write, domain }) => [
          reason,
          sourceId,
          device,
          address,
          write,
          domain,
        ]),
    ).toEqual([
      [5, 0x10, 1, readable + 8, true, id],
      [6, 0x10, 1, writable, false, id],
      [6, 0x10, 1, 0x12345678, false, id],
      [4, 0x10, 1, 2 ** 48, false, id],
      [2, 0x318, 2, readable, false, 0],
      [1, 0x400, 3, 0, true, 0],
    ]);
    expect(iommu.faults()[0].time).toBe(5 * MS);
    expect(formatFault(iommu.faults()[2])).toBe(
      'DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x12345000 [fault reason 0x06] PTE Read access is not set',
    );
    expect(iommu.stats.faults).toBe(6);
    iommu.clearLog();
    expect(iommu.faults()).toEqual([]);
    expect(iommu.stats.faults).toBe(6);
    machine.check();
  });

  test('an access at DMA_MAPPING_ERROR is told with all bits of the address', () => {
    const told = (['vtd', 'amdv1'] as const).map((format) => {
      const machine = new BaseMachine({ ram: '64MiB', iommu: { format } }, new Core(debug));
      const device = machine.addDevice({ maskBits: 64 });
      machine.events.start();
      expect(() => deviceRead(machine, device, DMA_MAPPING_ERROR, 1)).toThrow(
        expect.objectContaining({ code: 'EFAULT', reason: 'IOMMU_FAULT' }),
      );
      const [fault] = machine.iommu.faults();
      const events = machine.events.drain();
      expect([fault.address, events.map((event) => event.kind === 'dmar_fault' && event.address)]).toEqual([
        ...[DMA_MAPPING_ERROR, [DMA_MAPPING_ERROR]],
      ]);
      return [formatFault(fault), formatFtrace(events)].join('\n');
    });
    expect(told[0]).toContain('fault addr 0xfffffffffffff000 [fault reason 0x04]');
    expect(told[0]).toContain('iova=0xffffffffffffffff flags=0x0000');
    expect(told[1]).toContain('address=0xffffffffffffffff flags');
  });

  test('the log keeps the oldest records and counts the others', () => {
    const { machine, device, iommu } = setup();
    for (let i = 0; i < 1030; ++i) expect(() => deviceRead(machine, device, i * PAGE, 1)).toThrow();
    expect(iommu.faults().length).toBe(1024);
    expect(iommu.faults()[1023].address).toBe(1023 * PAGE);
    expect(iommu.stats).toMatchObject({ faults: 1030, logLost: 6 });
  });

  test('a device that no IOMMU serves and one that passes through see physical addresses', () => {
    const { machine, iommu } = setup();
    const plain = new DmaDevice(machine, { id: 2 });
    const passing = new DmaDevice(machine, { id: 3, domain: 'passthrough' });
    const [pfn] = machine.ram.alloc(1);
    machine.ram.write(pfn * PAGE, bytes(5));
    expect(deviceRead(machine, plain, pfn * PAGE, 1)[0]).toBe(5);
    expect(deviceRead(machine, passing, pfn * PAGE, 1)[0]).toBe(5);
    expect(() => deviceRead(machine, passing, 2 ** 40, 1)).toThrow(expect.objectContaining({ reason: 'IOMMU_NO_RAM' }));
    expect(iommu.faults()).toEqual([]);
    passing.destroy();
    machine.check();
  });

  test('two devices cannot have one requester id', () => {
    const { machine, domain } = setup();
    const twin = new DmaDevice(machine, { id: 2, sourceId: 0x10 });
    expect(() => twin.attach(domain)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    machine.check();
  });

  test('devices of one domain share its mappings, others do not see them', () => {
    const { machine, domain, device } = setup();
    const twin = new DmaDevice(machine, { id: 3, domain });
    const alone = new DmaDevice(machine, { id: 4, domain: new DmaDomain(machine) });
    const [pfn] = machine.ram.alloc(1);
    const address = device.mapPage(pfn, 0, PAGE, DMA_BIDIRECTIONAL);
    deviceWrite(machine, device, address, bytes(9));
    expect(deviceRead(machine, twin, address, 1)[0]).toBe(9);
    expect(() => deviceRead(machine, alone, address, 1)).toThrow();
    machine.check();
  });
});

describe('the IOTLB', () => {
  test('counts hits and misses, serves large pages from one entry, and drops what a page-selective flush covers', () => {
    const { machine, device, domain, iommu, exports } = setup();
    exports.domainMap(domain.handle, 64 * MiB, 16 * MiB, 2 * MiB, PROT_READ | PROT_WRITE);
    exports.domainMap(domain.handle, 128 * MiB, 16 * MiB + PAGE, 8 * PAGE, PROT_READ | PROT_WRITE);
    for (let i = 0; i < 8; ++i) deviceRead(machine, device, 64 * MiB + i * 5 * PAGE, 8);
    expect(iommu.iotlb).toMatchObject({ entries: 1, hits: 7, misses: 1 });
    for (let i = 0; i < 8; ++i) deviceRead(machine, device, 128 * MiB + i * PAGE, 8);
    expect(iommu.iotlb).toMatchObject({ entries: 9, hits: 7, misses: 9 });
    machine.check();
    // Pages 3 and 4 lie in one aligned group of eight: that is what the address mask can name.
    exports.domainFlushPages(domain.handle, 128 * MiB + 3 * PAGE, 2 * PAGE);
    expect(iommu.iotlb).toMatchObject({ entries: 1, invalidations: { page: 1, domain: 0, global: 0, dropped: 8 } });
    exports.domainFlushPages(domain.handle, 64 * MiB + 7 * PAGE, PAGE);
    expect(iommu.iotlb).toMatchObject({ entries: 0, invalidations: { page: 2, dropped: 9 } });
    deviceRead(machine, device, 128 * MiB, 8);
    exports.domainFlushPages(domain.handle, 0, 2 ** 31);
    expect(iommu.iotlb.invalidations, '2^19 pages are beyond the mask').toMatchObject({
      page: 2,
      domain: 1,
      dropped: 10,
    });
    deviceRead(machine, device, 128 * MiB, 8);
    iommu.flushAll();
    expect(iommu.iotlb).toMatchObject({ entries: 0, invalidations: { global: 1, dropped: 11 } });
    machine.check();
  });

  test('a set replaces the entry that was used least recently', () => {
    const core = new Core(debug);
    const machine = new BaseMachine({ ram: '64MiB' }, core);
    expect(core.exports.iommuCreate(machine.context, 1, 2, 16, FORMAT_VTD)).toBeGreaterThan(0);
    const domain = new DmaDomain(machine);
    const device = new DmaDevice(machine, { domain, maskBits: 48 });
    core.exports.domainMap(domain.handle, 0x10000, 0x400000, 4 * PAGE, PROT_READ | PROT_WRITE);
    const touch = (page: number): boolean => {
      const { hits } = machine.iommu.iotlb;
      deviceRead(machine, device, 0x10000 + page * PAGE, 1);
      return machine.iommu.iotlb.hits > hits;
    };
    expect([0, 1, 0, 2, 0, 1, 2].map(touch)).toEqual([false, false, true, false, true, false, false]);
    expect(machine.iommu.iotlb).toMatchObject({ sets: 1, ways: 2, entries: 2, evictions: 3 });
    machine.check();
  });

  test('a cached translation that forbids the access is looked up again', () => {
    const { machine, device, domain, exports, iommu } = setup({ writeImpliesRead: false });
    exports.domainMap(domain.handle, MiB, 4 * MiB, PAGE, PROT_READ);
    deviceRead(machine, device, MiB, 1);
    expect(() => deviceWrite(machine, device, MiB, bytes(1))).toThrow();
    expect(iommu.iotlb).toMatchObject({ entries: 0 });
    expect(iommu.faults()[0].reason).toBe(5);
  });
});

describe('unmapped but cached', () => {
  test('strict: the very next access faults', () => {
    const { machine, device, iommu } = setup({ mode: 'strict' });
    const [pfn] = machine.ram.alloc(1);
    const address = device.mapPage(pfn, 0, PAGE, DMA_BIDIRECTIONAL);
    deviceWrite(machine, device, address, bytes(1));
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    expect(() => deviceWrite(machine, device, address, bytes(2))).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    expect(iommu.staleAccesses()).toEqual([]);
    expect(machine.ram.read(pfn * PAGE, 1)[0]).toBe(1);
    machine.check();
  });

  test('lazy: it goes through until the flush, onto whoever has the frame now, and is recorded with its age', () => {
    const { machine, device, domain, iommu } = setup({ mode: 'lazy' });
    const pfns = machine.ram.alloc(2);
    const [pfn] = pfns;
    const address = device.mapPage(pfn, 0, PAGE, DMA_BIDIRECTIONAL);
    const untouched = device.mapPage(pfns[1], 0, PAGE, DMA_BIDIRECTIONAL);
    deviceWrite(machine, device, address, bytes(1));
    machine.clock.advance(3);
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    device.unmapPage(untouched, PAGE, DMA_BIDIRECTIONAL);
    machine.ram.free([pfn]);
    const [again] = machine.ram.alloc(1);
    expect(again, 'the frame has a new owner').toBe(pfn);
    machine.clock.advance(2);
    deviceWrite(machine, device, address + 16, bytes(66));
    expect(machine.ram.read(again * PAGE + 16, 1)[0]).toBe(66);
    machine.clock.advance(0.001);
    deviceRead(machine, device, address, 4);
    expect(() => deviceRead(machine, device, untouched, 1), 'what was never cached faults at once').toThrow();
    expect(
      iommu.staleAccesses().map(({ address: at, age, write, device, domain }) => ({ at, age, write, device, domain })),
    ).toEqual([
      { at: address + 16, age: 2 * MS, write: true, device: 1, domain: machine.core.tools.domainId(domain.handle) },
      { at: address, age: 2 * MS + 1000, write: false, device: 1, domain: machine.core.tools.domainId(domain.handle) },
    ]);
    expect(iommu.stats.staleAccesses).toEqual({ count: 2, meanAge: 2 * MS + 500, maxAge: 2 * MS + 1000 });
    expect(iommu.iotlb.staleHits).toBe(2);
    expect(formatStaleAccesses(iommu.staleAccesses())).toBe(
      [
        `5 ms: device [00:02.0] wrote 0x${(address + 16).toString(16)} 2 ms after it was unmapped`,
        `5.001 ms: device [00:02.0] read 0x${address.toString(16)} 2.001 ms after it was unmapped`,
        '2 stale accesses, the longest window 2.001 ms',
      ].join('\n'),
    );
    machine.check();
    machine.clock.advance(10);
    expect(() => deviceRead(machine, device, address, 4)).toThrow();
    expect(iommu.staleAccesses().length).toBe(2);
    machine.check();
  });

  test('the object in the record is the one that was unmapped', () => {
    const { machine, domain, device, iommu, exports } = setup({ mode: 'lazy' });
    const registers = new CpuRegisters(machine.core, machine.context);
    const attribute = (object: number): void => registers.set(object, 0, 0);
    exports.domainMap(domain.handle, MiB, 4 * MiB, 3 * PAGE, PROT_READ | PROT_WRITE);
    deviceRead(machine, device, MiB, 3 * PAGE);
    attribute(7);
    exports.domainUnmap(domain.handle, MiB, PAGE);
    attribute(8);
    exports.domainUnmap(domain.handle, MiB + PAGE, 2 * PAGE);
    attribute(9);
    deviceRead(machine, device, MiB, 3 * PAGE);
    expect(iommu.staleAccesses().map(({ object }) => object)).toEqual([7, 8, 8]);
  });

  test('a large leaf: unmapping any part of it makes its entry stale', () => {
    const { machine, domain, device, iommu, exports } = setup({ mode: 'lazy' });
    exports.domainMap(domain.handle, 4 * MiB, 8 * MiB, 2 * MiB, PROT_READ | PROT_WRITE);
    deviceRead(machine, device, 5 * MiB, 1);
    expect(exports.domainUnmap(domain.handle, 4 * MiB, PAGE)).toBe(2 * MiB);
    deviceRead(machine, device, 5 * MiB + 7, 1);
    expect(iommu.staleAccesses().length).toBe(1);
    machine.check();
  });
});

describe('random maps, unmaps, flushes and accesses', () => {
  test.each([1, 2, 3, 4, 5])('seed %i: what comes out is the mapping, or a stale one that is recorded', (seed) => {
    const pick = random(seed);
    const { machine, domain, device, exports, iommu } = setup({ mode: 'lazy' });
    const base = 512 * MiB;
    const pages = 2048;
    // For each page the frame that it leads to, and the frames that it led to since the last flush.
    const now = new Map<number, number>();
    const before = new Map<number, Set<number>>();
    let hits = 0;
    for (let step = 0; step < 4000; ++step) {
      const large = pick(8) === 0;
      const page = large ? pick(pages / 512) * 512 : pick(32) * 8 + pick(3);
      const count = large ? 512 : 1 + pick(4);
      const range = Array.from({ length: count }, (_, i) => page + i);
      const at = `seed ${seed}, step ${step}`;
      const kind = pick(20);
      if (kind < 4 && range.every((each) => !now.has(each))) {
        const frame = large ? pick(16) * 512 : pick(8192);
        expect(
          exports.domainMap(domain.handle, base + page * PAGE, frame * PAGE, count * PAGE, PROT_READ | PROT_WRITE),
          at,
        ).toBe(0);
        for (const each of range) now.set(each, frame + each - page);
      } else if (kind < 8) {
        // Leaves go whole: the pages beside a small range within one are unmapped with it.
        const leaf = iommu.leaves(domain, base + page * PAGE, PAGE)[0];
        const [from, bytes] = leaf.level === 2 ? [page - (page % 512), 512] : [page, leaf.level === 0 ? 0 : 1];
        if (bytes === 0) continue;
        exports.domainUnmap(domain.handle, base + from * PAGE, bytes * PAGE);
        for (let each = from; each < from + bytes; ++each) {
          const frame = now.get(each)!;
          if (!before.has(each)) before.set(each, new Set());
          before.get(each)!.add(frame);
          now.delete(each);
        }
      } else if (kind < 9 && pick(4) === 0) {
        if (pick(2) === 0) exports.iotlbFlushDomain(domain.handle);
        else iommu.flushAll();
        before.clear();
      } else {
        const stale = iommu.stats.staleAccesses.count;
        const phys = exports.deviceTranslate(device.handle, base + page * PAGE + 5, pick(2) === 0);
        const frame = (phys - 5) / PAGE;
        if (iommu.stats.staleAccesses.count > stale) {
          ++hits;
          expect(before.get(page), at).toContain(frame);
        } else expect(phys, at).toBe(now.has(page) ? now.get(page)! * PAGE + 5 : -1);
      }
      if (step % 100 === 0) machine.check();
    }
    expect(hits).toBeGreaterThan(10);
    expect(iommu.iotlb.hits).toBeGreaterThan(100);
    machine.check();
  });
});

test('contexts: attaching fails whole without memory for a table, twice or with a number that cannot be', () => {
  const { machine, exports } = setup();
  const { handle: tables } = new DmaDomain(machine);
  const far = made(exports.deviceCreate(machine.context, 9, 0x0700));
  const before = machine.core.tools.machineRecords(machine.context);
  exports.faultArm(machine.context, FAULT_PAGE_TABLE, 1);
  expect(exports.attachDevice(far, tables)).toBe(ENOMEM);
  expect(machine.core.tools.machineRecords(machine.context)).toBe(before);
  machine.check();
  expect(exports.attachDevice(far, tables)).toBe(0);
  expect(exports.attachDevice(far, tables)).toBe(EBUSY);
  expect(exports.domainDestroy(tables), 'a device is attached').toBe(0);
  exports.detachDevice(far);
  expect(exports.domainDestroy(tables)).toBe(1);
  expect(exports.attachDevice(made(exports.deviceCreate(machine.context, 10, 0x10000)), tables)).toBe(EINVAL);
  machine.check();
});

test('a dump shows tables level by level', () => {
  const { machine, domain, iommu } = setup();
  machine.core.exports.domainMap(domain.handle, 2 * MiB, 4 * MiB, 4 * MiB + PAGE, PROT_READ | PROT_WRITE);
  const text = iommu
    .dump(domain)
    .replace(/-> 0x[0-9a-f]+/g, '-> table')
    .split('\n');
  expect(text.slice(1)).toEqual([
    '4 0x0000000000000 -> table',
    ' 3 0x0000000000000 -> table',
    '  2 0x0000000200000 = 0x400000 rw 2 MiB x 2',
    '  2 0x0000000600000 -> table',
    '   1 0x0000000600000 = 0x800000 rw 4 KiB',
    '1025 pages of 4 KiB mapped',
  ]);
  expect(text[0]).toMatch(/^domain \d+: 4 levels, 4 table pages$/);
  expect(iommu.leaves(domain, 0, 8 * MiB).map(({ level, run }) => [level, run])).toEqual([
    [0, 512],
    [2, 2],
    [1, 1],
    [0, 511],
  ]);
  expect(iommu.iovaToPhys(domain, 3 * MiB + 5)).toBe(5 * MiB + 5);
  expect(iommu.iovaToPhys(domain, MiB)).toBeNull();
});
