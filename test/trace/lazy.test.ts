import { expect, test } from 'vitest';
import type { DmaDomain } from '../../src/dma/dma-domain.js';
import { BaseMachine } from '../../src/machine/machine.js';
import { firesAt } from '../../src/trace/replay/lazy-model.js';
import { OP } from '../../src/trace/replay/operations.js';
import { Rebuild } from '../../src/trace/replay/rebuild.js';
import { verifyTrace } from '../../src/trace/replay/verify.js';
import { batchesOf, golden, once } from './support.js';

const hex16 = (value: number): string => value.toString(16).padStart(16, '0');
const tick = { hz: 250, phase: 1.7e6 };

/**
 * net's calls on a lazy machine of 2 CPUs whose timer fires at the edges of a tick, now and then on the other CPU: what a lazy
 * kernel would have recorded.
 */
async function lazyTrace(otherCpu: number): Promise<string> {
  const rebuild = new Rebuild();
  for (const batch of (await batchesOf(once(golden('net.txt')))).batches) rebuild.add(batch);
  const o = rebuild.finish();
  const order = o.order();
  const iommu = { mode: 'lazy' as const, flushQueue: { milliseconds: 1e6 } };
  const machine = new BaseMachine({ ram: '64MiB', cpus: 2, dmaDebug: false, iommu });
  const device = machine.addDevice();
  const domain = device.domain as DmaDomain;
  const before = new Map<number, number>();
  machine.cpu = 1;
  for (const call of order) {
    if (o.op[call] !== OP.UNMAP || o.of[call] !== -1) continue;
    before.set(o.address[call], device.mapPage(3, o.address[call] % 4096, o.size[call], 2));
  }
  let state = 7;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const lines: string[] = [];
  const addresses = new Map<number, number>();
  let timer: { fires: number; cpu: number } | null = null;
  let now = o.time[order[0]];
  for (const call of order) {
    const time = o.time[call];
    if (timer && timer.fires <= time) {
      machine.cpu = timer.cpu;
      domain.flush();
      timer = null;
    }
    const cpu = o.cpu[call];
    machine.cpu = cpu;
    if (time > now) machine.clock.advance((time - now) / 1e6);
    now = Math.max(now, time);
    const direction = o.direction[call] as 0 | 1 | 2;
    const head = `  task-1 [00${cpu}] ..... ${(time / 1e9).toFixed(6)}: `;
    const mapping = o.op[call] === OP.MAP;
    const physical = o.physical[call];
    const address = mapping
      ? device.mapPage(Math.floor(physical / 4096), physical % 4096, o.size[call], direction)
      : (addresses.get(o.of[call]) ?? before.get(o.address[call])!);
    const page = address - (address % 4096);
    const bytes = Math.ceil(((address % 4096) + o.size[call]) / 4096) * 4096;
    const range = `IOMMU: iova=0x${hex16(page)} - 0x${hex16(page + bytes)}`;
    const what = `0000:00:05.0 dir=${direction === 2 ? 'FROM_DEVICE' : 'TO_DEVICE'} dma_addr=${address.toString(16)} size=${o.size[call]}`;
    if (mapping) {
      addresses.set(call, address);
      lines.push(`${head}map: ${range} paddr=0x${hex16(physical - (physical % 4096))} size=${bytes}`);
      lines.push(`${head}dma_map_page: ${what} phys_addr=${physical.toString(16)} attrs=`);
      continue;
    }
    device.unmapPage(address, o.size[call], direction);
    lines.push(`${head}unmap: ${range} size=${bytes} unmapped_size=${bytes}`, `${head}dma_unmap_page: ${what} attrs=`);
    if (!timer && domain.pending > 0) timer = { fires: firesAt(time, tick), cpu: random() < otherCpu ? 1 - cpu : cpu };
  }
  return lines.join('\n');
}

async function verified(text: string) {
  const rebuild = new Rebuild();
  for (const batch of (await batchesOf(once(text))).batches) rebuild.add(batch);
  return verifyTrace(rebuild.finish());
}

test('a jiffy timer of 250 Hz fires at the fourth edge: 12 to 16 ms later', () => {
  const at = { hz: 250, phase: 0 };
  expect(firesAt(0, at)).toBe(16e6);
  expect(firesAt(3_999_999, at)).toBe(16e6);
  expect(firesAt(4e6, at)).toBe(20e6);
  expect(firesAt(0, { hz: 1000, phase: 500 }) / 1e6).toBeCloseTo(10, 2);
});

test('lazy: the tick is found, and every address matches', async () => {
  const result = await verified(await lazyTrace(0));
  expect(result).toMatchObject({ mode: 'lazy', compared: 2226, matched: 2226, tick: { hz: 250 } });
  expect(result.tick!.corrections).toBeLessThanOrEqual(2);
  expect(Math.abs(result.tick!.phase - tick.phase)).toBeLessThan(250_000);
}, 60_000);

test('lazy: flushes on the other CPU are found out', async () => {
  const { mode, compared, matched, tick: found } = await verified(await lazyTrace(0.15));
  expect([mode, compared]).toEqual(['lazy', 2226]);
  expect(matched).toBeGreaterThanOrEqual(2217);
  expect(found!.corrections).toBeGreaterThan(0);
}, 60_000);
