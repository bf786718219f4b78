import { expect, test } from 'vitest';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_MAPPING_ERROR } from '../../src/dma/transfer.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { advance, host, MSI, PAGE, translated } from './host.js';

/**
 * Random histories of all calls, held against the plainest model there is: a live mapping is a list of pages; each of them is
 * found where the device was told, no two mappings have an address in common, and what was unmapped leads nowhere.
 */

interface Live {
  /** DMA address and physical address of each page. */
  pages: [address: number, phys: number][];
  end(): void;
}

const SEED = 20150612;
const STEPS = 1000;

function random(seed: number): (n: number) => number {
  let x = seed;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

const LINUX_42: DomainOptions = {
  mergeSegments: false,
  unmapWholeRange: true,
  retryBelow4GiB: true,
  writeImpliesRead: false,
};

const kinds: [name: string, allocator: NonNullable<DomainOptions['allocator']>, options: DomainOptions][] = [
  ['6.12 strict', 'rcache', {}],
  ['6.12 strict without caches', 'tree-6.12', { levels: 3 }],
  ['6.12 lazy', 'rcache', { mode: 'lazy', flushQueue: { entries: 16 } }],
  ['our own allocator, lazy', 'fast', { mode: 'lazy', levels: 5 }],
  ['4.2 strict', 'tree-4.2', LINUX_42],
  ['4.2 lazy', 'tree-4.2', { ...LINUX_42, mode: 'lazy', deferredList: true }],
];

test.each(kinds)(`%s: any history agrees with the model (seed ${SEED})`, (_, allocator, options) => {
  const next = random(SEED);
  const at = host(16384);
  const domain = new DmaDomain(at, { reserved: MSI, allocator, ...options });
  const devices = [
    new DmaDevice(at, { domain, maskBits: 32 }),
    new DmaDevice(at, { id: 2, domain, maskBits: 26, maxSegment: 0xffffffff }),
    new DmaDevice(at, { id: 3, domain, maskBits: 39, maxSegment: 20000, segmentBoundaryBits: 16 }),
  ];
  const live: Live[] = [];
  const addresses = new Map<number, number>();

  const add = (entry: Live): void => {
    for (const [address, phys] of entry.pages) {
      expect(addresses.has(address), `address ${address.toString(16)} has a mapping`).toBe(false);
      addresses.set(address, phys);
    }
    live.push(entry);
  };

  const steps: (() => void)[] = [
    () => {
      const device = devices[next(3)];
      const [pfn, offset, length] = [1 + next(10000), next(PAGE), 1 + next(40000)];
      const address = device.mapPage(pfn, offset, length, DMA_BIDIRECTIONAL);
      if (address === DMA_MAPPING_ERROR) return;
      expect(address % PAGE).toBe(offset);
      const pages = Math.ceil((offset + length) / PAGE);
      add({
        pages: Array.from({ length: pages }, (_, i) => [address - offset + i * PAGE, (pfn + i) * PAGE]),
        end: () => device.unmapPage(address, length, DMA_BIDIRECTIONAL),
      });
    },
    () => {
      const device = devices[next(3)];
      const first = 512 * (1 + next(12));
      const n = 1 + next(next(4) === 0 ? 1500 : 30);
      const step = 1 + (next(3) & 1);
      const table = ScatterTable.fromPages(
        at,
        Array.from({ length: n }, (_, i) => first + i * step),
      );
      if (device.mapSg(table, DMA_BIDIRECTIONAL) === 0) return table.release();
      add({
        pages: Array.from({ length: n }, (_, i) => [table.dmaAddress(i), table.pfn(i) * PAGE]),
        end() {
          device.unmapSg(table, DMA_BIDIRECTIONAL);
          table.release();
        },
      });
    },
    () => {
      const device = devices[next(3)];
      const buffer = device.allocCoherent(1 + next(60000));
      add({
        pages: [...buffer.table.pfns()].map((pfn, i) => [buffer.address + i * PAGE, pfn * PAGE]),
        end: () => buffer.free(),
      });
    },
    () => advance(at, next(8)),
  ];

  const end = (entry: Live): void => {
    entry.end();
    for (const [address] of entry.pages) {
      addresses.delete(address);
      expect(translated(domain, address)).toBe(0);
    }
  };

  for (let step = 0; step < STEPS; ++step) {
    if (live.length > 40 || (live.length > 0 && next(5) < 2)) end(live.splice(next(live.length), 1)[0]);
    else steps[Math.min(next(7), steps.length - 1)]();
    if (step % 50 === 0) {
      for (const [address, phys] of addresses) expect(translated(domain, address)).toBe(phys);
      expect(at.core.tools.machineCheck(at.context) >>> 0).toBe(0);
    }
  }
  while (live.length > 0) end(live.pop()!);
  for (const { counts } of devices) {
    expect(counts.maps).toBe(counts.unmaps);
    expect(counts.pagesMapped).toBe(counts.pagesUnmapped);
  }
  for (const device of devices) device.destroy();
  domain.flush();
  // Only the caches hold ranges now, and none of a kernel without them.
  if (allocator === 'tree-4.2' || allocator === 'tree-6.12') expect(iovaTree(domain).length).toBe(MSI.length);
  domain.destroy();
  advance(at, 1000);
  expect(at.core.tools.machineCheck(at.context) >>> 0).toBe(0);
});

test('a driver may ask for its limits before it maps', () => {
  const at = host();
  const translating = new DmaDevice(at, { domain: new DmaDomain(at) });
  expect(translating.limits).toEqual({ mergeBoundary: 0xfff, maxMapping: 2 ** 64, optMapping: 131072 });
  const entries = new DmaDevice(at, { id: 2, domain: new DmaDomain(at, { ...LINUX_42, allocator: 'tree-4.2' }) });
  expect(entries.limits).toEqual({ mergeBoundary: 0, maxMapping: 2 ** 64, optMapping: 2 ** 64 });
  const direct = new DmaDevice(at, { id: 3 });
  expect(direct.limits).toEqual({ mergeBoundary: 0, maxMapping: 2 ** 64, optMapping: 2 ** 64 });
});
