import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DMA_BIDIRECTIONAL } from '../../src/core/generated/constants.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { type DmaHost, ScatterTable } from '../../src/dma/sg-table.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { host, leaves, MSI, PAGE } from './host.js';

/**
 * Recordings map lists of entries. A table from pages takes ways of its own through the core, a vector at a time; it must
 * come out as the list of the same entries does.
 */

const runs = fc.array(
  fc.record({
    start: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0x100, max: 0xfffff })),
    // Now and then a run that a large page can take.
    aligned: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    pages: fc.oneof(
      { weight: 5, arbitrary: fc.constant(1) },
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 60 }) },
    ),
  }),
  { minLength: 1, maxLength: 40 },
);

const shape = fc.record({
  runs,
  offset: fc.oneof(fc.constant(0), fc.nat(PAGE - 1)),
  short: fc.oneof(fc.constant(0), fc.nat(PAGE - 1)),
  coalesce: fc.boolean(),
  maxEntry: fc.oneof(fc.constant(0xfffff000), fc.integer({ min: PAGE, max: 2 ** 18 })),
  maxSegment: fc.oneof(fc.constant(0xffffffff), fc.constant(65536), fc.integer({ min: 1, max: 2 ** 18 })),
  boundaryBits: fc.oneof(fc.constant(32), fc.constant(64), fc.integer({ min: 12, max: 20 })),
  mergeSegments: fc.boolean(),
});

function pages(list: { start: number; aligned: boolean; pages: number }[]): number[] {
  return list.flatMap(({ start, aligned, pages: n }) => {
    const first = aligned ? start & ~511 : start;
    return Array.from({ length: aligned ? n + 512 : n }, (_, i) => first + i);
  });
}

interface Limits {
  mergeSegments: boolean;
  maxSegment: number;
  boundaryBits: number;
}

test('a table from pages is mapped as the list of its entries is, with and without events', () => {
  const property = fc.property(shape, ({ runs: list, offset, short, coalesce, maxEntry, ...rest }) => {
    const pfns = pages(list);
    const lastPage = pfns.length === 1 ? PAGE - offset : PAGE;
    const size = pfns.length * PAGE - offset - Math.min(short, lastPage - 1);
    const build = (at: DmaHost) => ScatterTable.fromPages(at, pfns, { offset, size, maxSegment: maxEntry, coalesce });
    const one = host(1024);
    const entries = build(one).entries();
    const byEntry = run(rest, false, (at) => ScatterTable.fromEntries(at, entries));
    for (const events of [false, true]) {
      const byPage = run(rest, events, build);
      expect(byPage).toEqual(byEntry);
    }
  });
  fc.assert(property, { seed: 19931105, numRuns: 120 });
});

function run(options: Limits, events: boolean, build: (at: DmaHost) => ScatterTable): unknown {
  const at = host(1024);
  if (events) at.core.exports.eventsStart(at.context, 10);
  const domain = new DmaDomain(at, { reserved: MSI, mergeSegments: options.mergeSegments });
  const device = new DmaDevice(at, {
    domain,
    maxSegment: options.maxSegment,
    segmentBoundaryBits: options.boundaryBits,
  });
  const table = build(at);
  const rc = at.core.exports.dmaMapSg(device.handle, table.handle, DMA_BIDIRECTIONAL, 0);
  const tree = iovaTree(domain);
  const [lo, hi] = tree[0];
  const held = leaves(domain, lo * PAGE, (hi - lo + 1) * PAGE);
  // Each page of a table from pages is found under the address that the table tells for it.
  if (table.pageCount > 0 && table.entries()[0].offset === 0) {
    for (const page of [0, table.pageCount >> 1, table.pageCount - 1]) {
      const phys = at.core.exports.domainIovaToPhys(domain.handle, table.dmaAddress(page));
      expect(phys).toBe(table.pfn(page) * PAGE);
    }
  }
  const result = { rc, nents: table.nents, segments: table.segments(), tree, leaves: held };
  device.unmapSg(table, 0);
  expect(leaves(domain, lo * PAGE, (hi - lo + 1) * PAGE).every(({ level }) => level === 0)).toBe(true);
  expect(at.core.tools.machineCheck(at.context)).toBe(0);
  return result;
}

test('a table mapped again elsewhere, by devices with the same and with other limits, has the segments of a fresh one', () => {
  const at = host(1024);
  const domain = new DmaDomain(at, { reserved: MSI });
  const devices = [65536, 65536, 20000, 0xffffffff].map(
    (maxSegment, i) => new DmaDevice(at, { id: i + 1, domain, maxSegment }),
  );
  devices.push(new DmaDevice(at, { id: 9, domain, maxSegment: 65536, segmentBoundaryBits: 15 }));
  const pfns = Array.from({ length: 300 }, (_, i) => 0x1000 + 3 * i - (i % 7 === 0 ? 2 : 0));
  const reused = ScatterTable.fromPages(at, pfns);
  for (const which of [0, 1, 0, 2, 0, 4, 0, 3, 1, 4, 4, 2, 2]) {
    // Something that stays, so that each mapping lies elsewhere.
    devices[which].mapPage(1, 0, 4096 * 40, 0);
    const nents = devices[which].mapSg(reused, 0);
    using fresh = ScatterTable.fromPages(at, pfns);
    expect(devices[which].mapSg(fresh, 0)).toBe(nents);
    const shift = reused.dmaAddress(0) - fresh.dmaAddress(0);
    expect(shift).not.toBe(0);
    expect(reused.segments()).toEqual(
      fresh.segments().map(({ address, length }) => ({ address: address + shift, length })),
    );
    for (const page of [0, 17, 150, 299]) {
      expect(at.core.exports.domainIovaToPhys(domain.handle, reused.dmaAddress(page))).toBe(pfns[page] * PAGE);
    }
    devices[which].unmapSg(fresh, 0);
    devices[which].unmapSg(reused, 0);
  }
  expect(at.core.tools.machineCheck(at.context)).toBe(0);
});
