import { expect, test } from 'vitest';
import { DmaDebugRecords, type VerdictRecord } from '../../src/core/dma-debug-records.js';
import { REPORT_KERNEL, REPORT_PRINTED } from '../../src/core/generated/constants.js';
import type { SgTableHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { writeRuns } from '../../src/core/sg-vectors.js';
import { checkOf, viewOf } from '../../src/dma-debug/checks.js';
import { debugFlags } from '../../src/dma-debug/dialects.js';
import { KERNELS } from '../../src/kernels/kernels.js';
import { debug } from '../core/debug.js';
import { COHERENT, KernelModel, type ModelVerdict, PAGE, type Ref, SG } from './kernel-model.js';

const DEVICES = 3;
const SEGMENT = 32768;
const BOUNDARY_BITS = 20;

/** mulberry32: the whole history follows from the seed. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % n;
  };
}

/** What the model tells of a verdict, told by the core. */
function told(record: VerdictRecord): ModelVerdict {
  const { id } = checkOf(record.check);
  const { address, size } = record;
  const tells = (record.payload ?? {}) as Record<string, number>;
  const values: Partial<Record<string, number[]>> = {
    POOL_GROWN: [tells.total],
    UNMAP_UNKNOWN: [address, size],
    UNMAP_SIZE: [record.mapping?.size ?? -2, size],
    UNMAP_TYPE: [tells.mappedAs, tells.unmappedAs],
    UNMAP_CPUADDR: [tells.allocated, tells.freed],
    UNMAP_SGCOUNT: [tells.mapCount, tells.unmapCount],
    UNMAP_DIR: [tells.mapped, tells.unmapped],
    UNMAP_UNCHECKED: [address],
    SYNC_UNKNOWN: [address, size],
    SYNC_DIR: [tells.mapped, tells.synced],
    SYNC_RO_FOR_CPU: [tells.mapped, tells.synced],
    SYNC_WO_FOR_DEV: [tells.mapped, tells.synced],
    SYNC_SGCOUNT: [tells.mapCount, tells.syncCount],
    SEG_LEN: [tells.length, tells.most],
    SEG_BOUNDARY: [address, tells.last],
    LEAK_ON_UNBIND: [tells.count, record.mapping?.address ?? -2],
  };
  return { id, device: record.device, printed: (record.flags & REPORT_PRINTED) !== 0, values: values[id] ?? [] };
}

interface List {
  table: SgTableHandle;
  /** Entries as given, and segments as the last mapping left them. */
  entries: [pfn: number, offset: number, length: number][];
  segments: [address: number, length: number][];
}

const histories = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((seed) =>
  (['linux-4.2', 'linux-6.12'] as const).map((kernel) => [kernel, seed] as const),
);

test.each(histories)('%s, seed %i: the same verdicts and counters, call by call', (kernel, seed) => {
  const pick = random(seed);
  const dialect = KERNELS[kernel].dmaDebug;
  const prealloc = [40, 64, 100, 1000][pick(4)];
  const allErrors = pick(2) === 0;
  const core = new Core(debug);
  const { exports } = core;
  const ctx = made(exports.machineCreate(64 * 2 ** 20, 1, 2048, 0, 1));
  // With ours switched off, nothing but the kernel's accounting decides what is tracked; with both, it must not matter.
  const checkers = seed % 2 === 0 ? 'both' : 'kernel';
  const records = DmaDebugRecords.create(core, ctx, debugFlags(dialect, checkers), dialect.buckets, prealloc);
  const numErrors = pick(50);
  records.setOptions(allErrors, numErrors, false);
  const model = new KernelModel(dialect, prealloc, allErrors, numErrors);
  const devices = Array.from({ length: DEVICES }, (_, i) => {
    const handle = made(exports.deviceCreate(ctx, i + 1, i + 1));
    exports.deviceSetSegments(handle, SEGMENT, BOUNDARY_BITS, 0);
    return handle;
  });
  const staging = core.staging(ctx);

  const lists: List[] = Array.from({ length: 6 }, () => {
    const entries = Array.from({ length: 1 + pick(5) }, (): [number, number, number] => [
      300 + pick(40),
      pick(3) * 64,
      4096 * (1 + pick(12)),
    ]);
    const table = made(exports.sgReserveRuns(ctx, entries.length));
    writeRuns(
      core,
      table,
      entries.map(([pfn, offset, length]) => ({ pfn, offset, length })),
    );
    exports.sgFinishRuns(table);
    return { table, entries, segments: [] };
  });

  // Few addresses, so that they meet; some far apart, so that they meet in the kernel's buckets only.
  const address = (): number => (pick(12) === 0 ? pick(3) * 2 ** 30 : 0) + pick(24) * 2048 + pick(2) * 2 ** 27;
  const size = (): number => [16, 2048, 4096, 8192, 40960, 2 ** 27 + 8192][pick(60) < 57 ? pick(5) : 5];
  const live: Ref[] = [];
  const ref = (type: number): Ref => ({
    device: 1 + pick(DEVICES),
    address: address(),
    size: size(),
    phys: (300 + pick(12)) * 4096 + pick(3) * 64,
    type,
    dir: pick(3),
    ents: 0,
  });
  const single = (): number => [0, COHERENT, 3, PAGE, PAGE, PAGE][pick(6)];
  /** A mapping that is there, with something about it wrong at times; or one that never was. */
  const known = (): Ref => {
    if (live.length === 0 || pick(12) === 0) return ref(single());
    const found = { ...live[pick(live.length)] };
    const wrong = pick(10);
    if (wrong === 0) found.size = size();
    if (wrong === 1) found.dir = pick(3);
    if (wrong === 2) found.type = single();
    if (wrong === 3) found.device = 1 + pick(DEVICES);
    if (wrong === 4) found.phys += 4096;
    return found;
  };
  const forget = ({ device, address: at }: Ref): void => {
    const i = live.findIndex((item) => item.device === device && item.address === at);
    if (i >= 0) live.splice(i, 1);
  };
  const inList = (list: List, device: number, dir: number, i: number, nents: number): Ref => ({
    device,
    address: list.segments.length === 0 ? 0 : (list.segments[i]?.[0] ?? -1),
    size: list.segments[i]?.[1] ?? 0,
    phys: 0,
    type: SG,
    dir,
    ents: nents,
  });

  const kinds: (() => void)[] = [
    () => {
      const made = { ...ref(single()) };
      const failed = pick(20) === 0;
      const attrs = pick(4) === 0 ? 32 : 0;
      if (made.type === COHERENT) made.dir = 0;
      if (failed) made.address = -1;
      model.map(made, attrs);
      exports.debugFeedMap(devices[made.device - 1], made.phys, made.size, made.dir, made.address, attrs, made.type);
      if (!failed) live.push(made);
    },
    () => {
      const gone = { ...known(), ents: 0 };
      if (gone.type === SG) gone.type = single();
      if (gone.type === COHERENT) gone.dir = 0;
      model.unmap(gone);
      exports.debugFeedUnmap(devices[gone.device - 1], gone.type, gone.address, gone.size, gone.dir, gone.phys);
      forget(gone);
    },
    () => {
      const asked = known();
      model.check(asked.device, asked.address);
      exports.debugFeedMappingError(devices[asked.device - 1], asked.address);
    },
    () => {
      const synced = { ...known(), type: 0, ents: 0 };
      if (pick(3) === 0) synced.address += pick(4) * 4096;
      if (pick(3) === 0) synced.size = 1 + pick(4096);
      const forDevice = pick(2) === 1;
      model.sync(synced, forDevice, SEGMENT);
      exports.debugFeedSync(devices[synced.device - 1], synced.address, synced.size, synced.dir, forDevice);
    },
    () => {
      const list = lists[pick(lists.length)];
      const device = 1 + pick(DEVICES);
      const dir = pick(3);
      const mapped = pick(2) === 0 ? list.entries.length : 1 + pick(list.entries.length);
      list.segments = Array.from({ length: mapped }, () => [address(), size()]);
      core.writeDoubles(staging, list.segments.flat());
      exports.debugFeedSegments(list.table, mapped, staging);
      for (const [i, [at, length]] of list.segments.entries()) {
        const [pfn, offset, entryLength] = list.entries[i];
        const made = {
          device,
          address: at,
          size: length,
          phys: pfn * 4096 + offset,
          type: SG,
          dir,
          ents: list.entries.length,
        };
        model.map(made, 0, mapped, entryLength, SEGMENT, 2 ** BOUNDARY_BITS - 1);
        if (model.disabled) break;
        live.push(made);
      }
      exports.debugFeedMapSg(devices[device - 1], list.table, list.entries.length, mapped, dir, 0);
    },
    () => {
      const list = lists[pick(lists.length)];
      const device = 1 + pick(DEVICES);
      const dir = pick(3);
      const nents = pick(3) === 0 ? 1 + pick(6) : list.entries.length;
      let mapped = 0;
      // A list has no more entries than it was made with: the kernel would follow the last one's pointer to nowhere.
      const end = Math.min(nents, list.entries.length);
      for (let i = 0; i < end && !(mapped > 0 && i >= mapped); ++i) {
        const gone = inList(list, device, dir, i, nents);
        const ents = model.unmap(gone);
        if (i === 0) mapped = ents;
        forget(gone);
      }
      exports.debugFeedUnmapSg(devices[device - 1], list.table, nents, dir);
    },
    () => {
      const list = lists[pick(lists.length)];
      const device = 1 + pick(DEVICES);
      const dir = pick(3);
      const nents = pick(3) === 0 ? 1 + pick(6) : list.entries.length;
      const forDevice = pick(2) === 1;
      const mapped = model.disabled ? 0 : model.mappedEnts(inList(list, device, dir, 0, nents));
      for (let i = 0; i < Math.min(nents, mapped, list.entries.length); ++i) {
        const synced = inList(list, device, dir, i, nents);
        model.sync(synced, forDevice, SEGMENT);
      }
      exports.debugFeedSyncSg(devices[device - 1], list.table, nents, dir, forDevice);
    },
    () => {
      if (pick(10) !== 0) return;
      const device = 1 + pick(DEVICES);
      model.unbind(device);
      exports.debugDriverUnbound(devices[device - 1]);
    },
  ];
  const weights = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7];

  const verdicts: ModelVerdict[] = [];
  for (let step = 0; step < 4000; ++step) {
    const kind = weights[pick(weights.length)];
    kinds[kind]();
    const reported = records.drain(viewOf).filter(({ flags }) => (flags & REPORT_KERNEL) !== 0);
    const where = `seed ${seed}, step ${step}, kind ${kind}`;
    expect(reported.map(told), where).toEqual(model.verdicts.slice(verdicts.length));
    verdicts.push(...model.verdicts.slice(verdicts.length));
    const {
      disabled,
      errorCount,
      numFreeEntries,
      minFreeEntries,
      nrTotalEntries,
      numErrors: left,
    } = records.counters();
    expect([disabled, errorCount, numFreeEntries, minFreeEntries, nrTotalEntries, left], where).toEqual([
      model.disabled,
      model.errorCount,
      model.free,
      model.min,
      model.total,
      model.numErrors,
    ]);
    if (step % 500 === 0) expect(core.tools.machineCheck(ctx) >>> 0, where).toBe(0);
  }
  expect(verdicts.length).toBeGreaterThan(50);
});
