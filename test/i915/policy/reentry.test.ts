import { describe, expect, test } from 'vitest';
import { DMA_BIDIRECTIONAL } from '../../../src/dma/transfer.js';
import { Process } from '../../../src/drm/process.js';
import type { GpuContext } from '../../../src/i915/context.js';
import type { I915Device } from '../../../src/i915/device.js';
import type { GemObject } from '../../../src/i915/object.js';
import type { MappingPolicy } from '../../../src/i915/policy/policy.js';
import type { Vma } from '../../../src/i915/vma.js';
import type { Machine } from '../../../src/machine-drivers/machine.js';
import { gpuOn, MiB, pattern } from '../gpu.js';

/** Hooks that call back into the driver, in the middle of its call. test/life/hooks has every pair of hook and call. */

type Hook = 'getPages' | 'bind' | 'unbind' | 'lastVma' | 'putPages' | 'purge';

interface Rig {
  machine: Machine;
  gpu: I915Device;
  context: GpuContext;
  object: GemObject;
  /** What the next run of a hook for an object does, once; by default for the rig's own. */
  in(hook: Hook, act: (object: GemObject, vma: Vma) => unknown, of?: GemObject): void;
}

function rig(options = {}, machineOptions = {}): Rig {
  let target: GemObject | undefined;
  const acts = new Map<Hook, (object: GemObject, vma: Vma) => unknown>();
  const act = (hook: Hook, object: GemObject, vma?: Vma): void => {
    const run = acts.get(hook);
    if (run === undefined || object !== (target ?? mine)) return;
    acts.delete(hook);
    run(object, vma!);
  };
  const policy: MappingPolicy = {
    name: 'calls back',
    getPages(object) {
      const rc = object.mapSg();
      act('getPages', object);
      return rc;
    },
    bind: (object, vma) => act('bind', object, vma) as undefined,
    unbind: (object, vma) => act('unbind', object, vma),
    lastVma: (object, vma) => act('lastVma', object, vma),
    putPages(object) {
      object.unmapSg();
      act('putPages', object);
    },
    purge: (object) => act('purge', object),
  };
  const { machine, gpu } = gpuOn({ gen: 8, ppgtt: 'full', policy, ...options }, machineOptions);
  const context = gpu.createContext();
  const mine = gpu.createObject(8192);
  const within: Rig['in'] = (hook, run, of) => {
    target = of;
    acts.set(hook, run);
  };
  return { machine, gpu, context, object: mine, in: within };
}

const busy = (reason = 'OBJECT_BUSY'): unknown => expect.objectContaining({ code: 'EBUSY', reason });

/** What the hook did was refused, and the call that ran the hook was not. */
function refusedIn(hook: Hook, act: (r: Rig) => unknown, call: (r: Rig) => unknown, reason?: string): Rig {
  const r = rig();
  let ran = false;
  r.in(hook, () => {
    ran = true;
    expect(() => act(r)).toThrow(busy(reason));
  });
  call(r);
  expect(ran).toBe(true);
  r.machine.check();
  return r;
}

/** The object and its relatives live a second time, and nothing is left of them. */
function ends({ machine, gpu, context, object }: Rig): void {
  object.bind(context.vm);
  object.bind(gpu.ggtt, { pin: true }).unpin();
  gpu.execbuffer(context, [{ object }]);
  gpu.shrinkAll();
  object.release();
  context.release();
  expect([gpu.liveObjects, gpu.remove()]).toEqual([0, 0]);
  machine.check();
}

const bind = (r: Rig): unknown => r.object.bind(r.context.vm);
const bindAndShrink = (r: Rig): void => {
  bind(r);
  r.gpu.shrinkAll();
};

describe('what would change or end the object in the middle is refused', () => {
  test.each<[Hook, string, (r: Rig) => unknown]>([
    ['getPages', 'release', ({ object }) => object.release()],
    ['getPages', 'putPages', ({ object }) => object.putPages()],
    ['getPages', 'bind', ({ object, gpu }) => object.bind(gpu.ggtt)],
    ['getPages', 'release of the context', ({ context }) => context.release()],
    ['bind', 'release', ({ object }) => object.release()],
    ['bind', 'unbind', ({ object }) => object.vmas[0].unbind()],
    ['bind', 'execbuffer', ({ gpu, context, object }) => gpu.execbuffer(context, [{ object }])],
    ['bind', 'release of the context', ({ context }) => context.release()],
    ['unbind', 'bind', bind],
    ['unbind', 'execbuffer', ({ gpu, context, object }) => gpu.execbuffer(context, [{ object }])],
    ['lastVma', 'release', ({ object }) => object.release()],
    ['lastVma', 'bind', bind],
    ['putPages', 'bind', bind],
    ['putPages', 'pinPages', ({ object }) => object.pinPages()],
    ['putPages', 'madvise', ({ object }) => object.madvise('dontneed')],
  ])('in %s: %s', (hook, _, act) => {
    ends(refusedIn(hook, act, bindAndShrink));
  });

  test('the driver, the machine', () => {
    for (const hook of ['getPages', 'bind', 'unbind', 'putPages'] as const) {
      const rest = 'CALL_UNDER_WAY';
      ends(refusedIn(hook, ({ gpu }) => gpu.remove(), bindAndShrink, rest));
      ends(refusedIn(hook, ({ machine }) => machine[Symbol.dispose](), bindAndShrink, rest));
      ends(refusedIn(hook, ({ machine }) => machine.snapshot(), bindAndShrink, rest));
    }
  });

  test('the memory of a userptr object that is in the middle of a call', () => {
    for (const act of ['munmap', 'discard', 'exit'] as const) {
      const r = rig();
      const process = new Process(r.machine.ram);
      const at = process.mmap(8192, { populate: true });
      const user = r.gpu.createUserptr(process, at, 8192);
      user.bind(r.gpu.ggtt);
      r.in(
        'putPages',
        () => {
          expect(() => (act === 'exit' ? process.exit() : process[act](at, 4096))).toThrow(busy());
        },
        user,
      );
      r.gpu.shrinkAll();
      process.exit();
      user.release();
      ends(r);
    }
  });
});

describe('reclaim passes by what is in the middle of a call', () => {
  test.each<Hook>(['getPages', 'bind', 'unbind', 'putPages'])('in %s', (hook) => {
    const r = rig();
    const other = r.gpu.createObject(4096);
    other.bind(r.context.vm);
    let released = -1;
    r.in(hook, () => {
      r.gpu.evictVm(r.context.vm);
      released = r.gpu.shrinkAll();
    });
    bindAndShrink(r);
    // The other object is older: by the time of putPages it has been released.
    expect(released).toBe(hook === 'putPages' ? 0 : 1);
    other.release();
    ends(r);
  });

  test('eviction for a new vma does not take the one that is being bound', () => {
    const r = rig({ ggtt: 1024 * MiB, ppgtt: 'none' }, { ram: '2GiB' });
    const { gpu, object } = r;
    const large = gpu.createObject(1000 * MiB);
    let inner: unknown;
    r.in(
      'bind',
      () => {
        try {
          gpu.createObject(1000 * MiB).bind(gpu.ggtt);
        } catch (error) {
          inner = error;
        }
      },
      large,
    );
    large.bind(gpu.ggtt);
    expect(inner).toEqual(expect.objectContaining({ code: 'ENOSPC' }));
    expect(large.vmas[0].allocated).toBe(true);
    object.bind(gpu.ggtt);
    r.machine.check();
  });

  test('a place that is made for one is not given to another', () => {
    const r = rig({ ggtt: 1024 * MiB, ppgtt: 'none' }, { ram: '2GiB' });
    const { gpu, object } = r;
    const [first, second] = [gpu.createObject(600 * MiB), gpu.createObject(600 * MiB)];
    first.bind(gpu.ggtt);
    let refused = 0;
    r.in(
      'unbind',
      () => {
        expect(() => object.bind(gpu.ggtt)).toThrow(busy('ADDRESS_SPACE_BUSY'));
        ++refused;
      },
      first,
    );
    second.bind(gpu.ggtt);
    expect([refused, second.vmas[0].allocated, first.vmas]).toEqual([1, true, []]);
  });
});

test('an importer is told why its exporter refuses', () => {
  const r = rig();
  const other = r.machine.addI915({ gen: 7 });
  const imported = other.importDmaBuf(r.object.export());
  r.object.dmaBuf!.release();
  let ran = false;
  r.in('getPages', () => {
    ran = true;
    expect(() => imported.bind(other.ggtt)).toThrow(busy());
  });
  bind(r);
  expect(ran).toBe(true);
  imported.bind(other.ggtt);
  imported.release();
  expect(other.remove()).toBe(0);
  ends(r);
});

describe('what a hook may do', () => {
  test('read and write the object while there are pages, and export it', () => {
    for (const hook of ['getPages', 'bind', 'unbind', 'lastVma', 'putPages'] as const) {
      const r = rig();
      let read: Uint8Array | undefined;
      r.in(hook, (object) => {
        object.pwrite(5, pattern(100));
        read = object.pread(5, 100);
        object.export().release();
        expect(object.getPage(1)).toBeGreaterThan(0);
      });
      bindAndShrink(r);
      expect(read).toEqual(pattern(100));
      ends(r);
    }
  });

  test('anything with other objects, and the DMA API', () => {
    for (const hook of ['getPages', 'bind', 'unbind', 'lastVma', 'putPages'] as const) {
      const r = rig();
      const other = r.gpu.createObject(4096);
      let ran = 0;
      r.in(hook, () => {
        const vma = other.bind(r.gpu.ggtt, { pin: true });
        vma.unpin();
        vma.unbind();
        const another = r.gpu.createContext();
        r.gpu.execbuffer(another, [{ object: other }]);
        another.release();
        r.gpu.idle();
        const card = r.machine.addDevice({ maskBits: 64 });
        card.unmapPage(card.mapPage(5, 0, 64, DMA_BIDIRECTIONAL), 64, DMA_BIDIRECTIONAL);
        card.destroy();
        other.release();
        ++ran;
      });
      bindAndShrink(r);
      expect([ran, other.alive]).toEqual([1, false]);
      ends(r);
    }
  });

  test('unbinding an object that only the GPU still holds frees it when the call is over', () => {
    const r = rig();
    const { gpu, context, object } = r;
    const { vmas } = gpu.execbuffer(context, [{ object }], { busy: 100 });
    object.release();
    let live = -1;
    r.in('unbind', () => {
      live = gpu.liveObjects;
    });
    vmas[0].unbind();
    expect([live, gpu.liveObjects, object.alive]).toEqual([1, 0, false]);
    context.release();
    expect(gpu.remove()).toBe(0);
    r.machine.check();
  });
});

test('hooks that run hooks without an end are stopped, and all of it is undone', () => {
  const { machine, gpu } = gpuOn({
    gen: 8,
    policy: {
      name: 'endless',
      bind(object) {
        object.device.createObject(4096).bind(object.device.ggtt);
        return 0;
      },
    },
  });
  expect(() => gpu.createObject(4096).bind(gpu.ggtt)).toThrow(busy('HOOKS_TOO_DEEP'));
  expect(gpu.ggtt.vmas).toEqual([]);
  machine.check();
});

test('objects that hooks put back on a list are looked at once by each scan of the shrinker', () => {
  const { machine, gpu } = gpuOn({
    policy: {
      name: 'ping-pong',
      putPages(object) {
        if (object.alive) for (const other of objects) if (other !== object) other.getPages();
      },
    },
  });
  const objects = [1, 2, 3].map(() => gpu.createObject(4096));
  objects[0].getPages();
  expect(gpu.shrinkAll()).toBeLessThan(10);
  machine.check();
});

test('work of the clock that queues itself for the same moment is stopped', () => {
  const { machine } = gpuOn();
  const again = (): void => void machine.clock.schedule(0, again);
  again();
  expect(() => machine.clock.advance(1)).toThrow(busy('CLOCK_STUCK'));
  machine.check();
});
