import { describe, expect, test } from 'vitest';
import {
  COLOR_NONE,
  DEBUG_GROWS,
  DEBUG_KERNEL,
  DEBUG_OWN,
  EFAULT,
  MM_2015,
  PTE_READ_ONLY,
} from '../../src/core/generated/constants.js';
import type { GpuVmHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { CACHE, GiB, type Host, host, MiB, mapped, type Path, PLATFORM } from './host.js';

const SHAPES = [
  { name: 'gen6', platform: PLATFORM.IVB, levels: 2 },
  { name: 'gen8', platform: PLATFORM.GEN8, levels: 3 },
  { name: 'gen8, 48 bits', platform: PLATFORM.GEN8, levels: 4 },
];
const SIZE = 3 * 4096;
const START = 4 * MiB - 4096; // the second page lies under another page table

function bind(machine: Host, platform: number, levels: number) {
  const { ggttCreate, ggttInsert, ppgttCreate, ppgttAllocRange, ppgttInsert } = machine.core.exports;
  const ggtt = made(ggttCreate(machine.device.handle, platform, GiB, 256 * MiB, MM_2015, COLOR_NONE));
  const ppgtt = made(ppgttCreate(ggtt, levels, 0, 0, MM_2015));
  const table = mapped(machine, 3);
  ppgttAllocRange(ppgtt, START, SIZE);
  expect(ppgttInsert(ppgtt, START, table.handle, CACHE.LLC, 0)).toBe(3);
  expect(ggttInsert(ggtt, START, table.handle, CACHE.LLC, 0)).toBe(3);
  return { ggtt, ppgtt, table };
}

/** The GPU reads or writes through the staging block. */
function gpu({ core, context }: Host, vm: GpuVmHandle) {
  const at = core.staging(context);
  return {
    read(address: number, n: number): number[] | number {
      core.fillBytes(at, n, 0xee);
      const rc = core.exports.gpuRead(vm, address, at, n);
      return rc < 0 ? rc : [...core.readBytes(at, n)];
    },
    write(address: number, bytes: number[]): number {
      core.writeBytes(at, bytes);
      return core.exports.gpuWrite(vm, address, at, bytes.length);
    },
  };
}

describe.each(['direct', 'iommu', 'iommu-2015'] as Path[])('device %s', (path) => {
  test.each(SHAPES)(
    '$name: bytes written through one address space are read through the other',
    ({ platform, levels }) => {
      const machine = host(path);
      const { ggtt, ppgtt, table } = bind(machine, platform, levels);
      const bytes = Array.from({ length: 4200 }, (_, i) => (i * 7) & 255);
      expect(gpu(machine, ppgtt).write(START + 4000, bytes), machine.device.reason).toBe(0);
      expect(gpu(machine, ggtt).read(START + 4000, bytes.length)).toEqual(bytes);
      expect(gpu(machine, ppgtt).read(START + 4000, bytes.length)).toEqual(bytes);
      // And they are in the frames that the table names.
      const at = machine.core.staging(machine.context);
      expect(machine.core.exports.physRead(machine.context, table.pfn(1) * 4096, at, 16)).toBe(0);
      expect([...machine.core.readBytes(at, 16)]).toEqual(bytes.slice(96, 112));
    },
  );
});

test.each(SHAPES)(
  '$name: behind an IOMMU the GPU faults on what the device no longer reaches',
  ({ platform, levels }) => {
    const machine = host('iommu');
    const { ppgtt, ggtt, table } = bind(machine, platform, levels);
    expect(gpu(machine, ppgtt).write(START, [1, 2, 3])).toBe(0);
    machine.device.unmapSg(table, DMA_BIDIRECTIONAL);
    // The entries are still there: the IOMMU is what stops the access.
    expect(machine.core.exports.gpuTranslate(ppgtt, START, true)).toBe(table.dmaAddress(0));
    expect(gpu(machine, ppgtt).read(START, 3)).toBe(EFAULT);
    expect(gpu(machine, ggtt).read(START, 3)).toBe(EFAULT);
  },
);

test('a page table that the device cannot read ends the walk', () => {
  const machine = host('iommu');
  const { ppgtt } = bind(machine, PLATFORM.GEN8, 3);
  const { dmaUnmapPage, gpuTranslate } = machine.core.exports;
  const { ppgttRegister } = machine.core.tools;
  dmaUnmapPage(machine.device.handle, ppgttRegister(ppgtt, 0), 4096, DMA_BIDIRECTIONAL, 0);
  expect(gpuTranslate(ppgtt, START, false)).toBe(-1);
  expect(machine.device.reason).toBe('GPU_TABLE_UNREACHABLE');
});

test('only where nothing is bound does the GPU read zeros, from the scratch page', () => {
  const machine = host('iommu');
  const { ppgtt, ggtt } = bind(machine, PLATFORM.GEN8, 3);
  for (const vm of [ppgtt, ggtt]) {
    expect(gpu(machine, vm).read(START - 4096, 4)).toEqual([0, 0, 0, 0]);
    expect(gpu(machine, vm).read(START + SIZE, 4)).toEqual([0, 0, 0, 0]);
  }
});

test('Bay Trail: an entry without the write bit is read-only', () => {
  const machine = host('direct');
  const { ggttCreate, ggttInsert, gpuTranslate } = machine.core.exports;
  const ggtt = made(ggttCreate(machine.device.handle, PLATFORM.BYT, GiB, 0, MM_2015, COLOR_NONE));
  const table = mapped(machine, 2);
  expect(ggttInsert(ggtt, 0, table.handle, CACHE.LLC, PTE_READ_ONLY)).toBe(2);
  expect(gpuTranslate(ggtt, 4096, false)).toBe(table.dmaAddress(1));
  expect(gpuTranslate(ggtt, 4096, true)).toBe(-1);
  expect(machine.device.reason).toBe('GPU_READ_ONLY');
  expect(gpu(machine, ggtt).write(0, [1])).toBe(EFAULT);
});

test('dma-debug counts tables as page mappings, and finds nothing to say about their life', () => {
  const machine = host('iommu');
  const { debugCreate, ppgttDestroy, ggttDestroy } = machine.core.exports;
  const { ppgttPages } = machine.core.tools;
  const { debugValue } = machine.core.tools;
  const [VALUE_ERRORS, VALUE_LIVE] = [1, 6]; // assembly/dma-debug/query.ts
  expect(debugCreate(machine.context, DEBUG_KERNEL | DEBUG_OWN | DEBUG_GROWS, 16384, 65536)).toBe(0);
  const { ppgtt, ggtt, table } = bind(machine, PLATFORM.GEN8, 4);
  expect(debugValue(machine.context, VALUE_LIVE)).toBe(ppgttPages(ppgtt) + 1 + table.nents);
  machine.device.unmapSg(table, DMA_BIDIRECTIONAL);
  ppgttDestroy(ppgtt);
  ggttDestroy(ggtt);
  expect(debugValue(machine.context, VALUE_LIVE)).toBe(0);
  expect(debugValue(machine.context, VALUE_ERRORS)).toBe(0);
});
