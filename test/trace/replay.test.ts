import { describe, expect, test } from 'vitest';
import { BaseMachine } from '../../src/machine/machine.js';
import type { TraceSource } from '../../src/trace/batches/source.js';
import { Rebuild } from '../../src/trace/replay/rebuild.js';
import { type TraceVerification, verifyTrace } from '../../src/trace/replay/verify.js';
import { batchesOf, golden, inMemory, once } from './support.js';

async function verified(source: TraceSource): Promise<TraceVerification> {
  const rebuild = new Rebuild();
  for (const batch of (await batchesOf(source)).batches) rebuild.add(batch);
  return verifyTrace(rebuild.finish());
}

describe('every address of a real kernel', () => {
  test.each([
    ['boot.txt', 28],
    ['block.txt', 513],
    ['net.txt', 2226],
    ['trace-cmd-report.txt', 32],
  ])('%s', async (name, addresses) => {
    const { mode, compared, matched, differences } = await verified(once(golden(name)));
    expect(differences).toEqual([]);
    expect([mode, compared, matched]).toEqual(['strict', addresses, addresses]);
  });

  test('trace-cmd.dat', async () => {
    expect(await verified(inMemory(golden('trace-cmd.dat')))).toMatchObject({
      mode: 'strict',
      compared: 32,
      matched: 32,
    });
  });

  test('an address of net that is another does not match', async () => {
    // What a CPU gets back out of its own magazine is decided by what it put there.
    const lines = golden('net.txt').toString().split('\n');
    const at = lines.findLastIndex((line) => line.includes('dma_map_page') && line.includes('TO_DEVICE'));
    const address = /dma_addr=(\w{5})/.exec(lines[at])![1];
    const other = (Number.parseInt(address, 16) + 0x40).toString(16);
    const changed = lines.map((line, i) => (i >= at - 1 ? line.replaceAll(address, other) : line));
    const { compared, matched } = await verified(once(changed.join('\n')));
    expect(matched).toBeLessThan(compared);
  });

  test('bounced: base of the pool, where each area goes on, and slots that are never given back', async () => {
    const swiotlb = { size: '64MiB', force: true, base: 0xb0345000, indices: [777, 16000] };
    const machine = new BaseMachine({ ram: '5GiB', cpus: 2, iommu: 'off', swiotlb, dmaDebug: false });
    const device = machine.addDevice({ name: '0000:00:05.0', maskBits: 64 });
    for (let i = 0; i < 5; ++i) device.mapPage(100 + i, 0, 1000, 2);
    machine.cpu = 1;
    const before = Array.from({ length: 200 }, (_, i) => device.mapPage(300 + i, 0, 1522, 2));
    const addresses = new Map<string, number>();
    const lines: string[] = [];
    for (const line of golden('net.txt').toString().split('\n')) {
      if (!line.includes('dma_map_page') && !line.includes('dma_unmap_page')) continue;
      machine.cpu = Number(/\[(\d+)\]/.exec(line)![1]);
      const [, recorded, size] = /dma_addr=(\w+) size=(\d+)/.exec(line)!;
      const direction = line.includes('FROM_DEVICE') ? 2 : 1;
      const physical = /phys_addr=(\w+)/.exec(line);
      let address = addresses.get(recorded) ?? before.pop();
      if (physical) {
        const at = Number.parseInt(physical[1], 16);
        address = device.mapPage(Math.floor(at / 4096), at % 4096, Number(size), direction);
        addresses.set(recorded, address);
      } else if (address === undefined) continue;
      else {
        addresses.delete(recorded);
        device.unmapPage(address, Number(size), direction);
      }
      lines.push(line.replace(/dma_addr=\w+/, `dma_addr=${address!.toString(16)}`));
    }
    expect(await verified(once(lines.join('\n')))).toMatchObject({ mode: 'swiotlb', compared: 2226, matched: 2226 });
  });

  test('a device with an identity domain beside one that is translated', async () => {
    const block = golden('block.txt').toString().split('\n');
    const direct = golden('net.txt')
      .toString()
      .split('\n')
      .filter((line) => line.includes('dma_map_page'));
    const beside = direct.map((line) => line.replace(/dma_addr=\w+/, `dma_addr=${/phys_addr=(\w+)/.exec(line)![1]}`));
    const coherent =
      '  dd-1 [000] ..... 9.000000: dma_alloc: 0000:00:05.0 dir=BIDIRECTIONAL dma_addr=123000 size=4096 virt_addr=0 flags=GFP_KERNEL attrs=';
    expect(await verified(once([...block, ...beside, coherent].join('\n')))).toMatchObject({
      compared: 2739,
      matched: 2739,
    });
  });

  test('without IOMMU addresses are the memory own', async () => {
    const lines = golden('net.txt')
      .toString()
      .split('\n')
      .filter((line) => line.includes('dma_map_page'));
    const direct = lines.map((line) => line.replace(/dma_addr=\w+/, `dma_addr=${/phys_addr=(\w+)/.exec(line)![1]}`));
    expect(await verified(once(direct.join('\n')))).toMatchObject({ mode: 'direct', compared: 2226, matched: 2226 });
  });
});
