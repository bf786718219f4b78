import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE, Machine, type MachineOptions } from '../../src/index.js';

/** How far the kernel's searches walk, and when its timers fire. */

const NONE: [number, number][] = [];

function machineOf(options: MachineOptions = {}) {
  const machine = new Machine({ ram: '64MiB', dmaDebug: false, ...options });
  return { machine, device: machine.addDevice() };
}

describe('nodes of the IOVA tree', () => {
  test('the walk of 6.12 begins at the remembered node', () => {
    const { machine, device } = machineOf({ iommu: { allocator: 'tree-6.12', reserved: NONE } });
    expect(machine.searches).toBeNull();
    machine.countSearches();
    // The anchor, then the node that was placed last: one node each.
    const first = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    const second = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(machine.searches!.iova).toEqual({ searches: 3, nodes: 3, most: 1 });
    // A hole at the top: the remembered node is now the one above it. 64 KiB do not fit into it: the nodes below are passed.
    device.unmapPage(first, PAGE, DMA_TO_DEVICE);
    device.mapPage(300, 0, 65536, DMA_TO_DEVICE);
    expect(machine.searches!.iova).toEqual({ searches: 4, nodes: 6, most: 3 });
    device.unmapPage(second, PAGE, DMA_TO_DEVICE);
    machine.countSearches(false);
    device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(machine.searches).toBeNull();
    machine.check();
  });

  test('a full 24-bit space is walked whole, twice where the kernel looks again, then not at all', () => {
    const { machine } = machineOf({ iommu: { allocator: 'tree-6.12', reserved: NONE } });
    const device = machine.addDevice({ maskBits: 24 });
    let live = 0;
    while (device.mapPage(300, 0, 32 * PAGE, DMA_TO_DEVICE) >= 0) ++live;
    machine.countSearches();
    expect(device.mapPage(300, 0, 16 * PAGE, DMA_TO_DEVICE)).toBeGreaterThan(0);
    expect(device.mapPage(300, 0, 16 * PAGE, DMA_TO_DEVICE)).toBe(-1);
    const { nodes, most } = machine.searches!.iova;
    expect(most).toBeGreaterThan(live - 2);
    // max32_alloc_size: what has failed is not looked for again.
    expect(device.mapPage(300, 0, 16 * PAGE, DMA_TO_DEVICE)).toBe(-1);
    expect(machine.searches!.iova.nodes).toBe(nodes);
  });

  test('the walk of 2015 passes what lies below the remembered node, or everything', () => {
    const { machine } = machineOf({ kernel: 'linux-4.2', iommu: { reserved: NONE } });
    const wide = machine.addDevice({ maskBits: 31 });
    for (let i = 0; i < 10; ++i) wide.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    machine.countSearches();
    wide.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    // No node is remembered for another limit than the 32-bit line: all ten, and nothing below.
    expect(machine.searches!.iova).toEqual({ searches: 1, nodes: 10, most: 10 });
  });

  test('what a magazine serves is no search, and each call is told with its cost', () => {
    const { machine, device } = machineOf();
    machine.countSearches();
    machine.events.start();
    const address = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(machine.searches!.iova.searches).toBe(1);
    const told = machine.events.drain().filter(({ kind }) => /search|map_page/.test(kind));
    expect(told.map(({ kind }) => kind)).toEqual(['search_cost', 'dma_map_page', 'dma_unmap_page', 'dma_map_page']);
    expect(told[0]).toMatchObject({ slots: 0, device: device.name });
    expect((told[0] as { nodes: number }).nodes).toBeGreaterThan(0);
  });
});

test('slots of the bounce pool, from the index of the area on', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: { size: '256KiB', force: true } });
  machine.countSearches();
  const first = device.mapPage(300, 0, 2048, DMA_FROM_DEVICE);
  device.mapPage(301, 0, 4096, DMA_FROM_DEVICE);
  // One slot; then one that is not at a page is passed, and two are taken.
  expect(machine.searches!.swiotlb).toEqual({ searches: 2, slots: 4, most: 3 });
  device.unmapPage(first, 2048, DMA_FROM_DEVICE);
  while (device.mapPage(302, 0, 4096, DMA_FROM_DEVICE) >= 0);
  expect(machine.searches!.swiotlb.most).toBeLessThanOrEqual(128);
  expect(() => machine.countSearches(1 as never)).toThrow(TypeError);
});

describe('ticks', () => {
  // Armed 1 ms after a tick edge, or on one.
  test.each<[MachineOptions, number, number]>([
    [{ hz: 250 }, 0, 16],
    [{ hz: 250 }, 3, 16],
    [{ hz: 100 }, 0, 20],
    [{ hz: 1000 }, 0.5, 11],
    [{ hz: 250, kernel: 'linux-4.2' }, 0, 12],
    [{}, 3, 13],
  ])('%j, armed at %d ms: the flush queue fires at %d', (options, armed, fires) => {
    const { machine, device } = machineOf({ ...options, iommu: 'lazy' });
    const domain = device.domain as { pending: number };
    machine.clock.advance(armed);
    device.unmapPage(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE), PAGE, DMA_TO_DEVICE);
    expect(domain.pending).toBe(1);
    machine.clock.advance(fires - armed - 0.001);
    expect(domain.pending).toBe(1);
    machine.clock.advance(0.001);
    expect(domain.pending).toBe(0);
  });

  test('the ranges go to the CPU that armed the timer', () => {
    const { machine, device } = machineOf({ hz: 250, cpus: 2, iommu: 'lazy' });
    machine.cpu = 1;
    const address = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    machine.cpu = 0;
    machine.clock.advance(20);
    expect(machine.cpu).toBe(0);
    expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).not.toBe(address);
    machine.cpu = 1;
    expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).toBe(address);
  });

  test.each([300, -1, 2000, 50])('%d ticks a second are refused', (hz) => {
    expect(() => new Machine({ hz })).toThrow(RangeError);
  });
});

test('the reason is that of the last call', () => {
  const { device, machine } = machineOf();
  device.unmapPage(0x7000, PAGE, DMA_TO_DEVICE);
  expect(device.reason).toBe('DMA_NOT_MAPPED');
  device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
  expect(device.reason).toBeUndefined();
  machine.failAllocation('iova', 1);
  expect(device.mapPage(300, 0, 64 * PAGE, DMA_TO_DEVICE)).toBe(-1);
  expect(device.reason).toBe('IOVA_NO_MEMORY');
  const other = machine.addDevice();
  expect(other.reason).toBeUndefined();
  expect(() => device.allocPages(2 ** 27, DMA_TO_DEVICE)).toThrow();
  expect(device.reason).toBe('DMA_NO_PAGES');
  device.allocCoherent(PAGE).free();
  expect(device.reason).toBeUndefined();
});
