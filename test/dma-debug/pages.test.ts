import { describe, expect, test } from 'vitest';
import { FAULT_DMA_DEBUG, FAULT_SLAB, PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { Core } from '../../src/core/instance.js';
import type { DmaDevice } from '../../src/dma/device.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { Machine, type MachineOptions } from '../../src/index.js';
import { debug } from '../core/debug.js';

function lab(options: MachineOptions = {}): { machine: Machine; device: DmaDevice } {
  const machine = new Machine(
    { ram: { size: '32MiB', fragmentation: 1 }, swiotlb: false, ...options },
    new Core(debug),
  );
  return { machine, device: machine.addDevice({ maxSegment: 0xffffffff }) };
}

const freed = (machine: Machine): number => machine.dmaDebug.count('FREED_WHILE_MAPPED');

describe('frames freed while mapped', () => {
  test.each([
    ['strict', 1],
    ['off', 16],
  ] as const)('IOMMU %s: any page of a list, said once for each of its mappings', (iommu, entries) => {
    const { machine, device } = lab({ iommu });
    const pfns = machine.ram.alloc(16);
    const table = ScatterTable.fromPages(machine, pfns, { coalesce: false });
    const other = ScatterTable.allocate(machine, 16);
    expect(device.mapSg(table, DMA_BIDIRECTIONAL)).toBe(entries);
    device.mapSg(other, DMA_BIDIRECTIONAL);
    machine.ram.free([pfns[9]]);
    expect(freed(machine)).toBe(1);
    expect(machine.dmaDebug.findings.at(-1)).toMatchObject({
      data: { address: pfns[9] * PAGE, liveSize: iommu === 'strict' ? 16 * PAGE : PAGE },
    });
    machine.ram.free([pfns[3]]);
    expect(freed(machine), 'behind an IOMMU that mapping was told about').toBe(iommu === 'strict' ? 1 : 2);
    device.unmapSg(table, DMA_BIDIRECTIONAL);
    device.unmapSg(other, DMA_BIDIRECTIONAL);
    const before = freed(machine);
    other.release();
    machine.ram.free(pfns.filter((_, i) => i !== 9 && i !== 3));
    expect(freed(machine)).toBe(before);
    machine.check();
  });

  test.each([0, 7, 8, 21, 39, 42])('many frames, of which only number %i is mapped', (mapped) => {
    const { machine, device } = lab();
    const pfns = machine.ram.alloc(43);
    const address = device.mapPage(pfns[mapped], 0, PAGE, DMA_TO_DEVICE);
    machine.ram.free(pfns);
    expect(machine.dmaDebug.findings.map(({ check, data }) => [check, data.liveAddress])).toEqual([
      ['FREED_WHILE_MAPPED', address],
    ]);
  });

  test('a block of frames, of which one is mapped', () => {
    const { machine, device } = lab();
    const pfn = machine.ram.allocBlock(3);
    const address = device.mapPage(pfn + 5, 100, 200, DMA_TO_DEVICE);
    machine.ram.freeBlock(pfn, 3);
    expect(machine.dmaDebug.findings.map(({ check, data }) => [check, data.liveAddress])).toEqual([
      ['FREED_WHILE_MAPPED', address],
    ]);
  });

  test.each(['strict', 'off'] as const)('IOMMU %s: one piece of several frames, by its last', (iommu) => {
    const { machine, device } = lab({ iommu, ram: '32MiB' });
    const pfn = machine.ram.allocBlock(4);
    const table = ScatterTable.fromPages(
      machine,
      Uint32Array.from({ length: 8 }, (_, i) => pfn + i),
    );
    expect(device.mapSg(table, DMA_FROM_DEVICE)).toBe(1);
    const address = device.mapPage(pfn + 9, 2048, PAGE, DMA_FROM_DEVICE);
    const other = machine.ram.alloc(1);
    machine.ram.free(other);
    expect(freed(machine)).toBe(0);
    machine.ram.freeBlock(pfn, 4);
    expect(machine.dmaDebug.findings.map(({ check, data }) => [check, data.address, data.liveAddress])).toEqual([
      ['FREED_WHILE_MAPPED', pfn * PAGE, table.dmaAddress(0)],
      ['FREED_WHILE_MAPPED', (pfn + 9) * PAGE, address],
    ]);
    device.mappingError(address);
    device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    device.unmapSg(table, DMA_FROM_DEVICE);
    expect(machine.dmaDebug.poll()).toEqual({ disabled: false, live: 0, lost: 0, lostIovaBytes: 0 });
    // Nothing is left of it: neither in the counts of frames nor as an active cacheline.
    const again = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    const behind = device.mapPage(pfn + 9, 2048, PAGE, DMA_FROM_DEVICE);
    expect(machine.dmaDebug.findings).toHaveLength(2);
    for (const live of [again, behind]) {
      device.mappingError(live);
      device.unmapPage(live, PAGE, DMA_FROM_DEVICE);
    }
    expect(machine.dmaDebug.findings).toHaveLength(2);
    machine.check();
  });

  test('of frames that several mappings cover, each is told and each line is let go', () => {
    const { machine, device } = lab();
    const second = machine.addDevice({ maxSegment: 0xffffffff });
    const [pfn] = machine.ram.alloc(1);
    const one = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    const two = second.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    machine.ram.free([pfn]);
    expect(machine.dmaDebug.count('CACHELINE_OVERLAP')).toBe(1);
    expect(freed(machine)).toBe(2);
    device.unmapPage(one, PAGE, DMA_FROM_DEVICE);
    second.unmapPage(two, PAGE, DMA_FROM_DEVICE);
    device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    expect(machine.dmaDebug.count('CACHELINE_OVERLAP')).toBe(1);
    machine.check();
  });

  test('a frame that is not in use does not go, so nothing is said of its mapping', () => {
    const { machine, device } = lab();
    const [pfn] = machine.ram.alloc(1);
    machine.ram.free([pfn]);
    device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    expect(() => machine.ram.free([pfn])).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(freed(machine)).toBe(0);
  });

  // Random lives of pages, lists and mappings: told exactly when a frame that goes is mapped.
  test.each([1, 2, 3, 4, 5, 6])('seed %i: told exactly when it is so', (seed) => {
    let state = seed;
    const pick = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return (state >>> 8) % n;
    };
    const iommu = (['strict', 'off', 'lazy'] as const)[seed % 3];
    const { machine, device } = lab({ iommu });
    const pages: number[] = [];
    // A mapping covers frames; without an IOMMU each entry of a list is one of its own. Each is told about once.
    interface Mapping {
      pfns: number[];
      told: boolean;
    }
    const lists: { table: ScatterTable; mappings: Mapping[] }[] = [];
    const singles: { address: number; length: number; mapping: Mapping }[] = [];
    // Without an IOMMU mappings of one page share an address, and which of them a wrong unmap ends depends on the others.
    const alone = iommu === 'off';
    const choose = (n: number): number[] => {
      const taken = new Set(
        [...singles.map(({ mapping }) => mapping), ...lists.flatMap(({ mappings }) => mappings)].flatMap(
          ({ pfns }) => pfns,
        ),
      );
      const free = alone ? pages.filter((pfn) => !taken.has(pfn)) : pages;
      const from = pick(Math.max(1, free.length - n));
      return alone ? free.slice(from, from + n) : Array.from({ length: n }, () => pages[pick(pages.length)]);
    };
    for (let step = 0; step < 3000; ++step) {
      const before = freed(machine);
      let expected = 0;
      const kind = pick(7);
      if (kind === 0 || pages.length < 40) pages.push(...machine.ram.alloc(1 + pick(20)));
      else if (kind === 1) {
        const pfns = choose(1 + pick(8));
        if (pfns.length === 0) continue;
        const table = ScatterTable.fromPages(machine, pfns, { coalesce: pick(2) === 0 });
        device.mapSg(table, pick(3) as 0 | 1 | 2);
        const entries = table
          .entries()
          .map(({ pfn, length }) => Array.from({ length: length / PAGE }, (_, i) => pfn + i));
        const mappings = alone ? entries : [pfns];
        lists.push({ table, mappings: mappings.map((covered) => ({ pfns: covered, told: false })) });
      } else if (kind === 2 && lists.length > 0) {
        const [{ table }] = lists.splice(pick(lists.length), 1);
        // Another direction than it was mapped with is a finding, but not of this kind.
        device.unmapSg(table, DMA_BIDIRECTIONAL);
        table.release();
      } else if (kind === 3) {
        const [pfn] = choose(1);
        if (pfn === undefined) continue;
        const length = 1 + pick(PAGE);
        const address = device.mapPage(pfn, PAGE - length, length, DMA_FROM_DEVICE);
        singles.push({ address, length, mapping: { pfns: [pfn], told: false } });
      } else if (kind === 4 && singles.length > 0) {
        const [{ address, length }] = singles.splice(pick(singles.length), 1);
        device.unmapPage(address, length, DMA_FROM_DEVICE);
      } else if (kind >= 5) {
        const [pfn] = pages.splice(pick(pages.length), 1);
        for (const mapping of [
          ...singles.map((single) => single.mapping),
          ...lists.flatMap(({ mappings }) => mappings),
        ]) {
          if (mapping.told || !mapping.pfns.includes(pfn)) continue;
          mapping.told = true;
          ++expected;
        }
        machine.ram.free([pfn]);
      }
      const where = `seed ${seed}, step ${step}, IOMMU ${iommu}`;
      expect(freed(machine) - before, where).toBe(expected);
      if (step % 500 === 0) machine.check();
    }
    expect(freed(machine)).toBeGreaterThan(0);
  });
});

describe('without memory', () => {
  test.each([
    ['kernel', FAULT_SLAB],
    ['both', FAULT_SLAB],
    ['both', FAULT_DMA_DEBUG],
    ['own', FAULT_SLAB],
  ] as const)('%s, fault %i: an entry that cannot be had is never held against the driver', (checkers, fault) => {
    const { machine, device } = lab({ dmaDebug: { checkers, allErrors: true } });
    const [pfn] = machine.ram.alloc(1);
    machine.core.exports.faultArm(machine.context, fault, 1);
    const address = device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    machine.core.exports.faultArm(machine.context, fault, 0);
    expect(address).toBeGreaterThan(0);
    device.mappingError(address);
    device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    const { live, disabled } = machine.dmaDebug.counters();
    expect(live).toBe(0);
    const checks = machine.dmaDebug.findings.map(({ check }) => check).filter((check) => check !== 'OOM_DISABLED');
    expect(checks).toEqual([]);
    if (checkers !== 'kernel') {
      const second = device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
      device.mappingError(second);
      device.unmapPage(second, PAGE, DMA_FROM_DEVICE);
      expect(machine.dmaDebug.count('UNMAP_DIR'), 'ours goes on').toBe(1);
    } else expect(disabled, 'the kernel gives up').toBe(true);
    machine.check();
  });

  test('the kernel alone tracks nothing after its death, and says nothing', () => {
    const { machine, device } = lab({ kernel: 'linux-4.2', dmaDebug: { checkers: 'kernel', entries: 4 } });
    const pfns = machine.ram.alloc(6);
    const addresses = Array.from(pfns, (pfn) => device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE));
    expect(machine.dmaDebug.counters()).toMatchObject({
      disabled: true,
      live: 4,
      numFreeEntries: 0,
      minFreeEntries: 0,
    });
    for (const address of addresses) device.unmapPage(address, 2 * PAGE, DMA_FROM_DEVICE);
    expect(machine.dmaDebug.findings.map(({ check }) => check)).toEqual(['OOM_DISABLED']);
  });
});
