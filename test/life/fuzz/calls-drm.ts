import { ScatterTable } from '../../../src/dma/sg-table.js';
import { DmaBuf, type DmaBufAttachment } from '../../../src/drm/dma-buf.js';
import { Process } from '../../../src/drm/process.js';
import { SystemHeap } from '../../../src/drm/system-heap.js';
import type { GemObject } from '../../../src/i915/object.js';
import { POLICIES, POLICY_NAMES } from '../../../src/i915/policy/index.js';
import { type BindStage, POLICY_HOOKS } from '../../../src/i915/policy/policy.js';
import type { Vma } from '../../../src/i915/vma.js';
import { bytes, type Call, callback, LENGTHS, on, opts, some } from './calls-common.js';
import { type Source, WRONG } from './source.js';
import type { World } from './world.js';

/** Calls of the drivers: dma-bufs, processes, i915. */

const SIZES = [4096, 8192, 65536, 5000, '64KiB', 0, 2 ** 40];
const VIEWS = [
  undefined,
  { type: 'partial', offset: 0, size: 1 },
  { type: 'rotated', width: 1, height: 1 },
  { type: 'x' },
];

const object = (use: (o: GemObject, w: World, s: Source) => unknown): Call => on((w) => w.objects, use);

/** Calls of the drivers, by name. `again` is any call, for callbacks. */
export function driverCalls(again: Call): Record<string, Call> {
  return {
    newHeap: (w, s) => w.hasDrivers && w.keep(w.heaps, new SystemHeap(w.one(w.machines, s))),
    heapAlloc: on(
      (w) => w.heaps,
      (h, w, s) => w.keep(w.dmaBufs, h.alloc(some(s, SIZES))),
    ),
    ownExporter: (w, s) => {
      const turn = callback(w, s, again);
      const map = (attachment: DmaBufAttachment): ScatterTable => {
        const answer = turn(attachment, attachment.dmaBuf, attachment.device);
        const mine = w.one(w.tables, s);
        if (mine instanceof ScatterTable) attachment.device.mapSg(mine, 0);
        return (answer as ScatterTable) ?? mine;
      };
      const exporter = s.once(6) ? s.pick(WRONG) : { name: 'mine', map, unmap: turn, release: turn };
      w.keep(w.dmaBufs, new DmaBuf(w.one(w.machines, s), exporter as never, some(s, SIZES)));
    },
    attachBuf: on(
      (w) => w.dmaBufs,
      (b, w, s) => w.keep(w.attachments, b.attach(w.one(w.devices, s))),
    ),
    releaseBuf: on(
      (w) => w.dmaBufs,
      (b, _, s) => (s.once(4) ? b[Symbol.dispose]() : b.release()),
    ),
    referenceBuf: on(
      (w) => w.dmaBufs,
      (b) => b.reference(),
    ),
    mapAttachment: on(
      (w) => w.attachments,
      (a) => a.map(),
    ),
    unmapAttachment: on(
      (w) => w.attachments,
      (a) => a.unmap(),
    ),
    detachAttachment: on(
      (w) => w.attachments,
      (a) => a.detach(),
    ),
    newProcess: (w, s) =>
      w.hasDrivers &&
      w.keep(
        w.processes,
        new Process(
          w.one(
            w.machines.map(({ ram }) => ram),
            s,
          ),
        ),
      ),
    registerShrinker: (w, s) => {
      if (!w.hasDrivers || !s.once(3)) return;
      const turn = callback(w, s, again);
      const pages = (): never => (turn() ?? 0) as never;
      w.machine(s).reclaim.register(s.once(6) ? (s.pick(WRONG) as never) : { count: pages, scan: pages });
    },
    mmap: on(
      (w) => w.processes,
      (p, w, s) => w.keep(w.users, p.mmap(some(s, SIZES), opts(s, { populate: [true, false] }))),
    ),
    process: on(
      (w) => w.processes,
      (p, w, s) => {
        const at = some(s, w.users);
        switch (s.below(9)) {
          case 0:
            return p.munmap(at, some(s, LENGTHS));
          case 1:
            return p.discard(at, some(s, LENGTHS));
          case 2:
            return p.write(at, bytes(s));
          case 3:
            return void p.read(at, some(s, [0, 1, 64, 5000]));
          case 4:
            return void p.accessOk(at, some(s, LENGTHS));
          case 5:
            return void p.pfn(at);
          case 6:
            return s.once(4) ? p.exit() : undefined;
          case 7:
            return s.once(4) ? p[Symbol.dispose]() : undefined;
          default: {
            const turn = callback(w, s, again);
            return p.registerNotifier(s.once(6) ? w.one([], s) : { invalidate: turn });
          }
        }
      },
    ),
    addGpu: (w, s) => {
      if (!w.hasDrivers || w.gpus.length > 4) return;
      const turn = callback(w, s, again);
      const base = POLICIES[s.pick(POLICY_NAMES)];
      const hook =
        (name: (typeof POLICY_HOOKS)[number]) =>
        (o: GemObject, v: Vma, stage: BindStage): unknown => {
          const own = (base[name] as ((o: GemObject, v: Vma, stage: BindStage) => unknown) | undefined)?.(o, v, stage);
          const kin = typeof o === 'object' ? o.vmas.map(({ vm }) => vm) : [];
          return turn(o, v, v?.vm, ...kin, ...w.contexts.filter(({ vm }) => kin.includes(vm))) ?? own;
        };
      const hooked = { ...base };
      for (const name of POLICY_HOOKS) Object.assign(hooked, { [name]: hook(name) });
      const gpu = w.machine(s).addI915(
        opts(s, {
          gen: [6, 7, 8, 9, 99, '8'],
          ppgtt: ['none', 'aliasing', 'full', 'full-48bit'],
          policy: [
            ...POLICY_NAMES,
            hooked,
            hooked,
            base,
            { name: 'x', bind: async () => 0 },
            { ...base, bind: () => Number.NaN },
          ],
          stolen: ['4MiB', 0, 5],
          ggtt: ['1GiB', '2GiB'],
          defects: [{ danglingPages: true }, { nope: true }],
          shrinkAndRemap: [true, false],
        }),
      );
      w.keep(w.gpus, gpu);
      w.keep(w.spaces, gpu.ggtt);
    },
    removeGpu: on(
      (w) => w.gpus,
      (g, _, s) => s.once(4) && g.remove(),
    ),
    createObject: on(
      (w) => w.gpus,
      (g, w, s) => w.keep(w.objects, g.createObject(some(s, SIZES), opts(s, { caching: ['none', 'llc', 'x'] }))),
    ),
    createStolen: on(
      (w) => w.gpus,
      (g, w, s) => w.keep(w.objects, g.createStolen(some(s, SIZES))),
    ),
    createUserptr: on(
      (w) => w.gpus,
      (g, w, s) =>
        w.keep(
          w.objects,
          g.createUserptr(
            w.one(w.processes, s),
            some(s, w.users),
            some(s, SIZES),
            opts(s, { unsynchronized: [true, false], readOnly: [true, false], privileged: [true, false] }),
          ),
        ),
    ),
    importBuf: on(
      (w) => w.gpus,
      (g, w, s) => w.keep(w.objects, g.importDmaBuf(w.one(w.dmaBufs, s))),
    ),
    createContext: on(
      (w) => w.gpus,
      (g, w, s) => {
        const context = w.keep(w.contexts, g.createContext());
        if (s.once(2)) w.keep(w.spaces, context.vm);
      },
    ),
    releaseContext: on(
      (w) => w.contexts,
      (c, _, s) => (s.once(3) ? c[Symbol.dispose]() : c.release()),
    ),
    execbuffer: on(
      (w) => w.gpus,
      (g, w, s) => {
        const list = Array.from({ length: s.below(4) }, () => {
          const entry: Record<string, unknown> = { object: w.one(w.objects, s) };
          if (s.once(4)) entry.write = some(s, [true, false]);
          if (s.once(4)) entry.alignment = some(s, [0, 4096, 65536, 3, 3 * 2 ** 32]);
          if (s.once(6)) entry.needsGtt = some(s, [true, false]);
          return entry;
        });
        const { vmas } = g.execbuffer(
          w.one(w.contexts, s),
          s.once(12) ? some(s, [null]) : (list as never),
          opts(s, { busy: [0, 1, 5, -1] }),
        );
        for (const vma of vmas) w.keep(w.vmas, vma);
      },
    ),
    gpu: on(
      (w) => w.gpus,
      (g, w, s) => {
        const space = w.one(w.spaces, s);
        switch (s.below(11)) {
          case 0:
            return g.retire();
          case 1:
            return g.idle();
          case 2:
            return void g.shrink(some(s, [0, 1, 100, 2 ** 40]), some(s, [1, 2, 4, 7, 8]));
          case 3:
            return void g.shrinkAll();
          case 4:
            return void g.shrinkerCount();
          case 5:
            return void g.shrinkerScan(some(s, [0, 1, 100]));
          case 6:
            return g.evictVm(space);
          case 7:
            return g.evictEverything();
          case 8:
            return void g.read(space, some(s, [0, 4096, 2 ** 32, 2 ** 48]), some(s, [0, 1, 5000]));
          case 9:
            return g.write(space, some(s, [0, 4096, 2 ** 32]), bytes(s));
          default:
            return void g.liveObjects;
        }
      },
    ),
    bind: object((o, w, s) =>
      w.keep(
        w.vmas,
        o.bind(
          w.one(w.spaces, s),
          opts(s, {
            alignment: [4096, 65536, 3, 3 * 2 ** 32],
            view: VIEWS,
            mappable: [true, false],
            nonblock: [true, false],
            offsetBias: [0, 4096, 2 ** 40],
            as: ['global', 'user', 'both'],
            pin: [true, false],
          }),
        ),
      ),
    ),
    lookupVma: object((o, w, s) => o.vma(w.one(w.spaces, s), some(s, VIEWS))),
    objectPages: object((o, _, s) => {
      switch (s.below(6)) {
        case 0:
          return o.getPages();
        case 1:
          return o.putPages();
        case 2:
          return o.pinPages();
        case 3:
          return o.unpinPages();
        case 4:
          return void o.getPage(some(s, [0, 1, 15, 16]));
        default:
          return void [o.vmas, o.pinned, o.madvised, String(o)];
      }
    }),
    objectBytes: object((o, _, s) =>
      s.once(2)
        ? o.pwrite(some(s, [0, 1, 4095, 4096]), bytes(s))
        : o.pread(some(s, [0, 1, 4096]), some(s, [0, 1, 64, 5000])),
    ),
    objectState: object((o, _, s) => {
      switch (s.below(5)) {
        case 0:
          return void o.madvise(some(s, ['willneed', 'dontneed', 'x']));
        case 1:
          return o.setDomain(some(s, ['cpu', 'gtt', 'x']), some(s, [true, false]));
        case 2:
          return o.setCacheLevel(some(s, ['none', 'llc', 'wt', 'x']));
        case 3:
          return o.setTiling(some(s, [true, false]));
        default:
          return o.attachPhys(some(s, [4096, 65536, 0, 3]));
      }
    }),
    exportObject: object((o, w) => w.keep(w.dmaBufs, o.export())),
    objectMap: object((o, _, s) => (s.once(2) ? o.mapSg() : o.unmapSg())),
    releaseObject: object((o, _, s) => (s.once(3) ? o[Symbol.dispose]() : o.release())),
    vma: on(
      (w) => w.vmas,
      (v, _, s) => {
        switch (s.below(4)) {
          case 0:
            return v.unbind();
          case 1:
            return v.unpin();
          case 2:
            return v[Symbol.dispose]();
          default:
            return void [v.allocated, String(v)];
        }
      },
    ),
  };
}
