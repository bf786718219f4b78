import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { DmaBuf, type DmaBufExporter } from '../../src/drm/dma-buf.js';
import { Process } from '../../src/drm/process.js';
import { SystemHeap } from '../../src/drm/system-heap.js';
import type { AddressSpace } from '../../src/i915/address-space.js';
import type { GpuContext } from '../../src/i915/context.js';
import type { I915Device } from '../../src/i915/device.js';
import { GemObject } from '../../src/i915/object.js';
import type { Machine } from '../../src/machine-drivers/machine.js';
import { gpuOn } from '../i915/gpu.js';
import { tracked } from './state.js';

/** The same as refusals.test.ts, for what drivers make: objects, vmas, contexts, dma-bufs, processes. */

const stale = expect.objectContaining({ code: 'ESTALE', reason: 'OBJECT_RESTORED_AWAY' });
const gone = expect.objectContaining({ code: 'ENODEV', reason: 'OBJECT_DESTROYED' });
const foreign = expect.objectContaining({ code: 'EXDEV', reason: 'OTHER_MACHINE' });
const otherGpu = expect.objectContaining({ code: 'EXDEV', reason: 'OTHER_DEVICE' });
const badType = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' });
const badRange = expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' });
const badValue = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' });

const full = (): { machine: Machine; gpu: I915Device } =>
  gpuOn({ gen: 8, ppgtt: 'full', stolen: '8MiB' }, { ram: '64MiB' });

/** Every method of an object, with arguments that a live one takes. */
function methods(object: GemObject, vm: AddressSpace): [string, () => unknown][] {
  return [
    ['getPages', () => object.getPages()],
    ['putPages', () => object.putPages()],
    ['pinPages', () => object.pinPages()],
    ['unpinPages', () => object.unpinPages()],
    ['getPage', () => object.getPage(0)],
    ['madvise', () => object.madvise('dontneed')],
    ['pwrite', () => object.pwrite(0, new Uint8Array(4))],
    ['pread', () => object.pread(0, 4)],
    ['setDomain', () => object.setDomain('gtt', true)],
    ['setCacheLevel', () => object.setCacheLevel('none')],
    ['bind', () => object.bind(vm)],
    ['vma', () => object.vma(vm)],
    ['setTiling', () => object.setTiling(true)],
    ['attachPhys', () => object.attachPhys(PAGE)],
    ['export', () => object.export()],
    ['mapSg', () => object.mapSg()],
    ['unmapSg', () => object.unmapSg()],
    ['reference', () => object.reference()],
    ['release', () => object.release()],
  ];
}

function refusedAll(calls: [string, () => unknown][], error: unknown): void {
  for (const [name, call] of calls) expect(call, name).toThrow(error as Error);
}

describe('an object', () => {
  test('that was released refuses every method; its dispose does nothing', () => {
    const { machine, gpu } = full();
    const object = gpu.createObject(PAGE);
    object.release();
    tracked(machine, () => {
      refusedAll(methods(object, gpu.ggtt), gone);
      object[Symbol.dispose]();
    });
    expect(object.alive).toBe(false);
  });

  test('that the GPU still uses is its user’s no more', () => {
    const { machine, gpu } = full();
    const context = gpu.createContext();
    const object = gpu.createObject(PAGE);
    const { vmas } = gpu.execbuffer(context, [{ object }], { busy: 5 });
    object.release();
    refusedAll(
      methods(object, gpu.ggtt).filter(([name]) => !name.endsWith('mapSg') && name !== 'mapSg'),
      gone,
    );
    expect([object.refcount, gpu.liveObjects]).toEqual([1, 1]);
    machine.clock.advance(5);
    expect([object.refcount, gpu.liveObjects]).toEqual([0, 0]);
    expect(() => vmas[0].unpin()).toThrow(gone);
    vmas[0].unbind();
    machine.check();
  });

  test('that was made after the snapshot is stale', () => {
    const { machine, gpu } = full();
    const snapshot = machine.snapshot();
    const object = gpu.createObject(PAGE);
    const vma = object.bind(gpu.ggtt);
    const context = gpu.createContext();
    const stolen = gpu.createStolen(PAGE);
    machine.restore(snapshot);
    const again = gpu.createObject(PAGE);
    again.bind(gpu.ggtt);
    const fresh = gpu.createContext();
    tracked(machine, () => {
      refusedAll(methods(object, gpu.ggtt), stale);
      refusedAll(methods(stolen, gpu.ggtt), stale);
      expect(() => vma.unbind()).toThrow(stale);
      expect(() => vma.unpin()).toThrow(stale);
      expect(() => context.release()).toThrow(stale);
      expect(() => again.bind(context.vm)).toThrow(stale);
      expect(() => gpu.execbuffer(context, [{ object: again }])).toThrow(stale);
      expect(() => gpu.execbuffer(fresh, [{ object }])).toThrow(stale);
      for (const dead of [object, vma, context, stolen]) dead[Symbol.dispose]();
    });
  });

  test('that was released since the snapshot is good again', () => {
    const { machine, gpu } = full();
    const object = gpu.createObject(PAGE);
    const context = gpu.createContext();
    object.bind(context.vm);
    object.pwrite(0, new Uint8Array([1, 2, 3]));
    const snapshot = machine.snapshot();
    for (let round = 0; round < 3; ++round) {
      object.release();
      context.release();
      gpu.remove();
      refusedAll(methods(object, gpu.ggtt), gone);
      machine.restore(snapshot);
      expect([object.alive, context.alive, gpu.alive]).toEqual([true, true, true]);
      expect([...object.pread(0, 3)]).toEqual([1, 2, 3]);
      machine.check();
    }
  });

  test('is bound in an address space of its own GPU only, and in nothing else', () => {
    const { machine, gpu } = full();
    const other = machine.addI915({ gen: 8, ppgtt: 'full' });
    const elsewhere = full().gpu;
    const object = gpu.createObject(PAGE);
    const theirs = other.createContext();
    tracked(machine, () => {
      for (const vm of [{}, null, undefined, 7, gpu, Object.create(Object.getPrototypeOf(gpu.ggtt))]) {
        expect(() => object.bind(vm as AddressSpace)).toThrow(badType);
        expect(() => gpu.read(vm as AddressSpace, 0, 1)).toThrow(badType);
        expect(() => gpu.evictVm(vm as AddressSpace)).toThrow(badType);
      }
      expect(() => object.bind(other.ggtt)).toThrow(otherGpu);
      expect(() => object.bind(elsewhere.ggtt)).toThrow(foreign);
      expect(() => gpu.read(other.ggtt, 0, 1)).toThrow(otherGpu);
      expect(() => gpu.execbuffer(theirs, [{ object }])).toThrow(otherGpu);
    });
    expect([object.pagesPinCount, object.pages, object.refcount]).toEqual([0, 0, 1]);
    object.release();
  });

  test('made up by hand is none', () => {
    const { gpu } = full();
    const made = Object.create(GemObject.prototype) as GemObject;
    expect(() => made.getPages()).toThrow(expect.objectContaining({ code: 'ESTALE', reason: 'OBJECT_NOT_MADE' }));
    expect(() => gpu.execbuffer(gpu.createContext(), [{ object: made }])).toThrow(badType);
    expect(() => gpu.execbuffer({} as GpuContext, [{ object: gpu.createObject(PAGE) }])).toThrow(badType);
  });
});

describe('arguments are checked before effects', () => {
  test('a batch that is refused leaves no reference and no vma', () => {
    const { machine, gpu } = full();
    const context = gpu.createContext();
    const object = gpu.createObject(PAGE);
    tracked(machine, () => {
      for (const busy of [-1, Number.NaN, 2 ** 41, Number.POSITIVE_INFINITY]) {
        expect(() => gpu.execbuffer(context, [{ object }], { busy })).toThrow(badRange);
      }
      expect(() => gpu.execbuffer(context, [{ object }], { busy: '1' as never })).toThrow(badType);
      expect(() => gpu.execbuffer(context, [{ object }], { bsy: 1 } as never)).toThrow(badValue);
      expect(() => gpu.execbuffer(context, [{ object, wrte: true } as never])).toThrow(badValue);
      expect(() => gpu.execbuffer(context, [{ object }, null as never])).toThrow(badType);
      expect(() => gpu.execbuffer(context, [{ object, alignment: 3 * 2 ** 32 }])).toThrow(/EINVAL/);
    });
    expect([object.refcount, object.vmas, object.pages]).toEqual([1, [], 0]);
    object.release();
    expect(gpu.liveObjects).toBe(0);
  });

  test('of bind and of what makes objects', () => {
    const { machine, gpu } = full();
    const object = gpu.createObject(PAGE);
    tracked(machine, () => {
      expect(() => object.bind(gpu.ggtt, { algn: 1 } as never)).toThrow(badValue);
      for (const alignment of [3, 3 * 2 ** 32, -4096, 1.5]) {
        expect(() => object.bind(gpu.ggtt, { alignment })).toThrow(badRange);
      }
      expect(() => object.bind(gpu.ggtt, { as: 'me' as never })).toThrow(badValue);
      expect(() => object.bind(gpu.ggtt, { mappable: 1 as never })).toThrow(badType);
      expect(() => gpu.createObject(PAGE, { cache: 'llc' } as never)).toThrow(badValue);
      expect(() => gpu.createUserptr({} as Process, 0, PAGE)).toThrow(badType);
      expect(() => gpu.importDmaBuf({} as DmaBuf)).toThrow(badType);
      expect(() => object.setTiling(1 as never)).toThrow(badType);
      expect(() => object.attachPhys(3)).toThrow(badRange);
      expect(() => object.pwrite(0, [1] as never)).toThrow(badType);
      expect(() => object.pread(Number.NaN, 1)).toThrow(badRange);
      expect(() => gpu.shrink(Number.NaN, 1)).toThrow(badRange);
      expect(() => gpu.shrink(1, 9)).toThrow(badRange);
      expect(() => machine.addI915({ gen: '8' as never })).toThrow(badType);
      expect(() => machine.addI915({ gen: 99 })).toThrow(badRange);
    });
    expect([object.pages, object.vmas]).toEqual([0, []]);
  });

  test('pins are the user’s own: one more unpin than pin is refused, whoever else pins the pages', () => {
    const { gpu } = full();
    const object = gpu.createObject(PAGE);
    object.bind(gpu.ggtt);
    expect(() => object.unpinPages()).toThrow(/EINVAL/);
    expect(object.pagesPinCount).toBe(1);
    object.pinPages();
    object.unpinPages();
    expect(() => object.unpinPages()).toThrow(/EINVAL/);
  });
});

describe('a context', () => {
  test('that was released takes no bind, though its address space may live on', () => {
    const { machine, gpu } = full();
    const context = gpu.createContext();
    const bound = gpu.createObject(PAGE);
    const vma = bound.bind(context.vm);
    const object = gpu.createObject(PAGE);
    context.release();
    tracked(machine, () => {
      expect(() => object.bind(context.vm)).toThrow(gone);
      expect(() => gpu.execbuffer(context, [{ object }])).toThrow(gone);
      expect(() => gpu.read(context.vm, vma.start, 4)).toThrow(gone);
      expect(() => context.release()).toThrow(gone);
      context[Symbol.dispose]();
    });
    const next = gpu.createContext();
    expect(() => object.bind(context.vm)).toThrow(gone);
    expect(next.vm.vmas).toEqual([]);
    vma.unbind();
    expect(context.vm.alive).toBe(false);
    expect(() => object.bind(context.vm)).toThrow(gone);
    next.release();
    machine.check();
  });
});

describe('a GPU', () => {
  test('whose driver was removed refuses everything; a second remove does nothing', () => {
    const { machine, gpu } = full();
    expect(() => gpu.dmaDevice.destroy()).toThrow(expect.objectContaining({ code: 'EBUSY', reason: 'DRIVER_BOUND' }));
    const before = machine.ram.stats.inUse;
    expect(gpu.remove()).toBe(0);
    expect(machine.ram.stats.inUse).toBeLessThan(before);
    const heap = new SystemHeap(machine).alloc(PAGE);
    tracked(machine, () => {
      expect(gpu.remove()).toBe(0);
      for (const call of [
        () => gpu.createObject(PAGE),
        () => gpu.createStolen(PAGE),
        () => gpu.createContext(),
        () => gpu.importDmaBuf(heap),
        () => gpu.shrinkAll(),
        () => gpu.shrink(1, 6),
        () => gpu.idle(),
        () => gpu.retire(),
        () => gpu.evictEverything(),
        () => gpu.evictVm(gpu.ggtt),
        () => gpu.read(gpu.ggtt, 0, 4),
        () => gpu.ggtt.read(0, 4),
        () => gpu.ggtt.entry(0),
      ]) {
        expect(call).toThrow(gone);
      }
    });
    gpu.dmaDevice.destroy();
    expect(machine.devices).toEqual([]);
    machine.check();
  });

  test('goes back with the machine', () => {
    const { machine, gpu } = full();
    const snapshot = machine.snapshot();
    gpu.remove();
    gpu.dmaDevice.destroy();
    machine.restore(snapshot);
    using object = gpu.createObject(PAGE);
    object.bind(gpu.ggtt);
    expect(machine.devices).toEqual([gpu.dmaDevice]);
    machine.check();
  });
});

describe('a dma-buf', () => {
  test('that was released is attached no more, and an attachment ends once', () => {
    const { machine, gpu } = full();
    const device = machine.addDevice();
    const dmaBuf = new SystemHeap(machine).alloc(8192);
    const attachment = dmaBuf.attach(device);
    attachment.map();
    dmaBuf.release();
    tracked(machine, () => {
      expect(() => dmaBuf.attach(device)).toThrow(gone);
      expect(() => dmaBuf.release()).toThrow(gone);
      expect(() => dmaBuf.reference()).toThrow(gone);
      expect(() => gpu.importDmaBuf(dmaBuf)).toThrow(gone);
    });
    attachment.unmap();
    attachment.detach();
    tracked(machine, () => {
      expect(() => attachment.map()).toThrow(gone);
      expect(() => attachment.unmap()).toThrow(gone);
      expect(() => attachment.detach()).toThrow(gone);
    });
    machine.check();
  });

  test('takes live devices of its own machine', () => {
    const { machine } = full();
    const elsewhere = full().machine;
    const dmaBuf = new SystemHeap(machine).alloc(PAGE);
    const dead = machine.addDevice();
    dead.destroy();
    tracked(machine, () => {
      expect(() => dmaBuf.attach({} as never)).toThrow(badType);
      expect(() => dmaBuf.attach(elsewhere.addDevice())).toThrow(foreign);
      expect(() => dmaBuf.attach(dead)).toThrow(gone);
      expect(() => new SystemHeap({} as never)).toThrow(badType);
      expect(() => new DmaBuf(machine, {} as DmaBufExporter, PAGE)).toThrow(badType);
    });
  });

  test('goes back with a snapshot that does not hold it', () => {
    const { machine } = full();
    const device = machine.addDevice();
    const dmaBuf = new SystemHeap(machine).alloc(8192);
    const attachment = dmaBuf.attach(device);
    const snapshot = machine.snapshot();
    const late = new SystemHeap(machine).alloc(PAGE);
    attachment.detach();
    dmaBuf.release();
    machine.restore(snapshot);
    expect([dmaBuf.alive, attachment.alive, late.alive]).toEqual([true, true, false]);
    expect(() => late.release()).toThrow(stale);
    late[Symbol.dispose]();
    attachment.map();
    attachment.unmap();
    attachment.detach();
    dmaBuf.release();
    machine.check();
  });

  test('an object that its user released lives in its dma-buf, and is opened again by importing it', () => {
    const { gpu } = full();
    const object = gpu.createObject(PAGE);
    const dmaBuf = object.export();
    object.release();
    expect(() => object.getPages()).toThrow(gone);
    expect(gpu.importDmaBuf(dmaBuf)).toBe(object);
    object.getPages();
    dmaBuf.release();
    object.release();
    expect([gpu.liveObjects, dmaBuf.alive]).toEqual([0, false]);
  });

  test('an exporter of the caller lends a table, which nobody frees meanwhile', () => {
    const { machine, gpu } = full();
    const pages = ScatterTable.allocate(machine, 2);
    const ended: boolean[] = [];
    const exporter: DmaBufExporter = {
      name: 'mine',
      map({ device }) {
        const table = ScatterTable.fromPages(machine, pages.pfns());
        device.mapSgTable(table, DMA_BIDIRECTIONAL);
        return table;
      },
      unmap({ device }, table) {
        device.unmapSg(table, DMA_BIDIRECTIONAL);
        table.release();
        ended.push(table.alive);
      },
      release: () => pages.release(),
    };
    const dmaBuf = new DmaBuf(machine, exporter, 2 * PAGE);
    const object = gpu.importDmaBuf(dmaBuf);
    const vma = object.bind(gpu.ggtt);
    gpu.write(gpu.ggtt, vma.start + 100, Uint8Array.of(7));
    expect(machine.ram.read(pages.pfn(0) * PAGE + 100, 1)).toEqual(Uint8Array.of(7));
    const attachment = dmaBuf.attach(machine.addDevice());
    const table = attachment.map();
    tracked(machine, () => {
      expect(() => table.release()).toThrow(expect.objectContaining({ code: 'EBUSY', reason: 'TABLE_OF_ATTACHMENT' }));
      table[Symbol.dispose]();
    });
    attachment.unmap();
    attachment.detach();
    object.release();
    dmaBuf.release();
    expect([ended, pages.alive]).toEqual([[false, false], false]);
    machine.check();
  });

  test('an exporter that throws or returns nonsense leaves the importer whole', () => {
    const { machine, gpu } = full();
    const elsewhere = full().machine;
    const foreignTable = ScatterTable.allocate(elsewhere, 1);
    elsewhere.addDevice().mapSg(foreignTable, DMA_BIDIRECTIONAL);
    const device = machine.addDevice();
    const mapped = (pages: number): ScatterTable => {
      const table = ScatterTable.allocate(machine, pages);
      device.mapSg(table, DMA_BIDIRECTIONAL);
      return table;
    };
    const dead = mapped(1);
    device.unmapSg(dead, DMA_BIDIRECTIONAL);
    dead.release();
    let answer: unknown = 'nonsense';
    const exporter = {
      name: 'broken',
      map: () => {
        if (answer === undefined) throw new Error('no');
        return answer;
      },
      unmap() {},
      release() {},
    } as unknown as DmaBufExporter;
    const dmaBuf = new DmaBuf(machine, exporter, PAGE);
    const object = gpu.importDmaBuf(dmaBuf);
    const wrong = [
      ...['nonsense', Number.NaN, -1, 0, Promise.resolve(4), undefined, Object.create(ScatterTable.prototype)],
      ...[foreignTable, dead, mapped(2), ScatterTable.allocate(machine, 1)],
    ];
    for (answer of wrong) {
      expect(() => object.bind(gpu.ggtt)).toThrow();
      expect([object.pages, object.pagesPinCount, object.vmas]).toEqual([0, 0, []]);
    }
    object.release();
    dmaBuf.release();
    expect(gpu.liveObjects).toBe(0);
  });
});

describe('a process', () => {
  test('that has ended refuses, and its userptr objects find no memory', () => {
    const { machine, gpu } = full();
    const process = new Process(machine.ram);
    const address = process.mmap(PAGE, { populate: true });
    const object = gpu.createUserptr(process, address, PAGE);
    object.getPages();
    process.exit();
    process.exit();
    process[Symbol.dispose]();
    for (const call of [
      () => process.mmap(PAGE),
      () => process.munmap(address, PAGE),
      () => process.discard(address, PAGE),
      () => process.write(address, new Uint8Array(1)),
      () => process.read(address, 1),
      () => process.pfn(address),
      () => gpu.createUserptr(process, address, PAGE),
    ]) {
      expect(call).toThrow(gone);
    }
    expect(object.pages).toBe(0);
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    expect(() => object.getPages()).toThrow(/EFAULT/);
    object.release();
    machine.check();
  });

  test('goes back with a snapshot that does not hold it; one made since is stale', () => {
    const { machine } = full();
    const process = new Process(machine.ram);
    const address = process.mmap(PAGE);
    process.write(address, new Uint8Array([7]));
    const snapshot = machine.snapshot();
    const late = new Process(machine.ram);
    late.mmap(PAGE, { populate: true });
    process.exit();
    machine.restore(snapshot);
    expect([...process.read(address, 1)]).toEqual([7]);
    expect(() => late.mmap(PAGE)).toThrow(stale);
    late[Symbol.dispose]();
    expect(() => new Process({} as never)).toThrow(badType);
    machine.check();
  });
});

test('a machine that was disposed refuses what its drivers made', () => {
  const { machine, gpu } = full();
  const object = gpu.createObject(PAGE);
  machine[Symbol.dispose]();
  expect(() => object.getPages()).toThrow(expect.objectContaining({ reason: 'MACHINE_DISPOSED' }));
  expect(() => gpu.createContext()).toThrow(expect.objectContaining({ reason: 'MACHINE_DISPOSED' }));
  object[Symbol.dispose]();
});
