import { PbfReader } from 'pbf';
import { describe, expect, test } from 'vitest';
import { PerfettoWriter } from '../../src/cli/perfetto.js';
import { DMA_FROM_DEVICE, DMA_MAPPING_ERROR, DMA_TO_DEVICE, Machine, ScatterTable } from '../../src/index.js';
import { formatFtrace } from '../../src/trace/export/ftrace.js';
import { auditOf, batchesOf, golden, once, rowsOf } from './support.js';

/** A machine that has mapped, unmapped, and left one mapping behind. */
function events() {
  const machine = new Machine({ ram: '64MiB', iommu: { reserved: [] } });
  machine.events.start();
  const device = machine.addDevice({ name: '0000:00:05.0' });
  const page = device.mapPage(5, 0x40, 1522, DMA_FROM_DEVICE);
  device.unmapPage(page, 1522, DMA_FROM_DEVICE);
  const table = ScatterTable.allocate(machine, 4);
  device.mapSg(table, DMA_TO_DEVICE);
  device.unmapSg(table, DMA_TO_DEVICE);
  const buffer = device.allocCoherent(8192);
  device.freeCoherent(buffer);
  device.mapPage(7, 0, 4096, DMA_TO_DEVICE);
  return machine.events.drain();
}

describe('ftrace text', () => {
  test('what a machine did reads back as a trace in which everything pairs', async () => {
    const text = formatFtrace(events());
    const { rows, gaps } = await rowsOf(once(text));
    expect(gaps.notUnderstoodLines).toBe(0);
    expect(rows.map(({ kind }) => kind)).toEqual([
      ...['map', 'dma_map_page', 'unmap', 'dma_unmap_page', 'map', 'dma_map_sg', 'dma_unmap_sg', 'unmap'],
      ...['map', 'dma_alloc', 'dma_free', 'unmap', 'map', 'dma_map_page'],
    ]);
    expect(rows[1]).toMatchObject({
      page: 0xfffff,
      offset: 0x40,
      size: 1522,
      physical: 0x5040,
      device: '0000:00:05.0',
    });
    const { devices, mismatches, completeness } = await auditOf(once(text));
    expect(devices).toMatchObject([{ device: '0000:00:05.0', maps: 4, unmaps: 3, live: 1 }]);
    expect([mismatches.counts, completeness.startedInMidLife]).toEqual([{}, 0]);
  });
});

test('a call with DMA_MAPPING_ERROR is written with all 64 bits of the address', async () => {
  const machine = new Machine({ ram: '64MiB' });
  machine.events.start();
  const device = machine.addDevice({ name: '0000:00:05.0' });
  device.unmapPage(DMA_MAPPING_ERROR, 4096, DMA_TO_DEVICE);
  const text = formatFtrace(machine.events.drain());
  expect(text).toContain('dma_unmap_page: 0000:00:05.0 dir=TO_DEVICE dma_addr=ffffffffffffffff size=4096');
  expect((await rowsOf(once(text))).gaps.notUnderstoodLines).toBe(0);
});

/** Fields of a message by number, nested ones as bytes. */
function fields(bytes: Uint8Array): [number, number | Uint8Array][] {
  const pbf = new PbfReader(bytes);
  const all: [number, number | Uint8Array][] = [];
  for (let field = pbf.nextField(); field !== 0; field = pbf.nextField()) {
    all.push([field, pbf.type === 2 ? pbf.readBytes() : pbf.readVarint()]);
  }
  return all;
}

const field = (bytes: Uint8Array, number: number) => fields(bytes).find(([n]) => n === number)?.[1];

describe('Perfetto', () => {
  test('slices of one track nest, every slice that ends has begun, counters come back to what is live', async () => {
    const writer = new PerfettoWriter();
    for (const batch of (await batchesOf(once(golden('net.txt')))).batches) writer.add(batch);
    const packets = fields(writer.finish()).map(([, packet]) => packet as Uint8Array);
    const open = new Map<number, number>();
    const names = new Map<number, string>();
    let begun = 0;
    let ended = 0;
    let last = 0;
    let live = -1;
    for (const packet of packets) {
      const time = field(packet, 8) as number;
      expect(time).toBeGreaterThanOrEqual(last);
      last = time;
      const descriptor = field(packet, 60) as Uint8Array | undefined;
      if (descriptor)
        names.set(field(descriptor, 1) as number, Buffer.from(field(descriptor, 2) as Uint8Array).toString());
      const event = field(packet, 11) as Uint8Array | undefined;
      if (!event) continue;
      const track = field(event, 11) as number;
      const type = field(event, 9);
      const depth = open.get(track) ?? 0;
      if (type === 1) {
        // Two that overlap on one track would not nest.
        expect(depth).toBe(0);
        open.set(track, 1);
        ++begun;
      } else if (type === 2) {
        expect(depth).toBe(1);
        open.set(track, 0);
        ++ended;
      } else if (names.get(track)!.endsWith('live mappings')) live = field(event, 30) as number;
    }
    expect([begun, ended, live]).toEqual([2226, 1971, 255]);
    expect([...names.values()]).toContain('0000:00:05.0');
  });
});
