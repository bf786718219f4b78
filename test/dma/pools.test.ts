import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  GemDmaError,
  Machine,
  type MachineOptions,
} from '../../src/index.js';
import { machineOf } from '../machine-of.js';

/** Bounce pools that grow (CONFIG_SWIOTLB_DYNAMIC), and those that some devices are restricted to. */

const bytes = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);
const POOL = 256 * 1024;

/** A machine whose pool of 128 slots is full, but for the pages that are told. */
function full(left = 0, swiotlb: object = {}, device: object = {}) {
  const options: MachineOptions = { iommu: 'off', swiotlb: { size: POOL, force: true, dynamic: true, ...swiotlb } };
  const all = machineOf(options, device);
  const [page] = all.machine.ram.alloc(1);
  const addresses = Array.from({ length: 64 - left }, () => all.device.mapPage(page, 0, PAGE, DMA_BIDIRECTIONAL));
  return { ...all, page, addresses };
}

describe('dynamic pools', () => {
  test('a request that none serves gets a pool of its own, which goes with it', () => {
    const { machine, device } = full();
    const frames = machine.ram.stats.free;
    const pfn = machine.ram.allocBlock(1);
    machine.ram.write(pfn * PAGE, bytes(6000, 7));
    const address = device.mapPage(pfn, 100, 5000, DMA_BIDIRECTIONAL);
    expect(address).toBeGreaterThan(0);
    expect(machine.swiotlb!.stats).toMatchObject({ slots: 128, used: 131, transient: 3, live: 65 });
    expect(
      machine.swiotlb!.stats.pools.map(({ slots, areas, used, transient }) => [slots, areas, used, transient]),
    ).toEqual([
      [3, 1, 3, 1],
      [128, 1, 128, 0],
    ]);
    expect(deviceRead(machine, device, address, 5000)).toEqual(bytes(5000, 7));
    deviceWrite(machine, device, address + 4999, bytes(1, 8));
    device.syncForCpu(address, 5000, DMA_FROM_DEVICE);
    expect(machine.ram.read(pfn * PAGE + 5098, 2)).toEqual(Uint8Array.of(7, 8));
    expect(device.needSync(address)).toBe(true);
    machine.check();
    device.unmapPage(address, 5000, DMA_BIDIRECTIONAL);
    machine.ram.freeBlock(pfn, 1);
    expect(machine.swiotlb!.stats).toMatchObject({ slots: 128, used: 128, transient: 0, live: 64 });
    expect(machine.ram.stats.free).toBe(frames);
    machine.check();
  });

  test('work adds a pool of the first one’s size, which is searched first', () => {
    const { machine, device, page, addresses } = full();
    const first = device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.pools).toHaveLength(3);
    machine.clock.advance(0);
    // Queued once, however many requests failed.
    expect(machine.swiotlb!.stats).toMatchObject({ slots: 256, transient: 4 });
    device.unmapPage(addresses[0], PAGE, DMA_BIDIRECTIONAL);
    const { pools, start } = machine.swiotlb!.stats;
    const address = device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    expect(pools[0].transient).toBe(0);
    expect(address).toBe(pools[0].start);
    expect(address).not.toBe(start);
    device.unmapPage(first, PAGE, DMA_TO_DEVICE);
    machine.check();
  });

  test('at most the largest block, in as many areas as that has sets', () => {
    const options: MachineOptions = {
      ram: '256MiB',
      iommu: 'off',
      cpus: 64,
      swiotlb: { size: '16MiB', force: true, dynamic: true },
    };
    const { machine, device } = machineOf(options);
    const pfn = machine.ram.allocBlock(6);
    for (let i = 0; i < 65; ++i) device.mapPage(pfn, 0, POOL, DMA_TO_DEVICE);
    machine.clock.advance(1);
    // 4 MiB are 2,048 slots: 16 sets.
    expect(machine.swiotlb!.stats.pools.map(({ slots, areas }) => [slots, areas])).toContainEqual([2048, 16]);
    expect(machine.swiotlb!.stats.slots).toBe(8192 + 2048);
    machine.check();
  });

  test('a pool of its own fits an alignment or fails, and says so', () => {
    const { machine, device, page } = full(0, {}, { minAlignMask: 0xfff });
    // The first slot of a page does not have bit 11 set, and there are no more.
    expect(device.mapPage(page, 2048, 2048, DMA_TO_DEVICE)).toBe(-1);
    expect(device.reason).toBe('SWIOTLB_FULL');
    expect(machine.dmesg()).toContain(
      'e1000 0000:00:02.0: swiotlb buffer is full (sz: 2048 bytes), total 128 (slots), used 128 (slots)',
    );
    expect(machine.swiotlb!.stats.transient).toBe(0);
    machine.check();
  });

  test('it lies where the device reaches, and is known to that device alone', () => {
    const { machine, device, page } = full(0, {}, { maskBits: 32 });
    const narrow = machine.addDevice({ maskBits: 24 });
    const address = narrow.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    expect(address).toBeGreaterThan(0);
    expect(address).toBeLessThan(2 ** 24);
    device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.transient).toBe(2);
    expect(deviceRead(machine, narrow, address, 1)).toHaveLength(1);
    narrow.unmapPage(address, PAGE, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.transient).toBe(0);
  });

  test('where no block is left it says so', () => {
    const { machine, device, page } = full();
    for (let n = 4096; n > 0; ) {
      try {
        machine.ram.alloc(n);
      } catch {
        n >>= 1;
      }
    }
    expect(device.mapPage(page, 0, PAGE, DMA_TO_DEVICE)).toBe(-1);
    machine.clock.advance(0);
    expect(machine.dmesg()).toContain('software IO TLB: Failed to allocate new pool');
    machine.check();
  });

  test('a snapshot has the pools, and the work that waits', () => {
    const { machine, device, page } = full();
    device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    const snapshot = machine.snapshot();
    machine.clock.advance(0);
    expect(machine.swiotlb!.stats.slots).toBe(256);
    machine.restore(snapshot);
    expect(machine.swiotlb!.stats).toMatchObject({ slots: 128, transient: 2 });
    machine.clock.advance(0);
    expect(machine.swiotlb!.stats.slots).toBe(256);
    machine.check();
  });

  test('the pools of 2015 do not grow', () => {
    expect(() => new Machine({ kernel: 'linux-4.2', iommu: 'off', swiotlb: { dynamic: true } })).toThrow(
      /swiotlb.dynamic/,
    );
  });
});

describe('a restricted pool', () => {
  function restricted(options: MachineOptions = { iommu: 'off', swiotlb: false }, size = POOL) {
    const { machine, device: other } = machineOf(options);
    const pool = machine.createRestrictedPool({ size, base: 0x1000000 });
    return { machine, other, pool, device: machine.addDevice({ driver: 'wifi', restrictedPool: pool }) };
  }

  test('all that is mapped bounces through it, and nothing of other devices', () => {
    const { machine, other, pool, device } = restricted();
    const [page] = machine.ram.alloc(1);
    machine.ram.write(page * PAGE, bytes(64, 3));
    const address = device.mapPage(page, 16, 48, DMA_BIDIRECTIONAL);
    expect(address).toBe(0x1000000);
    expect(other.mapPage(page, 16, 48, DMA_BIDIRECTIONAL)).toBe(page * PAGE + 16);
    deviceWrite(machine, device, address, bytes(8, 4));
    expect(deviceRead(machine, device, address, 9)).toEqual(Uint8Array.of(4, 4, 4, 4, 4, 4, 4, 4, 3));
    device.unmapPage(address, 48, DMA_BIDIRECTIONAL);
    expect(machine.ram.read(page * PAGE + 16, 9)).toEqual(Uint8Array.of(4, 4, 4, 4, 4, 4, 4, 4, 3));
    expect(pool.stats).toMatchObject({ slots: 128, used: 0, maps: 1 });
    expect(device.limits.maxMapping).toBe(POOL);
    expect(other.limits.maxMapping).toBe(2 ** 64);
    machine.check();
  });

  test('coherent memory and pages come from it, aligned to their order, and from nowhere else', () => {
    const { machine, pool, device } = restricted();
    const [page] = machine.ram.alloc(1);
    const first = device.mapPage(page, 0, 512, DMA_TO_DEVICE);
    machine.ram.write(0x1004000, bytes(16, 9));
    const buffer = device.allocCoherent(3 * PAGE);
    expect(buffer.address).toBe(0x1004000);
    expect(deviceRead(machine, device, buffer.address, 16)).toEqual(bytes(16, 0));
    expect([...pool.mappings()].map(({ slot, slots, direction }) => [slot, slots, direction])).toEqual([
      [0, 1, DMA_TO_DEVICE],
      [8, 6, 3],
    ]);
    const pages = device.allocPages(PAGE, DMA_FROM_DEVICE);
    expect(pages.address).toBe(0x1007000);
    expect(() => device.allocCoherent(POOL)).toThrow(GemDmaError);
    buffer.free();
    pages.free();
    device.unmapPage(first, 512, DMA_TO_DEVICE);
    const whole = device.allocCoherent(POOL);
    expect(pool.stats.used).toBe(128);
    whole.free();
    expect(pool.stats.used).toBe(0);
    expect(machine.dmaDebug.poll().live).toBe(0);
    machine.check();
  });

  test('two devices share one, beside the pool of the machine', () => {
    const { machine, pool, device } = restricted({ iommu: 'off', swiotlb: { size: POOL, force: true } });
    const second = machine.addDevice({ restrictedPool: pool });
    const [page] = machine.ram.alloc(1);
    device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    second.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    machine.addDevice().mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    expect([pool.stats.used, machine.swiotlb!.stats.used]).toEqual([4, 2]);
  });

  test('what is full is told with its own numbers', () => {
    const { machine, device } = restricted(undefined, 8192);
    const [page] = machine.ram.alloc(1);
    for (let i = 0; i < 2; ++i) device.mapPage(page, 0, PAGE, DMA_TO_DEVICE);
    expect(device.mapPage(page, 0, PAGE, DMA_TO_DEVICE)).toBe(-1);
    expect(machine.dmesg()).toContain(
      'wifi 0000:00:03.0: swiotlb buffer is full (sz: 4096 bytes), total 4 (slots), used 4 (slots)',
    );
    machine.check();
  });

  test('what cannot be is refused', () => {
    const { machine, pool, device } = restricted();
    expect(() => machine.createRestrictedPool({ size: POOL, base: 0x1000000 })).toThrow(/ENOMEM|no piece/);
    expect(() => machine.createRestrictedPool({ size: 100 })).toThrow(RangeError);
    expect(() => machine.createRestrictedPool({ size: POOL, base: 100 })).toThrow(RangeError);
    expect(() => machine.addDevice({ restrictedPool: {} as never })).toThrow(TypeError);
    expect(() => machineOf().machine.addDevice({ restrictedPool: pool })).toThrow(/machine/);
    const old = machineOf({ kernel: 'linux-4.2', iommu: 'off' }).machine;
    expect(() => old.createRestrictedPool({ size: POOL })).toThrow(/no restricted pools/);
    const snapshot = machine.snapshot();
    const later = machine.createRestrictedPool({ size: POOL });
    machine.restore(snapshot);
    expect(() => later.stats).toThrow(GemDmaError);
    expect(() => machine.addDevice({ restrictedPool: later })).toThrow(GemDmaError);
    expect(device.alive).toBe(true);
    machine.check();
  });
});

test('an untrusted device may sync what fills the pages of its slots', () => {
  const { machine, device } = machineOf({ swiotlb: POOL }, { untrusted: true });
  const [page] = machine.ram.alloc(1);
  const address = device.mapPage(page, 0, 100, DMA_BIDIRECTIONAL);
  device.syncForDevice(address, 4096, DMA_TO_DEVICE);
  expect(machine.dmesg().filter((line) => line.includes('Buffer overflow'))).toEqual([]);
  device.syncForDevice(address, 4097, DMA_TO_DEVICE);
  expect(machine.dmesg()).toContain(
    'e1000 0000:00:02.0: Buffer overflow detected. Allocation size: 4096. Mapping size: 4097.',
  );
});
