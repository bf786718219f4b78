import { describe, expect, test } from 'vitest';
import { once, rowsOf } from './support.js';

async function rows(...lines: string[]): Promise<Record<string, unknown>[]> {
  const read = await rowsOf(once(lines.join('\n')));
  expect(read.gaps.examples).toEqual([]);
  return read.rows;
}

describe('faults', () => {
  const fault = { kind: 'fault', page: 0xfffef, offset: 0x40 };
  test.each([
    [
      '[    6.7] DMAR: [DMA Write] Request device [00:05.0] fault addr fffef040 [fault reason 05] PTE Write access is not set',
    ],
    [
      '[    6.700000] DMAR: [DMA Write NO_PASID] Request device [00:05.0] fault addr 0xfffef040 [fault reason 0x05] PTE Write access is not set',
    ],
    [
      '[    6.700000] DMAR: [DMA Write PASID 0x1] Request device [00:05.0] fault addr 0xfffef040 [fault reason 0x05] PTE Write access is not set',
    ],
    [
      '[    6.700000][    T0] DMAR: [DMA Write] Request device [00:05.0] PASID ffffffff fault addr fffef040 [fault reason 05] PTE Write access is not set',
    ],
    ['Mar 16 18:11:41 host kernel: [ 6.700000] dmar: DMAR:[DMA Write] Request device [00:05.0] fault addr fffef040 '],
  ])('VT-d: %s', async (line) => {
    expect(await rows(line)).toMatchObject([{ ...fault, device: '0000:00:05.0', flags: 4 + 8 + 16 }]);
  });

  test('VT-d: wrapped by a mail program', async () => {
    const lines = [
      '> [ 6.700000] DMAR: [DMA Read] Request device [00:05.0]',
      '> fault addr fffef040 [fault reason 06] PTE Read access',
      '> is not set',
    ];
    expect(await rows(...lines.slice(0, 2))).toMatchObject([{ ...fault, time: 6.7e9 }]);
    expect((await rowsOf(once(lines.join('\n')))).rows).toHaveLength(1);
  });

  test('VT-d: the lines around a fault, without the time that a mail has cut off', async () => {
    const read = await rowsOf(
      once(
        [
          'dmar: DRHD: handling fault status reg 2',
          'dmar: DMAR:[DMA Read] Request device [00:05.0] fault addr fffef040 ',
          'DMAR:[fault reason 06] PTE Read access is not set',
        ].join('\n'),
      ),
    );
    expect(read.rows).toMatchObject([{ ...fault, device: '0000:00:05.0', flags: 8 + 16 }]);
    expect(read.gaps.notUnderstoodLines).toBe(0);
  });

  test('AMD-Vi, with the device in brackets and before the message', async () => {
    const told = await rows(
      '[ 6.7] AMD-Vi: Event logged [IO_PAGE_FAULT device=01:00.0 domain=0x000a address=0x00000000fffef040 flags=0x0020]',
      '[ 6.700000] nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a address=0xfffef040 flags=0x0000]',
    );
    expect(told).toMatchObject([
      { ...fault, device: '0000:01:00.0', text: 'IO_PAGE_FAULT', flags: 4 + 8 + 16 },
      { ...fault, device: '0000:01:00.0', flags: 8 + 16 },
    ]);
  });

  test('in a trace', async () => {
    const line =
      '  irq/25-AMD-Vi-60 [000] ..... 6.700000: io_page_fault: IOMMU:pci 0000:01:00.0 iova=0x00000000fffef040 flags=0x0020';
    expect(await rows(line)).toMatchObject([{ ...fault, device: '0000:01:00.0', flags: 4 + 8 }]);
  });
});

describe('swiotlb is full, in four wordings', () => {
  test.each([
    [
      '[ 4851.947037] rtl8821ae 0000:02:00.0: swiotlb buffer is full (sz: 9100 bytes), total 32768 (slots), used 32763 (slots)',
      9100,
      32763,
    ],
    ['[ 4851.947037] rtl8821ae 0000:02:00.0: swiotlb buffer is full (sz: 9100 bytes)', 9100, 0],
    ['[ 4851.947037] rtl8821ae 0000:02:00.0: swiotlb buffer is full', 0, 0],
    ['DMA: Out of SW-IOMMU space for 9100 bytes at device 0000:02:00.0', 9100, 0],
    ['[ 4851.947037] swiotlb: coherent allocation failed for device 0000:02:00.0 size=9100', 9100, 0],
  ])('%s', async (line, size, used) => {
    expect(await rows(line)).toMatchObject([{ kind: 'swiotlb_full', device: '0000:02:00.0', size, extra: used }]);
  });

  test('wrapped after the device; both wordings of one failure are one row', async () => {
    const lines = [
      'Mar 16 18:11:41 minimezz kernel: [ 4851.947037] rtl8821ae 0000:02:00.0:',
      'swiotlb buffer is full (sz: 9100 bytes)',
      'Mar 16 18:11:41 minimezz kernel: [ 4851.947039] DMA: Out of SW-IOMMU space',
      'for 9100 bytes at device 0000:02:00.0',
    ];
    const read = await rowsOf(once(lines.join('\n')));
    expect(read.rows).toMatchObject([
      { kind: 'swiotlb_full', device: '0000:02:00.0', size: 9100, time: 4851947037000 },
    ]);
  });
});

describe('dma-debug', () => {
  test.each([
    [
      '[ 1.0] DMA-API: e1000e 0000:00:19.0: device driver frees DMA memory with different size [device address=0x00000000ffffe000] [map size=8192 bytes] [unmap size=4096 bytes]',
    ],
    [
      '[    1.000000] e1000e 0000:00:19.0: DMA-API: device driver frees DMA memory with different size [device address=0x00000000ffffe000] [map size=8192 bytes] [unmap size=4096 bytes]',
    ],
  ])('%s', async (line) => {
    expect(await rows(line)).toMatchObject([
      {
        kind: 'dma_debug',
        device: '0000:00:19.0',
        page: 0xffffe,
        size: 8192,
        text: 'device driver frees DMA memory with different size',
      },
    ]);
  });

  test('a leak on two lines', async () => {
    const told = await rows(
      '[    1.000000] DMA-API: pci 0000:00:19.0: device driver has pending DMA allocations while released from device [count=3]',
      '[    1.000000] One of leaked entries details: [device address=0x00000000ffffe040] [size=1522 bytes] [mapped with DMA_FROM_DEVICE] [mapped as single]',
    );
    expect(told).toMatchObject([
      { kind: 'dma_debug', device: '0000:00:19.0', page: 0xffffe, offset: 0x40, size: 1522, direction: 2 },
    ]);
  });

  test('dma-api/dump of 6.12, and the log line of older kernels', async () => {
    const told = await rows(
      'ahci 0000:00:1f.2 coherent idx 16368 P=0x0000000101301000 D=fffe0000 L=16500 cln=0x000000000404c040 DMA_BIDIRECTIONAL dma map error check not applicable',
      '[   1.000000] e1000e 0000:00:19.0: single idx 12 P=1234500 N=1234 D=fff00500 L=5f2 DMA_FROM_DEVICE dma map error checked',
    );
    expect(told).toMatchObject([
      {
        kind: 'dma_api_dump',
        device: '0000:00:1f.2',
        page: 0xfffe0,
        physical: 0x101301000,
        size: 0x16500,
        direction: 0,
        text: 'coherent',
      },
      {
        kind: 'dma_api_dump',
        device: '0000:00:19.0',
        page: 0xfff00,
        offset: 0x500,
        size: 0x5f2,
        direction: 2,
        text: 'single',
      },
    ]);
  });

  test('other lines of a log are counted, not read', async () => {
    const { rows: read, gaps } = await rowsOf(
      once('[    0.000000] Linux version 6.12\n[    0.1] DMA-API: preallocated 65536 debug entries\n'),
    );
    expect(read).toHaveLength(0);
    expect([gaps.otherLines, gaps.notUnderstoodLines]).toEqual([2, 0]);
  });
});
