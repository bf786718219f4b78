import { DMA_BIDIRECTIONAL, DmaDevice, DmaDomain, Machine, ScatterTable } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { orderOf, scattered } from './support.js';

const PAGES = 1024;
const LIMIT = 'bare PTE loop, 1,024 pages';

/** Whole calls, not pages: what the shape of an object and the number of live mappings do to a 4 MiB list. */
const suite: Suite = {
  name: 'dma-shapes',
  title: 'mapSg and unmapSg of 4 MiB by shape, strict IOMMU, dma-debug off; figures are those of one call',
  variants: ['limits', 'scattered', 'contiguous', 'unaligned', 'segments', 'live', 'entries', 'lazy', 'singles'],
  tasks(variant: string): Task[] {
    return shapes[variant]!();
  },
};

const shapes: Readonly<Record<string, () => Task[]>> = {
  limits() {
    const machine = new Machine({ ram: '64MiB' });
    const { blockAlloc } = machine.core.exports;
    const { limitStorePtes } = machine.core.tools;
    const { vector } = scattered(machine, PAGES);
    const table = blockAlloc(machine.context, orderOf(PAGES * 8));
    return [{ name: LIMIT, operations: 64, run: () => limitStorePtes(table, vector, PAGES, 64) }];
  },
  scattered: () => pair('scattered', { count: 16, reach: [1, 0.7] }),
  contiguous: () =>
    pair('contiguous, 2 MiB pages', {
      count: 16,
      reach: [0.2, 0.14],
      build: (machine) => ScatterTable.allocateBlock(machine, 10),
    }),
  unaligned: () =>
    pair('contiguous, not aligned', {
      count: 16,
      build(machine) {
        const first = machine.ram.allocBlock(10);
        machine.ram.allocBlock(10);
        return ScatterTable.fromPages(
          machine,
          Array.from({ length: PAGES }, (_, i) => first + 7 + i),
        );
      },
    }),
  segments: () => pair('scattered, segments of 64 KiB', { count: 16, maxSegment: 65536 }),
  live: () => pair('scattered, 256 lists live', { count: 256, reach: [1, 0.7] }),
  entries: () =>
    pair('list of 1,024 odd entries', {
      count: 16,
      build: (machine, seed) =>
        ScatterTable.fromEntries(
          machine,
          [...scattered(machine, PAGES, seed).pfns].map((pfn, i) => ({ pfn, offset: i % 64, length: 4000 })),
        ),
    }),
  lazy: () => pair('scattered, lazy domain', { count: 16, mode: 'lazy' }),
  singles() {
    const { machine, dev } = device({ ram: '512MiB' });
    const pfns = machine.ram.alloc(256);
    const at = new Float64Array(256);
    return [
      {
        name: 'map + unmap one page from JS, 256 live',
        operations: 256,
        reach: { ns: 60 },
        run() {
          for (let i = 0; i < 256; ++i) at[i] = dev.mapPage(pfns[i], 0, 4096, DMA_BIDIRECTIONAL);
          for (let i = 0; i < 256; ++i) dev.unmapPage(at[i], 4096, DMA_BIDIRECTIONAL);
        },
      },
    ];
  },
};

interface Shape {
  /** Lists that are mapped one after the other, then unmapped. */
  count: number;
  /** Figures to reach for mapping and unmapping, over the bare loop. */
  reach?: [map: number, unmap: number];
  maxSegment?: number;
  mode?: 'strict' | 'lazy';
  build?(machine: Machine, seed: number): ScatterTable;
}

function device(options: { ram: string; maxSegment?: number; mode?: 'strict' | 'lazy' }): {
  machine: Machine;
  dev: DmaDevice;
} {
  const machine = new Machine({ ram: options.ram, dmaDebug: false });
  const domain = new DmaDomain(machine, { mode: options.mode ?? 'strict' });
  return {
    machine,
    dev: new DmaDevice(machine, { domain, maskBits: 39, maxSegment: options.maxSegment ?? 0xffffffff }),
  };
}

function pair(name: string, shape: Shape): Task[] {
  const { machine, dev } = device({ ram: shape.count > 64 ? '2GiB' : '512MiB', ...shape });
  const build = shape.build ?? ((at, seed) => ScatterTable.fromPages(at, scattered(at, PAGES, seed).pfns));
  const tables = Array.from({ length: shape.count }, (_, i) => build(machine, i + 1));
  const map = (): void => {
    for (const table of tables) dev.mapSg(table, DMA_BIDIRECTIONAL);
  };
  const unmap = (): void => {
    for (const table of tables) dev.unmapSg(table, DMA_BIDIRECTIONAL);
  };
  map();
  const [mapRatio, unmapRatio] = shape.reach ?? [];
  return [
    {
      name: `mapSg, ${name}`,
      operations: shape.count,
      limit: LIMIT,
      before: unmap,
      run: map,
      ...(mapRatio !== undefined && { reach: { of: LIMIT, ratio: mapRatio } }),
    },
    {
      name: `unmapSg, ${name}`,
      operations: shape.count,
      limit: LIMIT,
      before() {
        unmap();
        map();
      },
      run: unmap,
      ...(unmapRatio !== undefined && { reach: { of: LIMIT, ratio: unmapRatio } }),
    },
  ];
}

export default suite;
