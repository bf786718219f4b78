import { FAULT_KINDS } from '../../../src/core/faults.js';
import { DmaDevice } from '../../../src/dma/device.js';
import { DmaDomain } from '../../../src/dma/dma-domain.js';
import { ScatterTable } from '../../../src/dma/sg-table.js';
import { deviceRead, deviceWrite } from '../../../src/iommu/iommu.js';
import { IovaDomain } from '../../../src/iova/iova-domain.js';
import {
  address,
  attrs,
  bytes,
  type Call,
  call,
  callback,
  device,
  dir,
  LENGTHS,
  length,
  OFFSETS,
  on,
  opts,
  pfn,
  physical,
  real,
  SIZES,
  some,
  table,
} from './calls-common.js';
import { driverCalls } from './calls-drm.js';
import { type Source, WRONG } from './source.js';
import type { World } from './world.js';

/** Calls of the machine and of the DMA API, and the list of all. */

const ALLOCATORS = ['tree-4.2', 'tree-6.12', 'rcache', 'fast'];

const DRIVER_CALLS = driverCalls(anyCall);

const CALLS: Record<string, Call> = {
  ...DRIVER_CALLS,
  // Devices
  addDevice: (w, s) =>
    w.keep(
      w.devices,
      w.machine(s).addDevice(
        opts(s, {
          name: ['a', 'b'],
          driver: ['x'],
          maskBits: [32, 24, 39, 64, 12, 99],
          coherentMaskBits: [32, 64, 12],
          maxSegment: [4096, 65536, 1, 2 ** 32 - 1],
          segmentBoundaryBits: [12, 32, 64, 0],
          minAlignMask: [0, 0xfff, 0xffff],
          forceBounce: [true, false],
          sourceId: [0x10, 0x100, 70000],
          domain: ['own', 'passthrough', w.one(w.devices, s)],
        }),
      ),
    ),
  newDevice: (w, s) =>
    w.keep(
      w.devices,
      new DmaDevice(
        w.one(w.machines, s),
        opts(s, { id: [1, 2, 50, 0x7fff, 0x8000], domain: ['passthrough', w.one(w.domains, s)], maskBits: [32, 64] }),
      ),
    ),
  destroyDevice: device((d) => d.destroy()),
  attach: device((d, w, s) => d.attach(s.once(4) ? 'passthrough' : w.one(w.domains, s))),
  detach: device((d) => d.detach()),
  setMask: device((d, _, s) => d.setMask(some(s, [32, 24, 64, 12, 11]))),
  setSegments: device((d, _, s) => d.setSegments(length(s), some(s, [12, 32, 64]), some(s, [0, 0xfff, 7]))),
  getters: device((d) => [d.counts, d.limits, d.reason, d.alive, d.domain, d.name]),
  mapPage: device((d, w, s) =>
    w.keep(w.addresses, d.mapPage(pfn(w, s), some(s, OFFSETS), length(s), dir(s), attrs(s))),
  ),
  unmapPage: device((d, w, s) => d.unmapPage(address(w, s), length(s), dir(s), attrs(s))),
  mapSingle: device((d, w, s) =>
    w.keep(w.addresses, d.mapSingle(physical(w, s), length(s), dir(s), attrs(s), some(s, [false, false, true]))),
  ),
  unmapSingle: device((d, w, s) => d.unmapSingle(address(w, s), length(s), dir(s), attrs(s))),
  mapSg: device((d, w, s) => d.mapSg(w.one(w.tables, s), dir(s), attrs(s))),
  mapSgTable: device((d, w, s) => d.mapSgTable(w.one(w.tables, s), dir(s), attrs(s))),
  unmapSg: device((d, w, s) =>
    d.unmapSg(w.one(w.tables, s), dir(s), attrs(s), s.once(3) ? some(s, [0, 1, 2, 5, 1000, 2 ** 31 - 1]) : undefined),
  ),
  mapResource: device((d, w, s) => w.keep(w.addresses, d.mapResource(physical(w, s), length(s), dir(s), attrs(s)))),
  unmapResource: device((d, w, s) => d.unmapResource(address(w, s), length(s), dir(s), attrs(s))),
  mappingError: device((d, w, s) => d.mappingError(address(w, s))),
  syncForCpu: device((d, w, s) => d.syncForCpu(address(w, s), length(s), dir(s))),
  syncForDevice: device((d, w, s) => d.syncForDevice(address(w, s), length(s), dir(s))),
  syncSgForCpu: device((d, w, s) => d.syncSgForCpu(w.one(w.tables, s), dir(s), s.once(3) ? some(s, SIZES) : undefined)),
  syncSgForDevice: device((d, w, s) =>
    d.syncSgForDevice(w.one(w.tables, s), dir(s), s.once(3) ? some(s, SIZES) : undefined),
  ),
  allocCoherent: device((d, w, s) => w.keep(w.buffers, d.allocCoherent(length(s), attrs(s)))),
  freeCoherent: device((d, w, s) =>
    s.once(4) ? d.freeCoherent(w.one(w.buffers, s), length(s), address(w, s)) : d.freeCoherent(w.one(w.buffers, s)),
  ),
  freeBuffer: on(
    (w) => w.buffers,
    (b) => b.free(),
  ),
  bufferTable: on(
    (w) => w.buffers,
    (b, w, s) => (s.once(2) ? w.keep(w.tables, b.table) : b.table.release()),
  ),
  disposeBuffer: on(
    (w) => w.buffers,
    (b) => b[Symbol.dispose](),
  ),
  allocIova: device((d, w, s) => w.keep(w.ranges, d.allocIova(length(s), physical(w, s)))),
  link: on(
    (w) => w.ranges,
    (r, w, s) => r.link(some(s, [0, 4096, 0x11]), physical(w, s), length(s), dir(s), attrs(s)),
  ),
  unlink: on(
    (w) => w.ranges,
    (r, _, s) => r.unlink(some(s, [0, 4096, 0x11]), length(s), dir(s), attrs(s)),
  ),
  syncRange: on(
    (w) => w.ranges,
    (r, _, s) => (s.once(2) ? r.sync() : r.sync(some(s, [0, 4096]), length(s))),
  ),
  freeRange: on(
    (w) => w.ranges,
    (r, _, s) => (s.once(2) ? r.free() : r.free(length(s), dir(s), attrs(s))),
  ),
  // Tables
  allocTable: (w, s) =>
    w.keep(
      w.tables,
      ScatterTable.allocate(
        w.one(w.machines, s),
        some(s, SIZES),
        opts(s, { maxSegment: LENGTHS, coalesce: [true, false] }),
      ),
    ),
  allocBlockTable: (w, s) =>
    w.keep(w.tables, ScatterTable.allocateBlock(w.machine(s), some(s, [0, 1, 3, 10, 11]), some(s, [true, false]))),
  fromPages: (w, s) => {
    const pfns = Array.from({ length: s.below(12) }, () => pfn(w, s));
    const options = opts(s, { offset: OFFSETS, size: LENGTHS, maxSegment: LENGTHS, coalesce: [true, false] });
    w.keep(w.tables, ScatterTable.fromPages(w.machine(s), s.once(12) ? (s.pick(WRONG) as never) : pfns, options));
  },
  fromEntries: (w, s) => {
    const entries = Array.from({ length: s.below(6) }, () => ({
      pfn: pfn(w, s),
      offset: some(s, OFFSETS),
      length: length(s),
    }));
    w.keep(w.tables, ScatterTable.fromEntries(w.machine(s), s.once(12) ? (s.pick(WRONG) as never) : entries));
  },
  readTable: table((t, w, s) => {
    const { bytes: _, origNents, pageCount, nents, mapped } = t;
    if (pageCount < 5000) t.pfns();
    if (origNents < 5000) t.entries();
    if (nents < 5000 && mapped) for (const segment of t.segments().slice(0, 3)) w.keep(w.addresses, segment.address);
    w.keep(w.addresses, t.dmaAddress(some(s, [0, 0, 1, 5, 1000])));
    t.pfn(some(s, [0, 1, 7]));
  }),
  releaseTable: table((t) => t.release()),
  disposeTable: table((t) => t[Symbol.dispose]()),
  // Domains
  newDomain: (w, s) =>
    w.keep(
      w.domains,
      new DmaDomain(
        w.one(w.machines, s),
        opts(s, {
          mode: ['strict', 'lazy'],
          levels: [3, 4, 5, 2],
          width: [21, 30, 39, 48, 53, 57],
          pageSizes: [0x1000, 0x201000, 0x40201000, 1],
          allocator: ALLOCATORS,
          reserved: [[[0, 5]], [[1, 2 ** 40]], [[5, 1]], [], [[2 ** 52 - 1, 2 ** 52 - 1]]],
          flushQueue: [{ entries: 4 }, { entries: 3 }, { milliseconds: 1 }, { x: 1 }],
          mergeSegments: [true, false],
          unmapWholeRange: [true, false],
          retryBelow4GiB: [true, false],
          deferredList: [true, false],
          writeImpliesRead: [true, false],
        }),
      ),
    ),
  domainOf: device((d, w) => d.domain instanceof DmaDomain && w.keep(w.domains, d.domain)),
  destroyDomain: on(
    (w) => w.domains,
    (d) => d.destroy(),
  ),
  reserve: on(
    (w) => w.domains,
    (d, _, s) => d.reserve(some(s, [0, 1, 100, 2 ** 40]), some(s, [0, 1, 200, 2 ** 52 - 1])),
  ),
  domainGetters: on(
    (w) => w.domains,
    (d, _, s) => [d.pending, d.flushes, d.alive, d.lazy, d.iovaStats(some(s, [1, 0xfffff, 2 ** 40]))],
  ),
  flush: on(
    (w) => w.domains,
    (d) => d.flush(),
  ),
  attachDevice: on(
    (w) => w.domains,
    (d, w, s) => d.attach(w.one(w.devices, s)),
  ),
  // IOVA
  newIova: (w, s) =>
    w.keep(
      w.iovas,
      new IovaDomain(
        w.one(w.machines, s),
        opts(s, {
          allocator: ALLOCATORS,
          granule: [4096, 65536, 5000],
          startPfn: [1, 8, 2 ** 50],
          cpus: [1, 2, 64, 65],
        }),
      ),
    ),
  iovaAlloc: on(
    (w) => w.iovas,
    (d, w, s) =>
      w.keep(w.pfns, d.alloc(some(s, SIZES), opts(s, { limit: [63, 0xfffff, 2 ** 40, 1], aligned: [true, false] }))),
  ),
  iovaAllocFast: on(
    (w) => w.iovas,
    (d, w, s) =>
      w.keep(w.pfns, d.allocFast(some(s, SIZES), opts(s, { limit: [63, 0xfffff, 2 ** 40, 1], flush: [true, false] }))),
  ),
  iovaFree: on(
    (w) => w.iovas,
    (d, w, s) => d.free(pfn(w, s)),
  ),
  iovaReserve: on(
    (w) => w.iovas,
    (d, w, s) => d.reserve(pfn(w, s), some(s, [10, 100, 0xfffff, 2 ** 52])),
  ),
  iovaFind: on(
    (w) => w.iovas,
    (d, w, s) => d.find(pfn(w, s)),
  ),
  iovaLook: on(
    (w) => w.iovas,
    (d, _, s) => {
      const limit = some(s, [63, 0xfffff, 2 ** 52]);
      if (d.check() !== 0) throw new Error(`the IOVA domain is broken: ${d.check()}`);
      return [d.stats(limit), d.histogram(limit), [...d.ranges()].length];
    },
  ),
  destroyIova: on(
    (w) => w.iovas,
    (d) => d.destroy(),
  ),
  // RAM
  ramAlloc: (w, s) => {
    const pfns = w.machine(s).ram.alloc(some(s, [1, 2, 5, 1, 1, 100, 5000]));
    for (const one of pfns.subarray(0, 5)) w.keep(w.pfns, one);
  },
  ramFree: (w, s) =>
    w.hasDrivers ||
    w.machine(s).ram.free(s.once(8) ? (s.pick(WRONG) as never) : Array.from({ length: s.below(4) }, () => pfn(w, s))),
  allocBlock: (w, s) =>
    w.keep(w.pfns, w.machine(s).ram.allocBlock(some(s, [0, 1, 3, 10, 11]), some(s, ['normal', 'dma32']))),
  freeBlock: (w, s) => w.hasDrivers || w.machine(s).ram.freeBlock(pfn(w, s), some(s, [0, 1, 3, 10, 11])),
  ramRead: (w, s) => w.machine(s).ram.read(physical(w, s), some(s, [0, 1, 64, 70000])),
  ramWrite: (w, s) => !w.hasDrivers && w.machine(s).ram.write(physical(w, s), bytes(s)),
  ramStats: (w, s) => call(w.machine(s).ram, (ram) => (s.once(2) ? ram.stats : ram.drain())),
  // Accesses, the unit, the pool
  deviceRead: (w, s) => deviceRead(w.one(w.machines, s), w.one(w.devices, s), address(w, s), some(s, [1, 64, 5000])),
  deviceWrite: (w, s) =>
    !w.hasDrivers && deviceWrite(w.one(w.machines, s), w.one(w.devices, s), address(w, s), bytes(s)),
  iommu: (w, s) => {
    const { iommu } = w.machine(s);
    const domain = w.one(w.domains, s);
    switch (s.below(9)) {
      case 0:
        return void iommu.faults();
      case 1:
        return void iommu.staleAccesses();
      case 2:
        return void iommu.alreadySet();
      case 3:
        return iommu.clearLog();
      case 4:
        return void [iommu.stats, iommu.iotlb];
      case 5:
        return iommu.flushAll();
      case 6:
        return void iommu.dump(domain);
      case 7:
        return void iommu.leaves(domain, address(w, s), length(s));
      default:
        return void iommu.iovaToPhys(domain, address(w, s));
    }
  },
  swiotlb: (w, s) =>
    call(w.machine(s).swiotlb, (pool) => pool && [pool.stats, [...pool.mappings()], pool.resetHighWater()]),
  // Events, the clock, dma-debug
  events: (w, s) => {
    const { events } = w.machine(s);
    switch (s.below(4)) {
      case 0:
        return events.start(opts(s, { records: [1, 4, 100, 0, 2 ** 21] }));
      case 1:
        return events.stop();
      default:
        return void events.drain();
    }
  },
  schedule: (w, s) => {
    const { clock } = w.machine(s);
    const run = s.once(8) ? (s.pick(WRONG) as never) : callback(w, s, anyCall);
    w.keep(w.cancels, clock.schedule(some(s, [0, 1, 10, 0.5, 2 ** 41]), run));
  },
  cancel: on(
    (w) => w.cancels,
    (cancel) => cancel(),
  ),
  advance: (w, s) => {
    const { clock } = w.machine(s);
    if (s.once(3)) clock.run();
    else clock.advance(some(s, [0, 1, 5, 10, 100, 1000]));
    call(clock.now + clock.pending, () => {});
  },
  debug: (w, s) => {
    const { dmaDebug } = w.machine(s);
    switch (s.below(11)) {
      case 0:
        return void [dmaDebug.counters(), dmaDebug.poll()];
      case 1:
        return void dmaDebug.entries();
      case 2:
        return void dmaDebug.findings.length;
      case 3:
        return void dmaDebug.report();
      case 4:
        return void dmaDebug.reportText();
      case 5:
        return void dmaDebug.count(some(s, ['DOUBLE_MAP', 'UNMAP_SIZE', 'NOPE']));
      case 6:
        return void dmaDebug.driverUnbound(w.one(w.devices, s));
      case 7:
        return dmaDebug.cpuTouch(pfn(w, s));
      case 8:
        return dmaDebug.objectGone(w.one(w.devices, s), some(s, [1, 2, 0]));
      case 9:
        return dmaDebug.set(
          opts(s, { allErrors: [true, false], numErrors: [0, 1, 10], driverFilter: ['', 'x', 'i915'] }),
        );
      default:
        return dmaDebug.places(
          opts(s, { stack: [{ start: 4096, length: 8192 }, { start: 1 }, {}], text: [{ start: 0, length: 4096 }] }),
        );
    }
  },
  listen: (w, s) => {
    const { dmaDebugOrNull: dmaDebug } = w.machine(s);
    if (dmaDebug === null) return;
    const what = s.below(5);
    dmaDebug.strict = what === 1;
    dmaDebug.callSites = what === 2;
    dmaDebug.onError = what === 3 ? callback(w, s, anyCall) : undefined;
    dmaDebug.attributions.objectName =
      what === 4 ? (id) => `o${id}${callback(w, s, anyCall)() ?? ''}` : (id) => `object ${id}`;
  },
  // The machine
  failAllocation: (w, s) => w.machine(s).failAllocation(some(s, FAULT_KINDS), some(s, [1, 1, 2, 3, 10, 0])),
  snapshot: (w, s) => {
    const machine = w.machine(s);
    const held = s.once(8) ? w.one(w.tables, s) : {};
    w.keep(w.snapshots, [machine, machine.snapshot(held), machine.core.tools.machineRecords(machine.context)]);
    if (w.snapshots.length > 3) w.snapshots.shift();
  },
  restore: (w, s) => {
    if (s.once(8)) w.machine(s).restore(s.pick(WRONG) as never);
    const taken = real(w.snapshots, s);
    if (taken === undefined) return;
    const [machine, snapshot, records] = taken;
    if (s.once(8)) return w.machine(s).restore(snapshot);
    machine.restore(snapshot);
    const now = machine.core.tools.machineRecords(machine.context);
    if (now !== records) throw new Error(`${now} records after a restore, ${records} when the snapshot was taken`);
  },
  disposeMachine: (w, s) => {
    if (s.once(30)) w.machines[1][Symbol.dispose]();
  },
};

const NAMES = Object.keys(CALLS);

/** Any call but those that would never end. */
export function anyCall(w: World, s: Source): void {
  const name = s.pick(w.names ?? NAMES);
  w.log.push(`${'  '.repeat(w.depth)}${name}`);
  w.entered?.(name);
  if (w.depth === 0) w.byDriver = name in DRIVER_CALLS;
  try {
    CALLS[name](w, s);
  } catch (error) {
    // A call that dma-debug finds wrong is done all the same.
    w.adopt((error as { result?: unknown } | undefined)?.result);
    throw error;
  }
}

/** Without those of drivers. */
export const DMA_NAMES = NAMES.filter((name) => !(name in DRIVER_CALLS));

export { NAMES };
