import { describe, expect, test } from 'vitest';
import { FAULT_DMA_DEBUG, PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { Core } from '../../src/core/instance.js';
import type { DmaDevice } from '../../src/dma/device.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { type Finding, Machine, type MachineOptions } from '../../src/index.js';
import { debug } from '../core/debug.js';

function lab(options: MachineOptions = {}): { machine: Machine; device: DmaDevice } {
  const machine = new Machine({ ram: '32MiB', iommu: 'strict', swiotlb: false, ...options }, new Core(debug));
  return { machine, device: machine.addDevice({ name: 'nic' }) };
}

const said = (machine: Machine): string[] => machine.dmaDebug.findings.map(({ check }) => check);
const ranges = ({ machine }: { machine: Machine }): [number, number][] =>
  [...machine.dmaDebug.entries()]
    .map(({ address, size }): [number, number] => [address, size])
    .sort(([a], [b]) => a - b);

describe('the two-step calls', () => {
  test('links are live mappings of ours, no entries of the kernel', () => {
    const { machine, device } = lab();
    const before = machine.dmaDebug.counters();
    const { maps, unmaps } = device.counts;
    machine.dmaDebug.attributions.set(7, 0, machine.dmaDebug.attributions.hookId('fill_ring'));
    const range = device.allocIova(8 * PAGE);
    expect(machine.dmaDebug.counters()).toMatchObject({ live: before.live });
    for (let i = 0; i < 8; ++i) range.link(i * PAGE, 0x500000 + 3 * i * PAGE, PAGE, DMA_TO_DEVICE);
    expect(machine.dmaDebug.counters()).toMatchObject({
      live: before.live + 8,
      numFreeEntries: before.numFreeEntries,
      minFreeEntries: before.minFreeEntries,
    });
    expect(machine.dmaDebug.report().byObject[0]).toMatchObject({ count: 8, bytes: 8 * PAGE });
    expect([...machine.dmaDebug.entries()][0]).toMatchObject({
      type: 'link',
      direction: 'TO_DEVICE',
      by: { object: 7 },
    });
    range.free(8 * PAGE, DMA_TO_DEVICE);
    expect(machine.dmaDebug.counters()).toEqual({ ...before, inserts: before.inserts + 9 });
    expect(device.counts).toEqual({ maps: maps + 1, unmaps: unmaps + 1, pagesMapped: 8, pagesUnmapped: 8 });
    expect(said(machine)).toEqual([]);
    machine.check();
  });

  test('several links or part of one are unlinked; what is left stays', () => {
    const at = lab();
    const { machine, device } = at;
    const range = device.allocIova(32 * PAGE, 0x500800);
    const base = range.address;
    range.link(0, 0x500800, 7 * PAGE, DMA_BIDIRECTIONAL);
    const rest = 8 * PAGE - 0x800;
    range.link(rest, 0x600000, 8 * PAGE, DMA_BIDIRECTIONAL);
    range.link(rest + 8 * PAGE, 0x700000, PAGE, DMA_BIDIRECTIONAL);
    const start = base - 0x800;
    range.unlink(2 * PAGE - 0x800, PAGE, DMA_BIDIRECTIONAL);
    expect(ranges(at)).toEqual([
      [base, 2 * PAGE - 0x800],
      [start + 3 * PAGE, 5 * PAGE - 0x800 + 0x800 - (PAGE - 0x800)],
      [start + 8 * PAGE, 8 * PAGE],
      [start + 16 * PAGE, PAGE],
    ]);
    range.unlink(6 * PAGE - 0x800, 6 * PAGE, DMA_BIDIRECTIONAL);
    expect(ranges(at)).toEqual([
      [base, 2 * PAGE - 0x800],
      [start + 3 * PAGE, 3 * PAGE],
      [start + 12 * PAGE, 4 * PAGE],
      [start + 16 * PAGE, PAGE],
    ]);
    const entry = [...machine.dmaDebug.entries()].find(({ address }) => address === start + 12 * PAGE);
    expect(entry?.phys).toBe(0x604000);
    machine.check();
    expect(said(machine)).toEqual([]);
    range.unlink(12 * PAGE - 0x800, 5 * PAGE, DMA_BIDIRECTIONAL);
    range.unlink(3 * PAGE - 0x800, 3 * PAGE, DMA_BIDIRECTIONAL);
    range.free(2 * PAGE - 0x800);
    expect(ranges(at)).toEqual([]);
    expect(said(machine)).toEqual([]);
  });

  test('unlinking what is not linked, with the wrong direction, twice', () => {
    const { machine, device } = lab();
    const range = device.allocIova(4 * PAGE);
    range.link(0, 0x500000, 2 * PAGE, DMA_FROM_DEVICE);
    range.unlink(0, 3 * PAGE, DMA_TO_DEVICE);
    range.unlink(0, 2 * PAGE, DMA_FROM_DEVICE);
    range.free();
    expect(() => range.free()).toThrow(expect.objectContaining({ code: 'ENODEV', reason: 'OBJECT_DESTROYED' }));
    // A driver in C has only the address.
    machine.core.exports.dmaIovaDestroy(device.handle, range.address, 0, range.size, DMA_BIDIRECTIONAL, 0);
    machine.dmaDebug.settle();
    expect(machine.dmaDebug.findings.map(({ check, kernel, own }) => [check, kernel, own])).toEqual([
      ['UNMAP_DIR', false, true],
      ['UNMAP_UNKNOWN', false, true],
      ['UNMAP_UNKNOWN', false, true],
      ['UNMAP_UNKNOWN', false, true],
    ]);
    expect(machine.dmaDebug.counters().errorCount).toBe(0);
  });

  test('a link over a live one, and into space that is not reserved any more', () => {
    const { machine, device } = lab();
    const range = device.allocIova(4 * PAGE);
    range.link(PAGE, 0x500000, PAGE, DMA_BIDIRECTIONAL);
    range.link(0, 0x600000, 2 * PAGE, DMA_BIDIRECTIONAL);
    expect(machine.dmaDebug.findings.at(-1)).toMatchObject({
      check: 'LINK_OVERLAP',
      data: { deviceAddress: range.address, size: 2 * PAGE, liveAddress: range.address + PAGE },
    });
    range.free(2 * PAGE);
    const { dmaIovaLink } = machine.core.exports;
    dmaIovaLink(device.handle, range.address, 3 * PAGE, 0x500000, PAGE, DMA_BIDIRECTIONAL, 0);
    machine.dmaDebug.settle();
    expect(said(machine)).toEqual(['LINK_OVERLAP', 'LINK_OUTSIDE']);
    expect(machine.dmaDebug.poll()).toMatchObject({ live: 0, lost: 0 });
  });

  test('space given back with links in it loses them, and their frames are watched on', () => {
    const { machine, device } = lab();
    const [pfn] = machine.ram.alloc(1);
    const range = device.allocIova(4 * PAGE);
    range.link(0, 0x900000, PAGE, DMA_BIDIRECTIONAL);
    range.link(2 * PAGE, pfn * PAGE, PAGE, DMA_BIDIRECTIONAL);
    range.free(PAGE);
    expect(machine.dmaDebug.findings.at(-1)).toMatchObject({
      check: 'LINKS_LEFT',
      data: { deviceAddress: range.address, size: 4 * PAGE, links: 1 },
    });
    expect(machine.dmaDebug.poll()).toEqual({ disabled: false, live: 1, lost: 1, lostIovaBytes: PAGE });
    machine.ram.free([pfn]);
    expect(machine.dmaDebug.findings.at(-1)).toMatchObject({
      check: 'FREED_WHILE_MAPPED',
      data: { address: pfn * PAGE, liveAddress: range.address + 2 * PAGE },
    });
    machine.check();
  });

  test('a driver that leaves space and links behind', () => {
    const { machine, device } = lab();
    const range = device.allocIova(4 * PAGE);
    range.link(0, 0x500000, PAGE, DMA_BIDIRECTIONAL);
    device.allocIova(2 * PAGE);
    device.mapPage(0x600, 0, PAGE, DMA_TO_DEVICE);
    expect(machine.dmaDebug.driverUnbound(device)).toBe(2);
    expect(machine.dmaDebug.findings.map(({ check, data }): [string, unknown] => [check, data.count ?? data])).toEqual([
      ['LEAK_ON_UNBIND', 1],
      ['RANGE_LEFT', { reservations: 2, size: 6 * PAGE, links: 1 }],
    ]);
    expect(machine.dmaDebug.counters()).toMatchObject({ errorCount: 1, lost: 2 });
    device.destroy();
    expect(machine.dmaDebug.poll()).toEqual({ disabled: false, live: 0, lost: 0, lostIovaBytes: 0 });
    machine.check();
  });

  test("the kernel's lookups pass over links", () => {
    const { machine, device } = lab();
    const range = device.allocIova(PAGE);
    range.link(0, 0x500000, PAGE, DMA_BIDIRECTIONAL);
    device.mappingError(range.address);
    device.syncForCpu(range.address, PAGE, DMA_BIDIRECTIONAL);
    expect(said(machine)).toEqual(['SYNC_UNKNOWN']);
    device.unmapPage(range.address, PAGE, DMA_BIDIRECTIONAL);
    expect(said(machine)).toEqual(['SYNC_UNKNOWN', 'UNMAP_UNKNOWN']);
    expect(machine.dmaDebug.poll().live).toBe(1);
  });

  test('a link that cannot be tracked makes its unlinking no mistake', () => {
    const { machine, device } = lab();
    const { exports } = machine.core;
    const range = device.allocIova(4 * PAGE);
    exports.faultArm(machine.context, FAULT_DMA_DEBUG, 1);
    range.link(0, 0x500000, PAGE, DMA_BIDIRECTIONAL);
    exports.faultArm(machine.context, FAULT_DMA_DEBUG, 1);
    const blind = device.allocIova(4 * PAGE);
    blind.link(0, 0x500000, PAGE, DMA_BIDIRECTIONAL);
    blind.free(PAGE);
    range.free(PAGE);
    expect(said(machine)).toEqual([]);
    expect(machine.dmaDebug.counters().missed).toBe(2);
  });

  // The model: pages of one reservation, each with what is linked there.
  test.each([1, 2, 3, 4, 5, 6])('seed %d: random links and unlinks, told exactly when they are wrong', (seed) => {
    const { machine, device } = lab();
    const pages = 48;
    const range = device.allocIova(pages * PAGE);
    const linked = new Uint8Array(pages);
    let x = seed;
    const random = (n: number): number => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return (x >>> 0) % n;
    };
    const expected: string[] = [];
    for (let step = 0; step < 400; ++step) {
      const page = random(pages);
      const n = 1 + random(Math.min(6, pages - page));
      const part = linked.subarray(page, page + n);
      if (random(2) === 0) {
        if (part.some((there) => there !== 0)) continue;
        range.link(page * PAGE, (0x400 + 2 * page) * PAGE, n * PAGE - 100, DMA_BIDIRECTIONAL);
        part.fill(1);
      } else {
        range.unlink(page * PAGE, n * PAGE, DMA_BIDIRECTIONAL);
        if (part.some((there) => there === 0)) expected.push('UNMAP_UNKNOWN');
        part.fill(0);
      }
      const live = ranges({ machine }).reduce((sum, [, size]) => sum + Math.ceil(size / PAGE), 0);
      expect(live, `seed ${seed}, step ${step}`).toBe(linked.reduce((sum, there) => sum + there, 0));
      expect(machine.core.tools.machineCheck(machine.context)).toBe(0);
    }
    const findings: readonly Finding[] = machine.dmaDebug.findings;
    expect(findings.map(({ check }) => check)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(20);
  });
});
