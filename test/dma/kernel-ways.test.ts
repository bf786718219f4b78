import { describe, expect, test } from 'vitest';
import {
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  GemDmaError,
  type KernelName,
  type MachineOptions,
  ScatterTable,
  UnmanagedDomain,
} from '../../src/index.js';
import { machineOf } from '../machine-of.js';

/** Where a kernel's DMA layer does what nobody expects of it. */

const GIB = 1024 ** 3;

const bounced: MachineOptions = { iommu: 'off', swiotlb: { size: '256KiB', force: true } };

describe('unmapping inside a bounced buffer', () => {
  test('in its first slot all slots go, and bytes come back as far as the slots reach', () => {
    const { machine, device } = machineOf(bounced);
    const page = machine.ram.allocBlock(0);
    const address = device.mapPage(page, 0, 2048, DMA_FROM_DEVICE);
    deviceWrite(machine, device, address, new Uint8Array(2048).fill(65));
    device.unmapPage(address + 64, 2048, DMA_FROM_DEVICE);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 0, live: 0 });
    const bytes = machine.ram.read(page * 4096, 2048);
    expect([bytes[63], bytes[64], bytes[2047]]).toEqual([0, 65, 65]);
    expect(machine.dmesg()).toContain(
      'e1000 0000:00:02.0: Buffer overflow detected. Allocation size: 1984. Mapping size: 2048.',
    );
    machine.check();
  });

  test('in a later slot those before it stay taken', () => {
    const { machine, device } = machineOf(bounced);
    const page = machine.ram.allocBlock(1);
    const address = device.mapPage(page, 0, 8192, DMA_FROM_DEVICE);
    deviceWrite(machine, device, address, new Uint8Array(8192).fill(66));
    device.unmapPage(address + 2048, 6144, DMA_FROM_DEVICE);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 1, live: 1, slots: 128 });
    expect([...machine.swiotlb!.mappings()]).toMatchObject([{ slots: 1, length: 2048 }]);
    const bytes = machine.ram.read(page * 4096, 8192);
    expect([bytes[2047], bytes[2048], bytes[8191]]).toEqual([0, 66, 66]);
    machine.check();
    device.unmapPage(address, 2048, DMA_FROM_DEVICE);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 0, live: 0 });
    machine.check();
  });

  test('in 2015 the size given says how many go: what is behind them stays taken', () => {
    const { machine, device } = machineOf({ ...bounced, kernel: 'linux-4.2' });
    const page = machine.ram.allocBlock(1);
    const address = device.mapPage(page, 0, 8192, DMA_FROM_DEVICE);
    device.unmapPage(address + 2048, 2048, DMA_FROM_DEVICE);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 3, live: 2 });
    expect([...machine.swiotlb!.mappings()].map(({ slots, length, physical }) => [slots, length, physical])).toEqual([
      [1, 2048, page * 4096],
      [2, 4096, page * 4096 + 4096],
    ]);
    machine.check();
  });
});

test('a pool with enough slots that are nowhere in a row is fragmented, not full', () => {
  const { machine, device } = machineOf(bounced);
  const page = machine.ram.allocBlock(6);
  const addresses = Array.from({ length: 128 }, (_, i) => device.mapPage(page, i * 2048, 2048, DMA_TO_DEVICE));
  addresses.forEach((address, i) => {
    if (i % 4 !== 0) device.unmapPage(address, 2048, DMA_TO_DEVICE);
  });
  expect(machine.swiotlb!.stats.longestRun).toBe(3);
  expect(device.mapPage(page, 0, 8192, DMA_TO_DEVICE)).toBe(-1);
  expect(device.reason).toBe('SWIOTLB_FRAGMENTED');
  expect(machine.swiotlb!.stats.refused).toMatchObject({ full: 1, fragmented: 1 });
  // The kernel's word is the same.
  expect(machine.dmesg().at(-1)).toContain(
    'swiotlb buffer is full (sz: 8192 bytes), total 128 (slots), used 32 (slots)',
  );
});

describe('coherent memory without translation', () => {
  test('a block that lies beyond the mask is tried again from a lower zone', () => {
    const { machine, device } = machineOf({ ram: 12 * GIB, iommu: 'off' }, { maskBits: 33 });
    // The allocator hands out what lies beyond 8 GiB.
    while (machine.ram.allocBlock(10) < 2 ** 21 - 1024);
    expect(machine.ram.allocBlock(4)).toBeGreaterThanOrEqual(2 ** 21);
    const buffer = device.allocCoherent(65536);
    expect(buffer.address).toBeLessThan(2 ** 33);
  });

  test.each([
    [24, 2 ** 24],
    [28, 2 ** 28],
  ])('%i bits: from the zone that the mask needs', (bits, end) => {
    const { machine, device } = machineOf({ ram: '1GiB', iommu: 'off', swiotlb: false });
    device.setMask(bits);
    const buffer = device.allocCoherent(65536);
    expect(buffer.address + 65536).toBeLessThanOrEqual(end);
    buffer.free();
    machine.check();
  });
});

test('FORCE_CONTIGUOUS behind an IOMMU gives one piece of memory, or nothing', () => {
  const { machine, device } = machineOf({ ram: { size: '16MiB' } });
  const whole = device.allocCoherent(65536, DMA_ATTR.FORCE_CONTIGUOUS);
  expect(whole.table.origNents).toBe(1);
  whole.free();
  // Every second page is taken: nothing larger is left.
  const pages: number[] = [];
  try {
    for (;;) pages.push(machine.ram.alloc(1)[0]);
  } catch (error) {
    expect(error).toBeInstanceOf(GemDmaError);
  }
  machine.ram.free(pages.filter((pfn) => pfn % 2 === 1));
  expect(() => device.allocCoherent(65536, DMA_ATTR.FORCE_CONTIGUOUS)).toThrow('DMA_NO_PAGES');
  expect(device.allocCoherent(65536).table.origNents).toBe(16);
});

test.each([
  ['linux-6.12', 0, 'gemdma: e1000 0000:00:02.0: CPU_TOUCH: '],
  ['linux-4.2', 1, 'e1000 0000:00:02.0: DMA-API: cpu touching an active dma mapped cacheline [cln='],
] as const)('%s: the CPU touches a mapped page', (kernel, errors, line) => {
  const { machine, device } = machineOf({ kernel });
  const [pfn] = machine.ram.alloc(1);
  device.mappingError(device.mapPage(pfn, 0, 4096, DMA_FROM_DEVICE));
  machine.dmaDebug.cpuTouch(pfn);
  expect(machine.dmaDebug.counters().errorCount).toBe(errors);
  expect(machine.dmaDebug.count('CPU_TOUCH')).toBe(1);
  expect(machine.dmesg()[0]).toContain(line);
});

test.each(['strict', 'lazy'] as const)('%s: min_align_mask beyond the pages of the IOMMU', (mode) => {
  const { machine, device } = machineOf({ iommu: mode }, { minAlignMask: 0xffff });
  const [pfn] = machine.ram.alloc(1);
  expect(device.mapPage(pfn, 0, 4096, DMA_TO_DEVICE)).toBe(-1);
  expect(device.reason).toBe('DMA_ALIGNMENT');
  expect(device.mapResource(0xfe000000, 4096, DMA_TO_DEVICE)).toBe(-1);
  expect(machine.dmesg()).toEqual(['e1000 0000:00:02.0: Unsupported alignment constraint']);
  // A list has no such check, and memory in single pages needs none.
  expect(device.mapSg(ScatterTable.fromPages(machine, [pfn]), DMA_TO_DEVICE)).toBe(1);
  device.allocCoherent(8192).free();
  device.setSegments(65536, 32, 0xfff);
  expect(device.mapPage(pfn, 0, 4096, DMA_TO_DEVICE)).toBeGreaterThan(0);
});

describe('a failed mapping', () => {
  test.each([
    ['linux-6.12', -1],
    ['linux-4.2', 0],
  ] as const)('%s', (kernel, value) => {
    const { machine, device } = machineOf({ kernel, iommu: { reserved: [[1, 0xfffff]] } });
    const [pfn] = machine.ram.alloc(1);
    const address = device.mapPage(pfn, 0, 4096, DMA_TO_DEVICE);
    expect(address).toBe(value);
    expect(device.errorAddress).toBe(value);
    expect(device.mappingError(address)).toBe(true);
    // Used unchecked it is an access like any other, which nothing answers.
    expect(() => deviceRead(machine, device, address, 4)).toThrow(GemDmaError);
    expect(machine.iommu.faults()).toHaveLength(1);
    device.unmapPage(address, 4096, DMA_TO_DEVICE);
    expect(machine.dmaDebug.count('UNMAP_INVALID')).toBe(1);
  });

  test('in 2015 a device without translation reaches address 0', () => {
    const { machine, device } = machineOf({ kernel: 'linux-4.2', iommu: 'off', swiotlb: false });
    device.setMask(24);
    expect(device.mapPage(0x2000, 0, 4096, DMA_TO_DEVICE)).toBe(0);
    expect(deviceRead(machine, device, 0, 4)).toEqual(new Uint8Array(4));
  });
});

describe('an unmap with too small a size', () => {
  test('leaves pages that the device reaches: they are lost, and freeing them is found', () => {
    const { machine, device } = machineOf();
    const block = machine.ram.allocBlock(4);
    const address = device.mapPage(block, 0, 65536, DMA_BIDIRECTIONAL);
    device.mappingError(address);
    device.unmapPage(address, 2048, DMA_BIDIRECTIONAL);
    expect(machine.dmaDebug.report().lost).toEqual({ count: 1, iovaBytes: 15 * 4096 });
    // The kernel knows nothing of it.
    expect(machine.dmaDebug.counters().numFreeEntries).toBe(65536);
    expect(machine.dmaDebug.dump()).toEqual([]);
    machine.check();
    machine.ram.freeBlock(block, 4);
    expect(machine.dmaDebug.findings.map(({ check }) => check)).toEqual(['UNMAP_SIZE', 'FREED_WHILE_MAPPED']);
    deviceWrite(machine, device, address + 0x5000, Uint8Array.of(1));
    expect(() => deviceWrite(machine, device, address, Uint8Array.of(1))).toThrow('IOMMU_FAULT');
    device.destroy();
    machine.check();
  });

  test('ends when the rest is unmapped after all', () => {
    const { machine, device } = machineOf();
    const block = machine.ram.allocBlock(2);
    const address = device.mapPage(block, 0, 16384, DMA_BIDIRECTIONAL);
    device.mappingError(address);
    device.unmapPage(address, 4096, DMA_BIDIRECTIONAL);
    expect(machine.dmaDebug.poll()).toMatchObject({ live: 1, lost: 1, lostIovaBytes: 12288 });
    device.unmapPage(address + 4096, 12288, DMA_BIDIRECTIONAL);
    expect(machine.dmaDebug.poll()).toMatchObject({ live: 0, lost: 0 });
    machine.ram.freeBlock(block, 2);
    expect(machine.dmaDebug.count('FREED_WHILE_MAPPED')).toBe(0);
    machine.check();
  });

  test('leaves nothing where a large leaf went whole, where 2015 ends the range, and without an IOMMU', () => {
    const large = machineOf();
    const block = large.machine.ram.allocBlock(9);
    const address = large.device.mapPage(block, 0, 2 ** 21, DMA_BIDIRECTIONAL);
    large.device.unmapPage(address, 4096, DMA_BIDIRECTIONAL);
    expect(large.machine.dmaDebug.poll().lost).toBe(0);
    for (const options of [{ kernel: 'linux-4.2' }, { iommu: 'off' }] as MachineOptions[]) {
      const { machine, device } = machineOf(options);
      const at = device.mapPage(machine.ram.allocBlock(2), 0, 16384, DMA_BIDIRECTIONAL);
      device.unmapPage(at, 4096, DMA_BIDIRECTIONAL);
      expect(machine.dmaDebug.poll().lost).toBe(0);
    }
  });
});

test('an unmap inside a large leaf walks through mapped data', () => {
  const { machine, device } = machineOf();
  const block = machine.ram.allocBlock(9);
  machine.ram.write(block * 4096, new Uint8Array(4096).fill(0xff));
  const address = device.mapPage(block, 0, 2 ** 21, DMA_BIDIRECTIONAL);
  device.unmapPage(address + 0x5000, 4096, DMA_BIDIRECTIONAL);
  expect(machine.ram.read(block * 4096 + 40, 8)).toEqual(new Uint8Array(8));
  expect(machine.dmesg()[0]).toMatch(
    /^gemdma: WALK_IN_DATA: unmapping at [0-9a-f]+ inside a large page: the walk takes the mapped memory at physical [0-9a-f]+ for a table/,
  );
  expect(machine.messages[0]).toMatchObject({ id: 'WALK_IN_DATA', kernel: false });
  // More is unmapped than was asked for.
  expect(machine.dmesg()).toContain('WARNING: CPU: 0 PID: 0 at drivers/iommu/dma-iommu.c:841 __iommu_dma_unmap');
});

describe('a mapping over live ones, of which no kernel says a word', () => {
  const replaced = (machine: { messages: readonly { id: string; text: string[] }[] }): string[] =>
    machine.messages.filter(({ id }) => id === 'LIVE_REPLACED').flatMap(({ text }) => text);

  test.each<['vtd' | 'amdv1']>([['vtd'], ['amdv1']])('%s: a page of 2 MiB over 3 of 4 KiB', (format) => {
    const { machine } = machineOf({ iommu: { format } });
    const domain = new UnmanagedDomain(machine);
    domain.map(0x200000, 0x5000, 3 * 4096, 3);
    domain.map(0x200000, 0x400000, 0x200000, 3);
    expect(replaced(machine)).toEqual([
      'gemdma: LIVE_REPLACED: mapping 2097152 bytes at 200000 has taken the place of 12288 bytes that were mapped there and never unmapped',
    ]);
    // What was unmapped before is nobody's loss.
    domain.unmap(0x200000, 0x200000);
    domain.map(0x200000, 0x5000, 4096, 3);
    domain.unmap(0x200000, 4096);
    domain.map(0x200000, 0x400000, 0x200000, 3);
    expect(replaced(machine)).toHaveLength(1);
  });

  test('amd: one over another, and 4 KiB inside 2 MiB', () => {
    const { machine } = machineOf({ iommu: { format: 'amdv1' } });
    const domain = new UnmanagedDomain(machine);
    domain.map(0x1000, 0x5000, 4096, 3);
    domain.map(0x1000, 0x6000, 4096, 3);
    domain.map(0x200000, 0x400000, 0x200000, 3);
    domain.map(0x203000, 0x7000, 4096, 3);
    expect(replaced(machine).map((line) => line.slice(23, 105))).toEqual([
      'mapping 4096 bytes at 1000 has taken the place of 4096 bytes that were mapped ther',
      'mapping 4096 bytes at 203000 has taken the place of 2097152 bytes that were mapped',
    ]);
    expect(domain.iovaToPhys(0x204000)).toBeNull();
  });
});

test('a reason is that of the last call, also where that is a mask or declared memory', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: false });
  expect(() => device.setMask(16)).toThrow(GemDmaError);
  expect(device.reason).toBe('DMA_MASK_TOO_SMALL');
  device.setMask(24);
  expect(device.reason).toBeUndefined();
  expect(device.mapPage(0x2000, 0, 4096, DMA_TO_DEVICE)).toBe(-1);
  device.coerceMask(32);
  expect(device.reason).toBeUndefined();
  const bar = machine.addBar(machine.addDevice(), 8192);
  device.declareCoherentMemory(bar.address, bar.address, 8192);
  expect(() => device.allocCoherent(16384)).toThrow(GemDmaError);
  expect(device.reason).toBe('DMA_DECLARED_FULL');
  device.allocCoherent(4096);
  expect(device.reason).toBeUndefined();
  const bare = machine.addDevice({ maskBits: 0 });
  expect(() => bare.setMask(32)).toThrow(GemDmaError);
  expect(bare.reason).toBe('DMA_NO_MASK');
});

test('a reason is that of the last call, also where that is a sync or a link', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: '256KiB' });
  const page = machine.ram.allocBlock(0);
  device.unmapPage(machine.swiotlb!.stats.start, 64, DMA_TO_DEVICE);
  expect(device.reason).toBe('SWIOTLB_NOT_MAPPED');
  const address = device.mapPage(page, 0, 4096, DMA_TO_DEVICE);
  expect(device.reason).toBeUndefined();
  device.syncForCpu(machine.swiotlb!.stats.start, 64, DMA_FROM_DEVICE);
  expect(device.reason).toBe('SWIOTLB_NOT_MAPPED');
  device.syncForCpu(address, 64, DMA_TO_DEVICE);
  expect(device.reason).toBeUndefined();

  const other = machineOf();
  const range = other.device.allocIova(8192);
  expect(() => range.link(0, 0x5001, 4096, DMA_TO_DEVICE)).toThrow(GemDmaError);
  expect(other.device.reason).toBe('DMA_OFFSET_MISMATCH');
  range.link(0, 0x5000, 4096, DMA_TO_DEVICE);
  expect(other.device.reason).toBeUndefined();
});

test.each<[KernelName]>([['linux-6.12'], ['linux-4.2']])(
  '%s: iommu_map and iommu_unmap say what is wrong',
  (kernel) => {
    const { machine } = machineOf({ kernel });
    const domain = new UnmanagedDomain(machine, { width: 39 });
    expect(() => domain.map(0x1001, 0x2000, 4096, 3)).toThrow(/EINVAL/);
    expect(domain.unmap(0x1000, 2048)).toBe(0);
    expect(() => domain.map(2 ** 39 - 4096, 0x2000, 8192, 3)).toThrow(/EFAULT/);
    expect(machine.dmesg()).toEqual([
      'iommu: unaligned: iova 0x1001 pa 0x0000000000002000 size 0x1000 min_pagesz 0x1000',
      'iommu: unaligned: iova 0x1000 size 0x800 min_pagesz 0x1000',
      'DMAR: intel_iommu_map: iommu width (39) is not sufficient for the mapped address (8000001000)',
    ]);
  },
);

describe('coherent memory behind an IOMMU', () => {
  /** Every second frame is in use. */
  function fragmented(kernel: KernelName) {
    const all = machineOf({ kernel, ram: '16MiB' });
    const { ram } = all.machine;
    const taken = [...ram.alloc(ram.stats.free - 8)].sort((a, b) => a - b);
    ram.free(taken.filter((_, i) => i % 2 === 0));
    return all;
  }

  test('6.12 takes frames from anywhere, 2015 one block or nothing', () => {
    const today = fragmented('linux-6.12').device.allocCoherent(65536);
    const pfns = [...today.table.pfns()];
    expect(pfns.every((pfn, i) => i === 0 || pfn === pfns[i - 1] + 1)).toBe(false);
    expect(() => fragmented('linux-4.2').device.allocCoherent(65536)).toThrow(
      expect.objectContaining({ code: 'ENOMEM', reason: 'DMA_NO_PAGES' }),
    );
    const whole = machineOf({ kernel: 'linux-4.2' }).device.allocCoherent(3 * 4096);
    const [first] = whole.table.pfns();
    expect([...whole.table.pfns()]).toEqual([first, first + 1, first + 2]);
    expect(whole.device.sgTable(whole).origNents).toBe(1);
  });
});

describe('coherent memory of 2015 without an IOMMU', () => {
  const big: MachineOptions = { kernel: 'linux-4.2', ram: 12 * GIB, iommu: 'off', memoryLimit: '512MiB' };

  test('beyond a mask of more than 32 bits no lower zone is tried: slots of the pool stand in, or nothing', () => {
    const reach = 0x100000fff;
    const bare = machineOf({ ...big, swiotlb: false });
    bare.device.setMaskValue(reach);
    bare.machine.ram.allocBlock(4);
    expect(bare.machine.ram.allocBlock(4) * 4096).toBeGreaterThan(reach);
    expect(() => bare.device.allocCoherent(65536)).toThrow(expect.objectContaining({ reason: 'DMA_NO_PAGES' }));
    const { machine, device } = machineOf({ ...big, swiotlb: '1MiB' });
    device.setMaskValue(reach);
    machine.ram.allocBlock(4);
    const buffer = device.allocCoherent(65536);
    const { start } = machine.swiotlb!.stats;
    expect([buffer.address >= start, buffer.address < start + 2 ** 20]).toEqual([true, true]);
    expect(machine.swiotlb!.stats.used).toBe(32);
    deviceWrite(machine, device, buffer.address + 65535, Uint8Array.of(3));
    expect(machine.ram.read(buffer.address + 65535, 1)).toEqual(Uint8Array.of(3));
    buffer.free();
    expect(machine.swiotlb!.stats.used).toBe(0);
    machine.check();
  });

  test('a narrow one is tried again from ZONE_DMA', () => {
    const { device } = machineOf({ kernel: 'linux-4.2', iommu: 'off', swiotlb: false }, { maskBits: 25 });
    expect(device.allocCoherent(4096).address).toBeLessThan(2 ** 25);
  });
});

test('the WARN of dma_map_resource comes behind its line', () => {
  const { machine, device } = machineOf({ iommu: 'off' }, { maskBits: 24 });
  expect(device.mapResource(0x2000000, 4096, DMA_TO_DEVICE)).toBe(-1);
  expect(machine.dmesg({ warnings: true })).toEqual([
    'e1000 0000:00:02.0: DMA addr 0x0000000002000000+4096 overflow (mask ffffff, bus limit 0).',
    '------------[ cut here ]------------',
    'WARNING: CPU: 0 PID: 0 at kernel/dma/direct.c:516 dma_direct_map_resource',
    '---[ end trace 0000000000000000 ]---',
  ]);
});

describe('bounced buffers of 2015', () => {
  const old: MachineOptions = { kernel: 'linux-4.2', iommu: 'off', swiotlb: { size: '256KiB', force: true } };

  test('an unmap inside a slot copies to where the slot’s part of the buffer begins', () => {
    const { machine, device } = machineOf(old);
    const page = machine.ram.allocBlock(1);
    const address = device.mapPage(page, 0, 4096, DMA_FROM_DEVICE);
    deviceWrite(
      machine,
      device,
      address,
      Uint8Array.from({ length: 4096 }, (_, i) => i >> 4),
    );
    device.unmapPage(address + 2048 + 64, 128, DMA_FROM_DEVICE);
    const bytes = machine.ram.read(page * 4096, 4096);
    // 128 + 4 is the device's byte at 2048 + 64.
    expect([bytes[2047], bytes[2048], bytes[2048 + 127], bytes[2048 + 128]]).toEqual([0, 132, 139, 0]);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 1, live: 1 });
    machine.check();
  });

  test('one too long takes the next buffer’s slots, and writes behind its own', () => {
    const { machine, device } = machineOf(old);
    const page = machine.ram.allocBlock(1);
    const first = device.mapPage(page, 0, 2048, DMA_FROM_DEVICE);
    const second = device.mapPage(page + 1, 0, 2048, DMA_TO_DEVICE);
    expect(second).toBe(first + 2048);
    deviceWrite(machine, device, second, new Uint8Array(2048).fill(9));
    device.unmapPage(first, 4096, DMA_FROM_DEVICE);
    expect(machine.ram.read(page * 4096 + 2048, 1)[0]).toBe(9);
    expect(machine.swiotlb!.stats).toMatchObject({ used: 0, live: 0 });
    machine.check();
  });
});
