import { DMA_ATTR, DMA_BIDIRECTIONAL, DMA_TO_DEVICE, type DmaDevice, Machine, ScatterTable } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { scattered } from './support.js';

const PAGES = 1024;
const SINGLES = 1024;
const MAPPINGS = 16;
const LIVE = 100_000;

/**
 * What watching costs: the same calls with dma-debug off, with ours alone, with both, and with call sites. A driver
 * that asks dma_mapping_error about each mapping, as it must; one that does not makes a finding at every unmap.
 */
const suite: Suite = {
  name: 'dma-debug',
  title: 'dma-debug: the same calls with dma-debug off and on; reports over 100,000 live mappings',
  variants: ['off', 'own', 'both', 'sites', 'report'],
  tasks(variant: string): Task[] {
    return variant === 'report' ? reports() : calls(variant as Variant);
  },
};

type Variant = 'off' | 'own' | 'both' | 'sites';

const OPTIONS = {
  off: false,
  own: { checkers: 'own' },
  both: true,
  sites: { callSites: true },
} as const;

/** At most this many times the same with dma-debug off; call sites cost what they cost. */
const RATIOS: Partial<Record<Variant, number>> = { own: 1.5, both: 1.5 };

function device(variant: Variant, iommu: 'strict' | 'off'): { machine: Machine; dev: DmaDevice } {
  const machine = new Machine({ ram: '256MiB', iommu, swiotlb: false, dmaDebug: OPTIONS[variant] });
  return { machine, dev: machine.addDevice({ maxSegment: 2 ** 31 }) };
}

function calls(variant: Variant): Task[] {
  const reach = (of: string, ratio = RATIOS[variant]): Pick<Task, 'reach'> =>
    variant === 'off' || ratio === undefined ? {} : { reach: { of: `${of}, off`, ratio } };
  const single = (iommu: 'strict' | 'off', what: string): Task => {
    const { machine, dev } = device(variant, iommu);
    const pfns = machine.ram.alloc(SINGLES);
    return {
      name: `${what}, ${variant}`,
      operations: SINGLES,
      ...(iommu === 'strict' ? reach(what) : {}),
      run() {
        for (let i = 0; i < SINGLES; ++i) {
          const address = dev.mapPage(pfns[i], 0, 4096, DMA_BIDIRECTIONAL);
          dev.mappingError(address);
          dev.unmapPage(address, 4096, DMA_BIDIRECTIONAL);
        }
      },
    };
  };
  const list = (iommu: 'strict' | 'off', what: string): Task => {
    const { machine, dev } = device(variant, iommu);
    const table = ScatterTable.fromPages(machine, scattered(machine, PAGES).pfns);
    return {
      name: `${what}, ${variant}`,
      operations: MAPPINGS,
      ...(iommu === 'strict' ? reach(what, RATIOS[variant] && 1.2) : {}),
      run() {
        for (let i = 0; i < MAPPINGS; ++i) {
          dev.mapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
          dev.unmapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
        }
      },
    };
  };
  return [
    single('strict', 'map + check + unmap one page'),
    list('strict', 'map + unmap 1,024 pages as one segment'),
    single('off', 'the same page without IOMMU'),
    list('off', 'the same list without IOMMU, 1,024 entries'),
  ];
}

function reports(): Task[] {
  const { machine, dev } = device('both', 'strict');
  const { dmaDebug } = machine;
  const table = ScatterTable.fromPages(machine, scattered(machine, 1).pfns);
  const hooks = Array.from({ length: 10 }, (_, i) => dmaDebug.attributions.hookId(`hook ${i}`));
  for (let i = 0; i < LIVE; ++i) {
    dmaDebug.attributions.set(1 + (i % 1000), 0, hooks[i % 10]);
    dev.mapSg(table, DMA_TO_DEVICE);
  }
  return [
    {
      name: 'poll with 100,000 live mappings',
      operations: 1000,
      run() {
        for (let i = 0; i < 1000; ++i) dmaDebug.poll();
      },
    },
    { name: 'full report, a live mapping', operations: LIVE, run: () => dmaDebug.report() },
    { name: 'full report as text, a live mapping', operations: LIVE, run: () => dmaDebug.reportText() },
  ];
}

export default suite;
