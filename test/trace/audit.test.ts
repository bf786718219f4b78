import { describe, expect, test } from 'vitest';
import { Audit } from '../../src/trace/audit/audit.js';
import { auditOf, batchesOf, golden, once } from './support.js';

let clock = 1;
/** A line of ftrace, a microsecond after the one before. */
function line(event: string, { cpu = 0, task = 'dd-83' } = {}): string {
  clock += 1e-6;
  return `  ${task} [00${cpu}] ..... ${clock.toFixed(6)}: ${event}`;
}

const hex = (n: number): string => n.toString(16);
const map = (address: number, physical: number, size = 4096, dir = 'FROM_DEVICE', dev = '0000:00:05.0'): string[] => [
  line(
    `map: IOMMU: iova=0x${hex(address - (address % 4096))} - 0x0 paddr=0x${hex(physical - (physical % 4096))} size=4096`,
  ),
  line(`dma_map_page: ${dev} dir=${dir} dma_addr=${hex(address)} size=${size} phys_addr=${hex(physical)} attrs=`),
];
const unmap = (address: number, size = 4096, dir = 'FROM_DEVICE', dev = '0000:00:05.0'): string[] => [
  line(`unmap: IOMMU: iova=0x${hex(address - (address % 4096))} - 0x0 size=4096 unmapped_size=4096`),
  line(`dma_unmap_page: ${dev} dir=${dir} dma_addr=${hex(address)} size=${size} attrs=`),
];
const audit = (...lines: (string | string[])[]) => auditOf(once(lines.flat().join('\n')));

describe('recordings of a real kernel', () => {
  test.each([
    ['boot.txt', 28, 0],
    ['block.txt', 513, 0],
    ['net.txt', 2226, 255],
    ['trace-cmd-report.txt', 32, 0],
  ])('%s: everything pairs, nothing is suspected', async (name, maps, midLife) => {
    const result = await auditOf(once(golden(name)));
    const devices = result.devices.filter(({ device }) => device !== '(iommu)');
    expect(devices.reduce((sum, it) => sum + it.maps, 0)).toBe(maps);
    expect(result.completeness.startedInMidLife).toBe(midLife);
    expect(result.suspects).toEqual([]);
    expect(result.mismatches).toEqual({ counts: {}, examples: [] });
    expect(result.overlaps.count).toBe(0);
  });

  test('block without its dma_unmap_sg: iommu:unmap alone pairs all', async () => {
    const lines = golden('block.txt').toString().split('\n');
    const { devices, completeness, suspects } = await audit(lines.filter((it) => !it.includes('dma_unmap_sg')));
    expect(devices.reduce((sum, { live }) => sum + live, 0)).toBe(0);
    expect(completeness.endsFromIommu).toBe(328);
    expect(suspects).toEqual([]);
  });

  test('block with iommu:* alone has no device, and pairs', async () => {
    const lines = golden('block.txt').toString().split('\n');
    const { devices, completeness, suspectCount } = await audit(lines.filter((it) => !it.includes('dma_')));
    expect(completeness.hasDevices).toBe(false);
    expect(devices).toMatchObject([{ device: '(iommu)', maps: 513, unmaps: 513, live: 0 }]);
    expect(suspectCount).toBe(0);
  });

  test.each(['map and iommu', 'map alone'])(
    'net without 200 of its unmaps (%s): all that began in the trace are found',
    async (what) => {
      const lines = golden('net.txt').toString().split('\n');
      let state = 42;
      const random = (n: number): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * n;
      const ends = lines.map((it, i) => (it.includes('dma_unmap_page') ? i : -1)).filter((i) => i >= 0);
      const dropped = new Set<number>();
      let deleted = 0;
      while (deleted < 200) {
        const at = ends[Math.floor(random(ends.length))];
        if (dropped.has(at)) continue;
        const page = /dma_addr=(\w+)\w{3} /.exec(lines[at])![1];
        // Those that were mapped before the trace began have no begin to be suspected.
        let begin = at;
        while (
          begin >= 0 &&
          !lines[begin].includes(`dma_map_page: 0000:00:05.0 dir=FROM_DEVICE dma_addr=${page}`) &&
          !lines[begin].includes(`dma_map_page: 0000:00:05.0 dir=TO_DEVICE dma_addr=${page}`)
        )
          --begin;
        if (begin < 0) continue;
        dropped.add(at);
        ++deleted;
        if (what === 'map alone') continue;
        for (let i = at; i >= 0; --i) {
          if (!lines[i].includes(`: unmap: IOMMU: iova=0x${`${page}000`.padStart(16, '0')}`)) continue;
          dropped.add(i);
          break;
        }
      }
      const { suspectCount } = await audit(lines.filter((_, i) => !dropped.has(i)));
      // The last few have nobody that came later and went.
      expect(suspectCount).toBeGreaterThanOrEqual(190);
      expect(suspectCount).toBeLessThanOrEqual(200);
    },
  );
});

describe('leaks', () => {
  test('a receive ring that is full at the end is none; one buffer that was overtaken is', async () => {
    const lines: string[] = [];
    const ring: number[] = [];
    for (let i = 0; i < 64; ++i) ring.push(0xfff00000 - i * 4096);
    ring.forEach((at, i) => void lines.push(...map(at, 0x100000 + i * 4096)));
    for (let i = 0; i < 64; ++i) lines.push(...unmap(ring[i]), ...map(ring[i], 0x100000 + i * 4096));
    expect((await audit(lines)).suspectCount).toBe(0);
    lines.push(...map(0xffe00000, 0x900000));
    for (let round = 0; round < 3; ++round) {
      for (let i = 0; i < 64; ++i) lines.push(...unmap(ring[i]), ...map(ring[i], 0x100000 + i * 4096));
    }
    const { suspects } = await audit(lines);
    expect(suspects).toMatchObject([
      {
        evidence: 'overtaken',
        device: '0000:00:05.0',
        kind: 'page',
        count: 1,
        task: 'dd-83',
        examples: [{ address: '0xffe00000', physical: '0x900000' }],
      },
    ]);
  });

  test('an address that is handed out again though no unmap was seen', async () => {
    const { suspects } = await audit(map(0xfff00000, 0x1000), map(0xfff00000, 0x2000));
    expect(suspects).toMatchObject([{ evidence: 'address-reused', count: 1 }]);
  });

  test('without an IOMMU addresses are physical, and the same one twice is no new owner', async () => {
    const direct = (at: number): string =>
      line(`dma_map_page: 0000:00:05.0 dir=TO_DEVICE dma_addr=${hex(at)} size=100 phys_addr=${hex(at)} attrs=`);
    const { suspectCount, overlaps } = await audit(direct(0x123000), direct(0x123000));
    expect([suspectCount, overlaps.count, overlaps.readOnly]).toEqual([0, 1, 1]);
  });
});

describe('unmaps that do not match', () => {
  test.each([
    ['size', map(0xfff00000, 0x1000, 2048), unmap(0xfff00000, 1024)],
    ['direction', map(0xfff00000, 0x1000), unmap(0xfff00000, 4096, 'TO_DEVICE')],
    ['address', map(0xfff00000, 0x1000), unmap(0xfff00040)],
    ['unmapped-twice', map(0xfff00000, 0x1000), [...unmap(0xfff00000), ...unmap(0xfff00000)]],
    [
      'function',
      map(0xfff00000, 0x1000),
      [line('dma_unmap_resource: 0000:00:05.0 dir=FROM_DEVICE dma_addr=fff00000 size=4096 attrs=')],
    ],
  ])('%s', async (kind, begin, end) => {
    const { mismatches } = await audit(begin, end);
    expect(mismatches.counts).toEqual({ [kind]: 1 });
    expect(mismatches.examples[0]).toMatchObject({ kind, device: '0000:00:05.0', task: 'dd-83' });
  });

  test('what the trace never saw mapped was live at its begin', async () => {
    const { mismatches, completeness } = await audit(unmap(0xfff00000));
    expect([mismatches.counts, completeness.startedInMidLife]).toEqual([{}, 1]);
  });

  test('two devices may have the same address', async () => {
    const b = '0000:00:06.0';
    const result = await audit(
      map(0xfff00000, 0x1000),
      map(0xfff00000, 0x2000, 4096, 'FROM_DEVICE', b),
      unmap(0xfff00000, 4096, 'FROM_DEVICE', b),
      unmap(0xfff00000),
    );
    expect([result.suspectCount, result.mismatches.counts]).toEqual([0, {}]);
  });

  test('the address is handed out on another CPU before dma_unmap_page is told', async () => {
    const [begin, begun] = map(0xfff00000, 0x1000);
    const [gone, told] = unmap(0xfff00000);
    const [again, mapped] = map(0xfff00000, 0x5000, 4096, 'TO_DEVICE').map((it) => it.replace('[000]', '[001]'));
    const result = await audit([begin, begun, gone, again, mapped, told]);
    expect([result.devices[0].live, result.suspectCount, result.completeness.endsFromIommu]).toEqual([1, 0, 0]);
    expect(result.mismatches.counts).toEqual({});
  });
});

describe('memory mapped twice', () => {
  test('with both addresses; half pages of one page are none', async () => {
    const { overlaps } = await audit(map(0xfff00000, 0x1000, 4096), map(0xffe00000, 0x1000, 4096));
    expect(overlaps).toMatchObject({
      count: 1,
      readOnly: 0,
      examples: [{ first: { address: '0xfff00000' }, second: { address: '0xffe00000' }, physical: '0x1000' }],
    });
    expect((await audit(map(0xfff00000, 0x1000, 2048), map(0xffe00800, 0x1800, 2048))).overlaps.count).toBe(0);
  });

  test('a page inside of a list', async () => {
    const list = line(
      'dma_map_sg: 0000:00:05.0 dir=FROM_DEVICE nents=2/2 ents=2/2 dma_addrs={0xffd00000,0xffd10000} sizes={0x10000,0x200000} phys_addrs={0x100000,0x800000} attrs=',
    );
    expect((await audit(list, map(0xfff00000, 0x8ff000))).overlaps.count).toBe(1);
    expect((await audit(list, map(0xfff00000, 0xa00000))).overlaps.count).toBe(0);
  });

  test('a list that was mapped twice ends once: the other is still there', async () => {
    const list = (at: string): string =>
      line(
        `dma_map_sg: 0000:00:05.0 dir=TO_DEVICE nents=1/1 ents=1/1 dma_addrs={${at}} sizes={0x1000} phys_addrs={0x100000} attrs=`,
      );
    const end = line('dma_unmap_sg: 0000:00:05.0 dir=TO_DEVICE phys_addrs={0x100000} attrs=');
    const { devices, completeness } = await audit(list('0xffd00000'), list('0xffe00000'), end);
    expect(devices[0]).toMatchObject({ maps: 2, live: 1 });
    expect(completeness.ambiguousLists).toBe(1);
  });
});

describe('faults', () => {
  const fault = (time: number, address: string): string =>
    `[ ${time.toFixed(6)}] DMAR: [DMA Write] Request device [00:05.0] fault addr ${address} [fault reason 05] PTE Write access is not set`;

  test('who had unmapped the address, and how long before; the log is read before the trace', async () => {
    const trace = [...map(0xfff00040, 0x1040, 1522), ...unmap(0xfff00040, 1522)];
    const at = clock + 0.001;
    clock += 1;
    trace.push(...map(0xfff00040, 0x1040, 1522));
    const run = new Audit();
    for (const batch of (await batchesOf(once(fault(at, 'fff00800')))).batches) run.add(batch, 0);
    for (const batch of (await batchesOf(once(trace.join('\n')))).batches) run.add(batch, 1);
    const [found] = run.result().faults;
    expect(found).toMatchObject({
      verdict: 'unmapped',
      device: '0000:00:05.0',
      write: true,
      holder: { address: '0xfff00040', unmappedBy: 'dd-83' },
    });
    expect(found.age).toBeGreaterThan(0.9);
    expect(found.age).toBeLessThan(1.1);
  });

  test('beside a mapping, in a live one, and nowhere', async () => {
    const trace = map(0xfff00000, 0x1000);
    const at = clock + 1;
    const { faults } = await audit(trace, [
      fault(at, 'fff00000'),
      fault(at, 'fff01000'),
      fault(at, 'aaa00000'),
      fault(at, 'aaa00010'),
    ]);
    expect(faults.map(({ verdict, times }) => [verdict, times])).toEqual([
      ['live', 1],
      ['neighbour', 1],
      ['never', 2],
    ]);
  });
});

test('the history of an address', async () => {
  const lines = [...map(0xfff00000, 0x1000), ...map(0xffe00000, 0x2000), ...unmap(0xfff00000)];
  const { history } = await auditOf(once(lines.join('\n')), { at: '0xfff00abc' });
  expect(history!.map(({ what }) => what)).toEqual(['iommu:map', 'dma_map_page', 'iommu:unmap', 'dma_unmap_page']);
  expect(() => new Audit({ at: 'hello' })).toThrow(TypeError);
});

test('the address space over time: used, largest hole', async () => {
  const lines: string[] = [];
  for (let i = 0; i < 400; ++i) lines.push(...map(0xfff00000 - i * 8192, 0x100000 + i * 4096));
  const { space } = await audit(lines);
  const samples = space['0000:00:05.0'];
  expect(samples.length).toBeGreaterThan(0);
  expect(samples.at(-1)).toMatchObject({ mappings: 400, bytes: 400 * 4096, largestHole: 4096 });
});
