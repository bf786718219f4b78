import { DMA_BIDIRECTIONAL, DmaDevice, DmaDomain, Machine, ScatterTable } from 'gemdma';
import { CACHE_LLC, COLOR_NONE, MM_2015, PPGTT_GEN8, PPGTT_GEN8_48BIT, PPGTT_PREALLOCATE } from '#contract';
import { made } from '#handle';
import type { Suite, Task } from './frame.js';
import { orderOf, random, scattered } from './support.js';

const PAGES = 1024;
/** Objects in turn, bound to one place after the other: like the bare loop, each writes the same 8 KiB. */
const OBJECTS = 16;
const LOOP = 'bare PTE loop, page';
const FILL = 'memory.fill, page';
const [SNB, GEN8] = [0, 5];
const GiB = 2 ** 30;

const suite: Suite = {
  name: 'gtt',
  title: 'GPU tables: entries of 1,024 pages at a time; drm_mm by live nodes, free at random and insert by turns',
  variants: ['limits', 'tables', 'walk', 'spaces', 'drm_mm modern', 'drm_mm 2015'],
  tasks(variant: string): Task[] {
    if (variant.startsWith('drm_mm')) return ranges(variant.endsWith('modern'));
    return { limits, tables, walk, spaces }[variant]!();
  },
};

function limits(): Task[] {
  const machine = new Machine({ ram: '64MiB' });
  const { blockAlloc } = machine.core.exports;
  const { limitFill, limitStorePtes } = machine.core.tools;
  const { vector } = scattered(machine, PAGES);
  const table = blockAlloc(machine.context, orderOf(PAGES * 8));
  const operations = PAGES * OBJECTS;
  return [
    { name: LOOP, operations, run: () => limitStorePtes(table, vector, PAGES, OBJECTS) },
    { name: FILL, operations, run: () => limitFill(table, PAGES, OBJECTS) },
  ];
}

/** How a table's DMA side looks, by how the device reaches memory. */
function device(machine: Machine, behind: 'iommu' | 'direct'): DmaDevice {
  const domain = behind === 'iommu' ? new DmaDomain(machine) : undefined;
  const id = behind === 'iommu' ? 1 : 2;
  return new DmaDevice(machine, { id, maskBits: 39, maxSegment: 2 ** 31, ...(domain && { domain }) });
}

function tables(): Task[] {
  const machine = new Machine({ ram: '512MiB', dmaDebug: false });
  const { core } = machine;
  const { ggttCreate, ggttInsert, ggttInsertPages, ggttClear, ppgttCreate, ppgttAllocRange, ppgttInsert, ppgttClear } =
    core.exports;
  const operations = PAGES * OBJECTS;
  const tasks: Task[] = [];
  const START = 5 * 4096;
  const add = (name: string, ratio: number | undefined, one: (i: number) => void): void => {
    const run = (): void => {
      for (let i = 0; i < OBJECTS; ++i) one(i);
    };
    const reach = ratio === undefined ? undefined : { of: LOOP, ratio };
    tasks.push({ name: `${name}, page`, operations, limit: LOOP, run, ...(reach && { reach }) });
  };
  for (const behind of ['iommu', 'direct'] as const) {
    const dev = device(machine, behind);
    const lists = Array.from({ length: OBJECTS }, (_, i) => {
      const list = ScatterTable.fromPages(machine, scattered(machine, PAGES, i + 1).pfns);
      dev.mapSg(list, DMA_BIDIRECTIONAL);
      return list.handle;
    });
    const wide = made(ggttCreate(dev.handle, GEN8, 4 * GiB, 0, MM_2015, COLOR_NONE));
    const narrow = made(ggttCreate(dev.handle, SNB, 2 * GiB, 0, MM_2015, COLOR_NONE));
    const ppgtt = made(ppgttCreate(wide, PPGTT_GEN8, 0, 0, MM_2015));
    const long = made(ppgttCreate(wide, PPGTT_GEN8_48BIT, 0, 0, MM_2015));
    for (const vm of [ppgtt, long]) ppgttAllocRange(vm, 0, 2 * PAGES * 4096);
    const source = behind === 'iommu' ? 'one segment' : 'scattered';
    // The figure to reach is for what an IOMMU makes of an object; reading a vector of pfns comes on top of it.
    const ratio = behind === 'iommu' ? 0.45 : undefined;
    add(`GGTT gen8 insert, ${source}`, ratio, (i) => ggttInsert(wide, START, lists[i], CACHE_LLC, 0));
    add(`GGTT gen6 insert, ${source}`, ratio, (i) => ggttInsert(narrow, START, lists[i], CACHE_LLC, 0));
    add(`PPGTT gen8 insert, ${source}`, ratio, (i) => ppgttInsert(ppgtt, START, lists[i], CACHE_LLC, 0));
    add(`PPGTT 48-bit insert, ${source}`, ratio, (i) => ppgttInsert(long, START, lists[i], CACHE_LLC, 0));
    const view = core.exports.blockAlloc(machine.context, orderOf(PAGES * 4));
    const pages = Uint32Array.from({ length: PAGES }, (_, i) => (31 - (i & 31)) * 32 + (i >> 5));
    core.writeWords(view, pages);
    add(`GGTT rotated view, ${source}`, undefined, (i) =>
      ggttInsertPages(wide, START, lists[i], view, PAGES, CACHE_LLC, 0),
    );
    if (behind === 'direct') continue;
    add('GGTT gen8 clear', 0.2, () => ggttClear(wide, START, PAGES));
    add('PPGTT gen8 clear', 0.2, () => ppgttClear(ppgtt, START, PAGES));
  }
  return tasks;
}

/** The GPU's own way to memory, table walk and IOMMU included. */
function walk(): Task[] {
  const machine = new Machine({ ram: '64MiB', dmaDebug: false });
  const dev = device(machine, 'iommu');
  const { ggttCreate, ggttInsert, gpuRead, gpuTranslate, ppgttCreate, ppgttAllocRange, ppgttInsert } =
    machine.core.exports;
  const ggtt = made(ggttCreate(dev.handle, GEN8, GiB, 0, MM_2015, COLOR_NONE));
  const ppgtt = made(ppgttCreate(ggtt, PPGTT_GEN8, 0, 0, MM_2015));
  const list = ScatterTable.fromPages(machine, scattered(machine, PAGES).pfns);
  dev.mapSg(list, DMA_BIDIRECTIONAL);
  ppgttAllocRange(ppgtt, 0, PAGES * 4096);
  ppgttInsert(ppgtt, 0, list.handle, CACHE_LLC, 0);
  ggttInsert(ggtt, 0, list.handle, CACHE_LLC, 0);
  const buffer = machine.core.exports.blockAlloc(machine.context, 0);
  return [
    ...[ggtt, ppgtt].map(
      (vm, i): Task => ({
        name: `${['GGTT', 'PPGTT gen8'][i]} translate`,
        operations: PAGES,
        run() {
          for (let page = 0; page < PAGES; ++page) gpuTranslate(vm, page * 4096, false);
        },
      }),
    ),
    {
      name: 'GPU reads 4 KiB',
      operations: PAGES,
      run() {
        for (let page = 0; page < PAGES; ++page) gpuRead(ppgtt, page * 4096, buffer, 4096);
      },
    },
  ];
}

/** Address spaces: as Linux 4.2 makes them, with tables for 4 MiB, and with all tables at once as 4.1 did. */
function spaces(): Task[] {
  const machine = new Machine({ ram: '64MiB', dmaDebug: false });
  const dev = device(machine, 'iommu');
  const { ggttCreate, ppgttCreate, ppgttDestroy, ppgttAllocRange } = machine.core.exports;
  const ggtt = made(ggttCreate(dev.handle, GEN8, GiB, 0, MM_2015, COLOR_NONE));
  return [
    {
      name: 'PPGTT with 4 MiB of tables, create + destroy',
      operations: 64,
      run() {
        for (let i = 0; i < 64; ++i) {
          const ppgtt = made(ppgttCreate(ggtt, PPGTT_GEN8, 0, 0, MM_2015));
          ppgttAllocRange(ppgtt, 0, 4 * 2 ** 20);
          ppgttDestroy(ppgtt);
        }
      },
    },
    {
      name: 'PPGTT of Linux 4.1, 2,052 pages, create + destroy',
      operations: 1,
      run() {
        ppgttDestroy(made(ppgttCreate(ggtt, PPGTT_GEN8, 0, PPGTT_PREALLOCATE, MM_2015)));
      },
    },
  ];
}

const MODES = [
  { modern: true, name: 'best', mode: 0 },
  { modern: true, name: 'low', mode: 1 },
  { modern: true, name: 'evict', mode: 3 },
  { modern: false, name: 'default', mode: 0 },
  { modern: false, name: 'best', mode: 1 },
];
const TURNS = 1000;

/** A space half full of nodes of 1 to 16 pages; by turns one goes at random and another comes. */
function ranges(modern: boolean): Task[] {
  return MODES.filter((one) => one.modern === modern).flatMap(({ name, mode }) =>
    [1000, 10_000, 100_000].map((live): Task => {
      const machine = new Machine({ ram: '16MiB', dmaDebug: false });
      const { mmCreate, mmInsert, mmRemove } = machine.core.exports;
      const size = live * 17 * 4096;
      const mm = made(mmCreate(machine.context, 0, size, modern ? 1 : 0, COLOR_NONE));
      const next = random(live);
      const insert = () => made(mmInsert(mm, (1 + next(16)) * 4096, 0, 0, 0, size, mode));
      const nodes = Array.from({ length: live }, insert);
      const title = (count: number): string =>
        `${modern ? 'modern' : '2015'} ${name}, ${count.toLocaleString('en')} live`;
      return {
        name: title(live),
        operations: TURNS * 2,
        ...(live > 1000 && { reach: { of: title(1000), ratio: 2.5 } }),
        run() {
          for (let i = 0; i < TURNS; ++i) {
            const at = next(live);
            mmRemove(nodes[at]);
            nodes[at] = insert();
          }
        },
      };
    }),
  );
}

export default suite;
