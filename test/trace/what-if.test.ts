import { describe, expect, test } from 'vitest';
import type { Operations } from '../../src/trace/replay/operations.js';
import { Rebuild } from '../../src/trace/replay/rebuild.js';
import { parseWhatIf, whatIf } from '../../src/trace/replay/what-if.js';
import { batchesOf, golden, once } from './support.js';

async function operationsOf(name: string): Promise<Operations> {
  const rebuild = new Rebuild();
  for (const batch of (await batchesOf(once(golden(name)))).batches) rebuild.add(batch);
  return rebuild.finish();
}

describe('net under other configurations', async () => {
  const net = await operationsOf('net.txt');

  test('as recorded: nothing fails, an IOTLB flush for each unmap', () => {
    const result = whatIf(net);
    expect(result).toMatchObject({ maps: 2226, failures: 0, firstFailure: null, stale: null });
    expect(result.invalidations.page).toBe(2226);
    expect(result.tablePages).toBeGreaterThan(2);
    expect(result.search!.allocations).toBeLessThan(300);
  });

  test('lazy: few flushes, each of a domain, and ranges that stay reachable', () => {
    const { failures, invalidations, stale } = whatIf(net, parseWhatIf('mode=lazy'));
    expect(failures).toBe(0);
    expect(invalidations.page).toBe(0);
    expect(invalidations.domain).toBeGreaterThan(10);
    expect(invalidations.domain).toBeLessThan(400);
    expect(stale!.ranges).toBeGreaterThan(2000);
    expect(stale!.meanMilliseconds).toBeGreaterThan(0.5);
    expect(stale!.maxMilliseconds).toBeLessThanOrEqual(10);
  });

  test('a longer time and a smaller queue change how often it is flushed', () => {
    const few = whatIf(net, parseWhatIf('mode=lazy,timeout=100')).invalidations.domain;
    const usual = whatIf(net, parseWhatIf('mode=lazy')).invalidations.domain;
    const many = whatIf(net, parseWhatIf('mode=lazy,queue=4')).invalidations.domain;
    expect(few).toBeLessThan(usual);
    expect(usual).toBeLessThan(many);
  });

  test('a mask of 20 bits does not hold a ring of 255 buffers', () => {
    const { failures, firstFailure, reasons } = whatIf(net, parseWhatIf('mask=20'));
    expect(failures).toBeGreaterThan(0);
    expect(firstFailure).toBeGreaterThan(6.3);
    expect(Object.keys(reasons)[0]).toMatch(/^IOVA_/);
  });

  test('through the bounce pool: everything is copied', () => {
    const { bounceHighWater, bouncedBytes, largestHole } = whatIf(net, parseWhatIf('mode=swiotlb'));
    expect(bounceHighWater).toBeGreaterThan(200 * 2048);
    expect(bouncedBytes).toBeGreaterThan(3_000_000);
    expect(largestHole).toBeNull();
  });

  test('2015 searched the tree at each mapping', () => {
    const { search } = whatIf(net, parseWhatIf('kernel=linux-4.2'));
    expect(search!.allocations).toBeGreaterThan(2226 - 1);
    expect(whatIf(net, parseWhatIf('allocator=fast')).search).toBeNull();
  });
});

test.each([
  ['mode=fast', 'mode is one of strict, lazy, off, swiotlb'],
  ['speed=1', "'speed' is none of"],
  ['mask=7', 'mask takes a whole number from 12 to 64'],
  ['mask', 'mask needs a value'],
  ['swiotlb=1k', 'swiotlb takes a size from 256KiB to 1GiB'],
])('%s is refused', (text, message) => {
  expect(() => parseWhatIf(text)).toThrow(message);
});

test('every key at once', () => {
  expect(
    parseWhatIf('mode=lazy, allocator=rcache,kernel=linux-6.12,mask=32,magazine=16,queue=64,timeout=5,swiotlb=1MiB'),
  ).toEqual({
    ...{ mode: 'lazy', allocator: 'rcache', kernel: 'linux-6.12', mask: 32, magazine: 16, queue: 64, timeout: 5 },
    swiotlb: 1024 ** 2,
  });
});
