import { describe, expect, test } from 'vitest';
import { DmaDevice } from '../../src/dma/device.js';
import type { DeviceOptions } from '../../src/dma/device-options.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import { type DmaHost, ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_ATTR, DMA_BIDIRECTIONAL, DMA_MAPPING_ERROR } from '../../src/dma/transfer.js';
import { host, MiB, MSI, PAGE, state } from './host.js';

/**
 * Every allocation on the way of a call is made to fail in turn, the first, the second, ... until the call succeeds with no
 * fault struck. After each failure everything is as it was before.
 */

/** Kinds of allocation (assembly/memory/context.ts): blocks, records, RAM, IOVA, page tables, sg tables, bounce slots. */
const KINDS = [0, 1, 2, 3, 4, 5, 6];
const MOST = 200;

interface Case {
  /** What stays the same over all attempts. */
  prepare(at: DmaHost): { device: DmaDevice; attempt(): void; undo?(): void };
}

function everyFailure(at: DmaHost, { prepare }: Case): number {
  const { device, attempt, undo } = prepare(at);
  // Once for what is made on first use and kept.
  attempt();
  undo?.();
  let struck = 0;
  for (const kind of KINDS) {
    for (let nth = 1; nth < MOST; ++nth) {
      const before = state(device);
      const faults = at.core.tools.faultCount(at.context, kind);
      at.core.exports.faultArm(at.context, kind, nth);
      let failed = false;
      try {
        attempt();
      } catch (error) {
        failed = true;
        expect(error, `kind ${kind}, allocation ${nth}`).toMatchObject({ name: 'GemDmaError' });
      }
      at.core.exports.faultArm(at.context, kind, 0);
      const hit = at.core.tools.faultCount(at.context, kind) > faults;
      if (failed) expect(state(device), `kind ${kind}, allocation ${nth}`).toEqual(before);
      else undo?.();
      expect(hit || !failed).toBe(true);
      if (hit) ++struck;
      else break;
    }
  }
  expect(at.core.tools.machineCheck(at.context)).toBe(0);
  return struck;
}

function device(at: DmaHost, options: DomainOptions = {}, limits: DeviceOptions = {}): DmaDevice {
  const domain = new DmaDomain(at, { reserved: MSI, ...options });
  return new DmaDevice(at, { domain, ...limits });
}

function listCase(build: (at: DmaHost) => ScatterTable, limits: DeviceOptions = {}, options: DomainOptions = {}): Case {
  return {
    prepare(at) {
      const dev = device(at, options, limits);
      const table = build(at);
      return {
        device: dev,
        attempt: () => dev.mapSgTable(table, DMA_BIDIRECTIONAL),
        undo: () => dev.unmapSg(table, DMA_BIDIRECTIONAL),
      };
    },
  };
}

const scattered = Array.from({ length: 3000 }, (_, i) => 0x1000 + 2 * i);
const mixed = Array.from({ length: 400 }, (_, i) => ({
  pfn: 0x1000 + 9 * i,
  offset: (i * 64) % 3000,
  length: 700 + 97 * i,
}));

const cases: Record<string, Case> = {
  'a list of pages, one segment': listCase((at) => ScatterTable.fromPages(at, scattered), { maxSegment: 0xffffffff }),
  'a list of pages, many segments': listCase((at) => ScatterTable.fromPages(at, scattered)),
  'a list of odd pieces with padding': listCase((at) => ScatterTable.fromEntries(at, mixed), {
    segmentBoundaryBits: 16,
  }),
  'a list of large pages': listCase((at) =>
    ScatterTable.fromPages(
      at,
      Array.from({ length: 2000 }, (_, i) => 0x400 + i),
    ),
  ),
  'the driver of 2015': listCase(
    (at) => ScatterTable.fromEntries(at, mixed),
    {},
    {
      allocator: 'tree-4.2',
      mergeSegments: false,
      unmapWholeRange: true,
    },
  ),
  'a list in a lazy domain, flushed each time': {
    prepare(at) {
      const dev = device(at, { mode: 'lazy' });
      const table = ScatterTable.fromPages(at, scattered);
      return {
        device: dev,
        attempt: () => dev.mapSgTable(table, DMA_BIDIRECTIONAL),
        undo() {
          dev.unmapSg(table, DMA_BIDIRECTIONAL);
          if (dev.domain instanceof DmaDomain) dev.domain.flush();
        },
      };
    },
  },
  'a single page': {
    prepare(at) {
      const dev = device(at);
      let address = 0;
      return {
        device: dev,
        attempt() {
          address = dev.mapPage(0x500, 0, 600 * PAGE, DMA_BIDIRECTIONAL);
          if (address === DMA_MAPPING_ERROR) throw dev.failure('dma_map_page', -12, 'pages');
        },
        undo: () => dev.unmapPage(address, 600 * PAGE, DMA_BIDIRECTIONAL),
      };
    },
  },
  'a coherent buffer': coherentCase((at) => device(at), 0),
  'a coherent buffer of single pages': coherentCase((at) => device(at), DMA_ATTR.ALLOC_SINGLE_PAGES),
  'a coherent buffer without an IOMMU': coherentCase((at) => new DmaDevice(at), 0),
  'reserved space': {
    prepare(at) {
      const dev = device(at);
      let range: ReturnType<DmaDevice['allocIova']> | undefined;
      return {
        device: dev,
        attempt() {
          range = dev.allocIova(4 * MiB);
        },
        undo: () => range?.free(),
      };
    },
  },
  'a link into reserved space': {
    prepare(at) {
      const dev = device(at);
      const range = dev.allocIova(4 * MiB);
      return {
        device: dev,
        attempt: () => range.link(0, 0x500000, 4 * MiB, DMA_BIDIRECTIONAL),
        undo: () => range.unlink(0, 4 * MiB, DMA_BIDIRECTIONAL),
      };
    },
  },
};

function coherentCase(make: (at: DmaHost) => DmaDevice, attrs: number): Case {
  return {
    prepare(at) {
      const dev = make(at);
      let buffer: ReturnType<DmaDevice['allocCoherent']> | undefined;
      return {
        device: dev,
        attempt() {
          buffer = dev.allocCoherent(3 * MiB, attrs);
        },
        undo: () => buffer?.free(),
      };
    },
  };
}

describe('each allocation failing in turn leaves no trace', () => {
  test.each(Object.entries(cases))('%s', (_, each) => {
    expect(everyFailure(host(), each)).toBeGreaterThan(0);
  });

  test('making a domain and a device', () => {
    const at = host();
    const spare = device(at);
    const struck = everyFailure(at, {
      prepare() {
        let domain: DmaDomain | undefined;
        let dev: DmaDevice | undefined;
        return {
          device: spare,
          attempt() {
            domain = new DmaDomain(at, { mode: 'lazy', reserved: MSI });
            try {
              dev = new DmaDevice(at, { id: 3, sourceId: 0x300, domain });
            } catch (error) {
              domain.destroy();
              throw error;
            }
          },
          undo() {
            dev?.destroy();
            domain?.destroy();
          },
        };
      },
    });
    expect(struck).toBeGreaterThan(5);
  });
});
