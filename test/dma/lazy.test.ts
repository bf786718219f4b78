import { describe, expect, test } from 'vitest';
import { FAULT_SLAB } from '../../src/core/generated/constants.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import type { DmaHost } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { advance, host, MSI, PAGE, translated } from './host.js';

function lazy(options: DomainOptions = {}, at: DmaHost = host(), id = 1) {
  const domain = new DmaDomain(at, { mode: 'lazy', reserved: MSI, ...options });
  const device = new DmaDevice(at, { id, domain });
  const cycle = (pages = 1): number => {
    const address = device.mapPage(0x500, 0, pages * PAGE, DMA_BIDIRECTIONAL);
    device.unmapPage(address, pages * PAGE, DMA_BIDIRECTIONAL);
    return address;
  };
  return { at, domain, device, cycle };
}

describe('the flush queue of a lazy domain', () => {
  test('an address is unmapped at once and handed out again only after 10 ms', () => {
    const { at, domain, cycle } = lazy();
    const first = cycle();
    expect(translated(domain, first)).toBe(0);
    expect(domain.pending).toBe(1);
    expect(cycle()).not.toBe(first);
    advance(at, 9);
    expect(domain.pending).toBe(2);
    // The timer runs from the first range that waits, and is armed again by the next one.
    advance(at, 1);
    expect(domain.pending).toBe(0);
    expect(domain.flushes).toEqual({ full: 0, timer: 1 });
    cycle();
    advance(at, 9.9);
    expect(domain.pending).toBe(1);
    advance(at, 0.1);
    expect(domain.flushes).toEqual({ full: 0, timer: 2 });
  });

  test.each([
    [256, 255],
    [16, 15],
  ])('a ring of %i places takes %i ranges and flushes at the next', (entries, usable) => {
    const { domain, cycle } = lazy({ flushQueue: { entries } });
    const seen = new Set<number>();
    for (let i = 0; i < usable; ++i) seen.add(cycle());
    expect(seen.size).toBe(usable);
    expect(domain.pending).toBe(usable);
    expect(domain.flushes.full).toBe(0);
    seen.add(cycle());
    expect(seen.size).toBe(usable + 1);
    expect(domain.flushes.full).toBe(1);
    expect(domain.pending).toBe(1);
    expect(seen.has(cycle())).toBe(true);
  });

  test('each CPU has a ring; the flush of one frees what a later unmap finds in another', () => {
    const at = host(8192, 2);
    const { domain, cycle } = lazy({ flushQueue: { entries: 4 } }, at);
    at.core.exports.cpuSet(1);
    cycle();
    at.core.exports.cpuSet(0);
    for (let i = 0; i < 4; ++i) cycle();
    expect(domain.flushes.full).toBe(1);
    expect(domain.pending).toBe(2);
    at.core.exports.cpuSet(1);
    cycle();
    expect(domain.pending).toBe(2);
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('ranges above the caches return to the tree', () => {
    const { at, domain, cycle } = lazy();
    const before = iovaTree(domain);
    cycle(64);
    expect(iovaTree(domain).length).toBe(before.length + 1);
    advance(at, 10);
    expect(iovaTree(domain)).toEqual(before);
  });

  test('flush and destroy leave nothing waiting, and the timer goes with the queue', () => {
    const { at, domain, device, cycle } = lazy();
    cycle(64);
    domain.flush();
    expect(domain.pending).toBe(0);
    cycle(64);
    device.destroy();
    domain.destroy();
    advance(at, 100);
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('without memory for a timer nothing waits', () => {
    const { at, domain, device } = lazy();
    const address = device.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL);
    at.core.exports.faultArm(at.context, FAULT_SLAB, 1);
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    expect(at.core.tools.faultCount(at.context, FAULT_SLAB)).toBe(1);
    expect(domain.pending).toBe(0);
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });
});

describe('the deferred list of 2015', () => {
  const KERNEL: DomainOptions = {
    allocator: 'tree-4.2',
    mergeSegments: false,
    unmapWholeRange: true,
    retryBelow4GiB: true,
    deferredList: true,
    writeImpliesRead: false,
    flushQueue: { entries: 250 },
  };

  test('takes 250 ranges, flushes them at the 251st or after 10 ms, and holds none of them free before', () => {
    const { at, domain, cycle } = lazy(KERNEL);
    const seen = new Set<number>();
    for (let i = 0; i < 250; ++i) seen.add(cycle());
    expect(seen.size).toBe(250);
    expect(domain.pending).toBe(250);
    seen.add(cycle());
    expect(domain.pending).toBe(1);
    expect(seen.size).toBe(251);
    expect(seen.has(cycle())).toBe(true);
    advance(at, 10);
    expect(domain.pending).toBe(0);
    expect(iovaTree(domain).length).toBe(MSI.length);
  });

  test('is one list for all domains of the machine', () => {
    const at = host();
    const one = lazy(KERNEL, at);
    const other = lazy(KERNEL, at, 2);
    for (let i = 0; i < 125; ++i) {
      one.cycle();
      other.cycle();
    }
    expect(one.domain.pending).toBe(250);
    other.cycle();
    expect(one.domain.pending).toBe(1);
  });

  test('a range unmapped twice is freed twice: the second time hits whoever has it by then', () => {
    const { at, domain, device } = lazy(KERNEL);
    const address = device.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL);
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    expect(domain.pending).toBe(2);
    advance(at, 10);
    expect(iovaTree(domain).length).toBe(MSI.length);
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });
});
