import { PAGE_SIZE as PAGE } from '../../../src/core/generated/constants.js';
import type { GpuContext } from '../../../src/i915/context.js';
import * as library from '../../../src/index.js';
import type { Kind } from './declarations.js';

/** Living objects of every class of the library, and how each of them dies. */

const { Machine, DmaDomain, ScatterTable, SystemHeap, Process, IovaDomain } = library;

export type Machine = library.Machine;

/** One machine with an object of each class, by the name of the class. */
export interface Rig {
  machine: Machine;
  objects: Record<string, object>;
}

/** Before the objects: what a snapshot is taken of. */
export function bare(): Machine {
  return new Machine({ ram: '16MiB', memoryLimit: '32MiB', swiotlb: '1MiB' });
}

export function rig(machine: Machine = bare()): Rig {
  const device = machine.addDevice();
  const spare = machine.addDevice();
  const gpu = machine.addI915({ gen: 8, ppgtt: 'full' });
  const object = gpu.createObject(PAGE);
  const context = gpu.createContext();
  const heap = new SystemHeap(machine);
  const dmaBuf = heap.alloc(PAGE);
  const { request } = gpu.execbuffer(gpu.createContext(), [{ object: gpu.createObject(PAGE) }], { busy: 0 });
  const domain = new DmaDomain(machine);
  const file = gpu.open();
  file.ioctl(library.IOCTL.I915_GEM_CREATE, library.packStruct('gem_create', { size: PAGE }));
  const map = library.packStruct('gem_mmap', { handle: 1, size: PAGE });
  file.ioctl(library.IOCTL.I915_GEM_MMAP, map);
  const objects = {
    ...{
      Machine: machine,
      BaseMachine: machine,
      PhysicalMemory: machine.ram,
      BouncePool: machine.swiotlb!,
      Iommu: machine.iommu,
    },
    ...{ EventLog: machine.events, VirtualClock: machine.clock, DmaDebug: machine.dmaDebug },
    MachineSnapshot: machine.snapshot(),
    ...{ DmaDevice: device, StreamingDevice: device },
    DmaDomain: domain,
    UnmanagedDomain: new library.UnmanagedDomain(machine),
    ScatterTable: ScatterTable.allocate(machine, 2),
    CoherentBuffer: device.allocCoherent(PAGE),
    DmaPages: device.allocPages(PAGE, library.DMA_TO_DEVICE),
    LinkedRange: device.allocIova(PAGE),
    IovaDomain: new IovaDomain(machine),
    ...{ SystemHeap: heap, DmaBuf: dmaBuf, DmaBufAttachment: dmaBuf.attach(spare) },
    NonCoherentDevice: machine.addDevice({ coherent: false }),
    Process: new Process(machine.ram),
    DmaPool: machine.createDmaPool(device, { name: 'mine', size: 64, align: 0 }),
    Bar: machine.addBar(machine.addDevice(), PAGE),
    ...{ I915Device: gpu, DrmDevice: gpu, GemObject: object, DrmGemObject: object, GpuContext: context },
    ...{ AddressSpace: context.vm, Ggtt: gpu.ggtt, Request: request },
    Vma: gpu.createObject(PAGE).bind(context.vm),
    ...{ Shared: dmaBuf, Living: object },
    ...{ DrmFile: file, CpuMapping: file.mapping(Number(library.unpackStruct('gem_mmap', map).addr_ptr)) },
  };
  return { machine, objects: objects as Record<string, object> };
}

/** How an object of a class dies by itself; of the others only the machine does. */
export const DEATHS: Record<string, (one: never, rig: Rig) => void> = {
  DmaDevice: (one: library.DmaDevice) => one.destroy(),
  StreamingDevice: (one: library.DmaDevice) => one.destroy(),
  NonCoherentDevice: (one: library.DmaDevice) => one.destroy(),
  DmaDomain: (one: library.DmaDomain) => one.destroy(),
  UnmanagedDomain: (one: library.UnmanagedDomain) => one.destroy(),
  ScatterTable: (one: library.ScatterTable) => one.release(),
  CoherentBuffer: (one: library.CoherentBuffer) => one.free(),
  DmaPages: (one: library.DmaPages) => one.free(),
  LinkedRange: (one: library.LinkedRange) => one.free(),
  IovaDomain: (one: library.IovaDomain) => one.destroy(),
  DmaBuf: (one: library.DmaBuf) => one.release(),
  DmaBufAttachment: (one: library.DmaBufAttachment) => one.detach(),
  Shared: (one: library.DmaBuf) => one.release(),
  Process: (one: library.Process) => one.exit(),
  DmaPool: (one: { destroy(): void }) => one.destroy(),
  Bar: (one: { device: library.DmaDevice }) => one.device.destroy(),
  GemObject: (one: library.GemObject) => one.release(),
  DrmGemObject: (one: library.GemObject) => one.release(),
  Living: (one: library.GemObject) => one.release(),
  GpuContext: (one: GpuContext) => one.release(),
  AddressSpace: (_: unknown, { objects }) => {
    (objects.Vma as library.Vma).unbind();
    (objects.GpuContext as GpuContext).release();
  },
  Vma: (one: library.Vma) => one.unbind(),
  CpuMapping: (one: library.CpuMapping) => one.unmap(),
  DrmFile: (one: library.DrmFile) => one.close(),
};

/** Values for parameters whose meaning matters, by `Class.member.parameter` or `parameter`. */
const VALUES: Record<string, (rig: Rig) => unknown> = {
  pfns: () => [300],
  entries: () => [{ pfn: 300, offset: 0, length: PAGE }],
  list: ({ objects }) => [{ object: objects.GemObject }],
  exporter: () => ({ name: 'mine', map() {}, unmap() {}, release() {} }),
  driver: () => library.i915Driver,
  view: () => ({ type: 'partial', offset: 0, size: 1 }),
  size: () => PAGE,
  length: () => PAGE,
  size_pages: () => 1,
  dir: () => 0,
  attrs: () => 0,
  attr: () => 0,
  module: () => 'file:///x.mjs',
  nth: () => 0,
  bits: () => 32,
  streamingMask: () => 2 ** 32 - 1,
  coherentMask: () => 2 ** 32 - 1,

  coherentBits: () => 32,
  boundaryBits: () => 32,
  maxSegment: () => PAGE,
  last: () => 5,
  hi: () => 5,
  n: () => 0,
  limit: () => 100,
  pages: () => 1,
  pfn: () => 300,
  order: () => 0,
  flags: () => 1,
  align: () => 0,
  linked: () => 0,
  zone: () => 'normal',
  buffer: () => new Uint8Array(1),
  memory: () => new library.UserBlock(16),
};

export function valueFor(rig: Rig, { name, takes }: { name: string; takes: Kind }): unknown {
  return name in VALUES ? VALUES[name](rig) : sampleOf(takes, rig.objects);
}

/** A value that a parameter of this kind takes. */
export function sampleOf(takes: Kind, objects: Readonly<Record<string, object>>): unknown {
  switch (takes.kind) {
    case 'number':
      return 0;
    case 'size':
      return PAGE;
    case 'boolean':
      return false;
    case 'string':
      return 'x';
    case 'names':
      return takes.names[0];
    case 'bytes':
      return new Uint8Array(1);
    case 'function':
      return () => {};
    case 'list':
      return [];
    case 'object':
      return objects[takes.type];
    default:
      return {};
  }
}
