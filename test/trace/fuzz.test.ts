import { describe, expect, test } from 'vitest';
import { Audit } from '../../src/trace/audit/audit.js';
import { Rebuild } from '../../src/trace/replay/rebuild.js';
import { writeTraceDat } from './dat-writer.js';
import { digest, generator, mutate } from './fuzz.js';
import { batchesOf, golden, once } from './support.js';

/** A fixed number; `node scripts/fuzz-trace.mjs` does a million. */
const ROUNDS = 150;

const LOG = [
  '[    6.700000] DMAR: [DMA Write NO_PASID] Request device [00:05.0] fault addr 0xfffef040 [fault reason 0x05] PTE Write access is not set',
  '[    6.700000] nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a address=0xfffef040 flags=0x0000]',
  '[    6.7] DMA-API: e1000e 0000:00:19.0: device driver frees DMA memory with different size [device address=0x00000000ffffe000] [map size=8192 bytes] [unmap size=4096 bytes]',
  'ahci 0000:00:1f.2 coherent idx 16368 P=0x0000000101301000 D=fffe0000 L=16500 cln=0x000000000404c040 DMA_BIDIRECTIONAL',
  '[ 4851.947037] rtl8821ae 0000:02:00.0: swiotlb buffer is full (sz: 9100 bytes), total 32768 (slots), used 32763 (slots)',
].join('\n');

const dat = writeTraceDat(
  [0, 1, 2, 3, 4, 5].map((i) => ({
    cpu: i & 1,
    time: 1000 + i,
    pid: 83,
    event: 'map' as const,
    iova: 0x1000n,
    paddr: 0x2000n,
    size: 4096,
  })),
  { version: 7, little: true, compression: 'none' },
);

const inputs: [string, Uint8Array][] = [
  ['boot.txt', golden('boot.txt')],
  ['net.txt', golden('net.txt').subarray(0, 6000)],
  ['block.txt', golden('block.txt').subarray(0, 6000)],
  ['trace-cmd-report.txt', golden('trace-cmd-report.txt').subarray(12_000, 18_000)],
  ['a log', Buffer.from(LOG)],
  ['trace.dat', dat],
];

describe('whatever is read, it is rows or a TraceError', () => {
  test.each(inputs)('%s', async (_, input) => {
    const random = generator(18);
    let read = 0;
    for (let i = 0; i < ROUNDS; ++i) {
      const bytes = mutate(input, random);
      const rows = await digest(bytes).catch((error: unknown) => {
        throw new Error(`round ${i}: ${Buffer.from(bytes).toString('latin1')}`, { cause: error });
      });
      if (rows > 0) ++read;
    }
    // Most mutations leave something to read: the readers go on behind a line that they do not understand.
    expect(read).toBeGreaterThan(ROUNDS / 20);
  });
});

test('audit and rebuild take whatever was read', async () => {
  const random = generator(19);
  for (let i = 0; i < 60; ++i) {
    const bytes = mutate(golden(i & 1 ? 'boot.txt' : 'net.txt').subarray(0, 12_000), random);
    const read = await batchesOf(once(bytes)).catch(() => undefined);
    if (read === undefined) continue;
    const audit = new Audit({ at: 0xfffa0000 });
    const rebuild = new Rebuild();
    for (const batch of read.batches) {
      audit.add(batch);
      rebuild.add(batch);
    }
    expect(audit.result().completeness.events).toBe(read.gaps.events);
    expect(rebuild.finish().length).toBeGreaterThanOrEqual(0);
  }
});
