import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { golden, once, rowsOf } from './support.js';

const MAP =
  '              dd-83      [001] .....     6.688368: map: IOMMU: iova=0x00000000fffa0000 - 0x00000000fffa1000 paddr=0x0000000102353000 size=4096';
const PAGE =
  '    kworker/u8:1-29      [001] .N...     0.931504: dma_map_page: 0000:00:04.0 dir=FROM_DEVICE dma_addr=ffffd000 size=4096 phys_addr=104f9e000 attrs=NO_WARN|SKIP_CPU_SYNC';
const LIST =
  '       scsi_eh_0-41      [001] d....     1.273258: dma_map_sg: 0000:00:1f.2 dir=FROM_DEVICE nents=2/700 ents=1/300 [TRUNCATED] dma_addrs={0xfff3f580} sizes={0x1a80} phys_addrs={0x105b46580,0x105c00000} attrs=';

async function one(...lines: string[]): Promise<Record<string, unknown>> {
  const { rows, gaps } = await rowsOf(once(lines.join('\n')));
  expect(gaps.examples).toEqual([]);
  expect(rows).toHaveLength(1);
  return rows[0];
}

describe('ftrace text', () => {
  test('every field of an event has its column', async () => {
    expect(await one(PAGE)).toMatchObject({
      ...{ kind: 'dma_map_page', time: 931504000, cpu: 1, task: 'kworker/u8:1-29', device: '0000:00:04.0' },
      ...{ page: 0xffffd, offset: 0, size: 4096, physical: 0x104f9e000, direction: 2, attrs: 0x120 },
    });
    expect(await one(MAP)).toMatchObject({ kind: 'map', page: 0xfffa0, size: 4096, physical: 0x102353000, device: '' });
  });

  test('lists: entries, segments, their lengths, and that the kernel cut them', async () => {
    const { rows, gaps } = await rowsOf(once(LIST));
    expect(rows[0]).toMatchObject({
      ...{ phys: [0x105b46580, 0x105c00000], addresses: [0xfff3f580], lengths: [0x1a80], extra: 700, size: 0x1a80 },
      ...{ page: 0xfff3f, offset: 0x580 },
    });
    expect(gaps.truncatedLists).toBe(1);
  });

  test.each([
    ['without flags', MAP.replace(' .....', '')],
    ['four flags', MAP.replace('.....', 'd.h1')],
    ['with a TGID', MAP.replace('dd-83     ', 'dd-83   (     83)')],
    ['with an unknown TGID', MAP.replace('dd-83     ', 'dd-83   (-------)')],
    ['trace-cmd report', MAP.replace(' .....', '').replace('map:', 'map:                 ')],
    [
      'perf script',
      '              dd    83 [001]     6.688368:          iommu:map: IOMMU: iova=0xfffa0000 - 0xfffa1000 paddr=0x102353000 size=4096',
    ],
    [
      'perf script, PID/TID',
      '  dd    83/83    [001]     6.688368: iommu:map: IOMMU: iova=0xfffa0000 - 0xfffa1000 paddr=0x102353000 size=4096',
    ],
    [
      'perf script with the period',
      '  dd    83 [001]     6.688368:          1 iommu:map: IOMMU: iova=0xfffa0000 - 0xfffa1000 paddr=0x102353000 size=4096',
    ],
    ['carriage returns', `${MAP}\r`],
    ['quoted', `> > ${MAP}`],
    ['an older kernel, sizes with 0x', MAP.replace('size=4096', 'size=0x1000').replace(' - 0x00000000fffa1000', '')],
    ['nanoseconds', MAP.replace('6.688368:', '6.688368000:')],
  ])('%s', async (_, line) => {
    expect(await one(line)).toMatchObject({
      ...{ kind: 'map', time: 6688368000, cpu: 1, task: 'dd-83', page: 0xfffa0, physical: 0x102353000, size: 4096 },
    });
  });

  test('comms with blanks, dashes and brackets', async () => {
    const line = MAP.replace('dd-83', 'Web [1] Content-x-4711');
    expect(await one(line)).toMatchObject({ task: 'Web [1] Content-x-4711', cpu: 1 });
  });

  test('a mapping that failed is an error, not a mapping', async () => {
    const line = PAGE.replace('dma_addr=ffffd000', 'dma_addr=ffffffffffffffff');
    expect(await one(line)).toMatchObject({ kind: 'dma_map_sg_err', device: '0000:00:04.0' });
  });

  test('newest kernels: dma_map_phys of memory and of registers, dma_alloc_sgt', async () => {
    const memory = PAGE.replace('dma_map_page', 'dma_map_phys');
    expect(await one(memory)).toMatchObject({ kind: 'dma_map_page', size: 4096 });
    expect(await one(memory.replace('NO_WARN', 'MMIO'))).toMatchObject({ kind: 'dma_map_resource' });
    const table = PAGE.replace(
      /dma_map_page.*/,
      'dma_alloc_sgt: 0000:00:04.0 dir=TO_DEVICE dma_addr=fff00000 size=8192 phys_addrs={0x100000,0x200000} flags=GFP_KERNEL attrs=',
    );
    expect(await one(table)).toMatchObject({
      kind: 'dma_alloc_sgt',
      page: 0xfff00,
      size: 8192,
      phys: [0x100000, 0x200000],
    });
  });

  test('all 64 bits of an address are kept', async () => {
    const line = PAGE.replace('dma_addr=ffffd000', 'dma_addr=fffffffffffff123');
    expect(await one(line)).toMatchObject({ page: 2 ** 52 - 1, offset: 0x123 });
  });

  test('a mail program wrapped the line, anywhere between its words', async () => {
    const whole = await one(LIST);
    const words = LIST.trim().split(/\s+/);
    for (let cut = 1; cut < words.length; ++cut) {
      const lines = [`>  ${words.slice(0, cut).join(' ')}`, `> ${words.slice(cut).join(' ')}`];
      const { rows, gaps } = await rowsOf(once(lines.join('\n')));
      expect([cut, rows]).toEqual([cut, [whole]]);
      expect(gaps.truncatedLists).toBe(1);
    }
    const narrow = words.map((word) => `> ${word}`).slice(2);
    expect((await rowsOf(once([`> ${words.slice(0, 2).join(' ')}`, ...narrow].join('\n')))).rows).toEqual([whole]);
  });

  test('the same rows whatever the pieces', async () => {
    const text = golden('boot.txt');
    const whole = await rowsOf(once(text));
    for (const size of [1, 7, 100, 4097]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < text.length; at += size) pieces.push(text.subarray(at, at + size));
      expect((await rowsOf(once(...pieces))).rows).toEqual(whole.rows);
    }
  });

  test('gzip is recognised, and one that was cut gives what it has', async () => {
    const packed = gzipSync(golden('net.txt'));
    expect((await rowsOf(once(packed))).rows).toHaveLength(8904);
    const { rows, gaps } = await rowsOf(once(packed.subarray(0, packed.length >> 1)));
    expect(rows.length).toBeGreaterThan(1000);
    expect(gaps.cutShort).toBe(true);
  });

  test('what the tracer lost is counted', async () => {
    const { gaps } = await rowsOf(
      once(
        `# entries-in-buffer/entries-written: 106/2106   #P:2\nCPU:1 [LOST 234 EVENTS]\nCPU:0 [7 EVENTS DROPPED]\n${MAP}\n`,
      ),
    );
    expect(gaps.lostEvents).toBe(2000 + 234 + 7);
  });

  test('stack traces, other events and comments are neither rows nor errors', async () => {
    const text = [
      PAGE,
      ' => dma_map_page_attrs',
      '\tffffffff81a1b2c3 dma_map_page_attrs+0x43 ([kernel.kallsyms])',
      '# comment',
    ];
    text.push('  <idle>-0  [001] d..2.  6.7: sched_switch: prev_comm=swapper/1 prev_pid=0');
    const { rows, gaps } = await rowsOf(once(text.join('\n')));
    expect(rows).toHaveLength(1);
    expect(gaps.notUnderstoodLines).toBe(0);
    expect(gaps.otherEvents.get('sched_switch')).toBe(1);
  });

  test('a line that is not understood has its place and its reason; the others are read', async () => {
    const { rows, gaps } = await rowsOf(once(`${MAP}\n${MAP.replace('size=4096', 'size=4o96')}\n\nhello\n\n${MAP}\n`));
    expect(rows).toHaveLength(2);
    expect(gaps.notUnderstoodLines).toBe(2);
    expect(gaps.examples[0]).toMatchObject({
      line: 2,
      column: MAP.indexOf('4096') + 2,
      reason: 'a size is expected here',
    });
    expect(gaps.examples[1]).toMatchObject({ line: 4, column: 1, text: 'hello' });
  });
});

describe('intel_iommu:* of 5.4 to 5.10', () => {
  test('single mappings and lists, one entry an event', async () => {
    const head = '  dd-1 [000] .... 1.000000: ';
    const { rows } = await rowsOf(
      once(
        [
          `${head}map_single: dev=0000:00:02.0 dev_addr=0xfff00010 phys_addr=0x123456010 size=100`,
          `${head}map_sg: dev=0000:00:02.0 [1/2] dev_addr=0xffe00000 phys_addr=0x100000 size=4096`,
          `${head}map_sg: dev=0000:00:02.0 [2/2] dev_addr=0xffe01000 phys_addr=0x200000 size=8192`,
          `${head}unmap_sg: dev=0000:00:02.0 dev_addr=0xffe00000 size=12288`,
          `${head}bounce_unmap_single: dev=0000:00:02.0 dev_addr=0xfff00010 size=100`,
        ].join('\n'),
      ),
    );
    expect(rows.map(({ kind, page, size }) => [kind, page, size])).toEqual([
      ['dma_map_page', 0xfff00, 100],
      ['dma_map_sg', 0xffe00, 4096],
      ['dma_map_sg', 0xffe01, 8192],
      ['dma_unmap_sg', 0xffe00, 12288],
      ['dma_unmap_page', 0xfff00, 100],
    ]);
  });
});

describe('wrong input', () => {
  test.each([
    ['', 'input:1:1: the input is empty'],
    ['#!/bin/sh\necho hello\n', 'input:2:1: not a trace or log'],
    ['name: map\nID: 506\n', 'input:1:1: not a trace or log'],
    [`${'x'.repeat(2 ** 20 + 1)}`, 'a line of more than 1048576 bytes'],
  ])('%j', async (text, message) => {
    await expect(rowsOf(once(text))).rejects.toThrow(message);
  });
});
