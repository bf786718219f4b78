import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import type { DmaDevice } from '../../src/dma/device.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { FINDING_CHANNEL, type Finding, POOL_CHANNEL, type PoolMessage } from '../../src/dma-debug/channels.js';
import type { DmaDebugOptions } from '../../src/dma-debug/options.js';
import { reportText } from '../../src/dma-debug/report.js';
import { BaseMachine } from '../../src/machine/machine.js';

const MS = 1e6;

function lab(dmaDebug: DmaDebugOptions = {}): { machine: BaseMachine; device: DmaDevice } {
  const machine = new BaseMachine({ ram: '32MiB', dmaDebug });
  return { machine, device: machine.addDevice({ driver: 'testing' }) };
}

/** A mapping that is ended with another direction: one finding of the kernel's. */
function wrongDirection(device: DmaDevice, pfn: number): void {
  const address = device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
  device.mappingError(address);
  device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
}

describe('findings', () => {
  test('strict throws at the offending call, with the whole story', () => {
    const { machine, device } = lab({ strict: true });
    const table = ScatterTable.allocate(machine, 8);
    machine.dmaDebug.attributions.objectName = (id) => `bo ${id} "scanout"`;
    machine.dmaDebug.attributions.set(7, 0, machine.dmaDebug.attributions.hookId('bind'));
    device.mapSg(table, DMA_BIDIRECTIONAL);
    const first = table.dmaAddress(0);
    let error: unknown;
    try {
      device.mapSg(table, DMA_BIDIRECTIONAL);
    } catch (caught) {
      error = caught;
    }
    expect(GemDmaError.is(error, 'EINVAL')).toBe(true);
    const { reason, syscall, message, details } = error as GemDmaError;
    expect([reason, syscall]).toEqual(['DOUBLE_MAP', 'dma_map_sg']);
    expect(message).toContain('bo 7 "scanout", in bind');
    expect(message).toContain(`0x${first.toString(16)}`);
    expect(details.data).toMatchObject({
      deviceAddress: table.dmaAddress(0),
      liveAddress: first,
      size: 8 * PAGE,
      liveSize: 8 * PAGE,
      object: 7,
    });
    expect(table.dmaAddress(0), 'the mapping stands, as it does in a kernel').not.toBe(first);
    machine.check();
  });

  test('strict throws where frames or tables go while they are mapped', () => {
    const { machine, device } = lab({ strict: true });
    const [pfn] = machine.ram.alloc(1);
    device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    expect(() => machine.ram.free([pfn])).toThrow(/FREED_WHILE_MAPPED/);
    const table = ScatterTable.allocate(machine, 4);
    device.mapSg(table, DMA_BIDIRECTIONAL);
    expect(() => table.release()).toThrow(/FREED_WHILE_MAPPED/);
    expect(machine.dmaDebug.count('OBJECT_GONE')).toBe(1);
  });

  test.each([
    [0, 1],
    [1, 0],
  ])(
    'two tables of the same pages at the same addresses: each loses its own mapping, %i before %i',
    (first, second) => {
      const machine = new BaseMachine({ ram: '32MiB', iommu: 'off' });
      const device = machine.addDevice();
      const pfns = machine.ram.alloc(5);
      const tables = [0, 1].map(() => ScatterTable.fromPages(machine, pfns));
      for (const table of tables) device.mapSg(table, DMA_BIDIRECTIONAL);
      expect(tables[0].dmaAddress(0)).toBe(tables[1].dmaAddress(0));
      for (const one of [first, second]) {
        device.unmapSg(tables[one], DMA_BIDIRECTIONAL);
        tables[one].release();
        machine.check();
      }
      // The kernel says of the second mapping what it says of any overlap.
      const { OBJECT_GONE, STALE_PTE, UNMAP_UNKNOWN } = machine.dmaDebug.report().findings;
      expect([OBJECT_GONE, STALE_PTE, UNMAP_UNKNOWN]).toEqual([undefined, undefined, undefined]);
      expect(machine.dmaDebug.report().live.count).toBe(0);
    },
  );

  test('onError and the channels get each finding at its call, in one shape', () => {
    const { machine, device } = lab({ allErrors: true });
    const published: Finding[] = [];
    const called: Finding[] = [];
    const listen = (message: unknown): void => void published.push(message as Finding);
    machine.dmaDebug.onError = (finding) => called.push(finding);
    subscribe(FINDING_CHANNEL, listen);
    try {
      wrongDirection(device, machine.ram.alloc(1)[0]);
      expect(called).toHaveLength(1);
    } finally {
      unsubscribe(FINDING_CHANNEL, listen);
    }
    expect(published).toEqual(called);
    expect(called[0]).toMatchObject({
      check: 'UNMAP_DIR',
      device: '0000:00:02.0',
      kernel: true,
      printed: true,
      own: true,
      data: { size: PAGE, mappedDir: 'TO_DEVICE', unmappedDir: 'FROM_DEVICE' },
      mapping: { device: '0000:00:02.0', size: PAGE, type: 'single', direction: 'TO_DEVICE', by: {} },
    });
    expect(machine.dmaDebug.findings).toEqual(called);
    wrongDirection(device, machine.ram.alloc(1)[0]);
    expect(published, 'nothing after unsubscribing').toHaveLength(1);
  });

  test('the pool is told about on a channel of its own', () => {
    const { machine, device } = lab({ entries: 32 });
    const messages: PoolMessage[] = [];
    const listen = (message: unknown): void => void messages.push(message as PoolMessage);
    subscribe(POOL_CHANNEL, listen);
    try {
      for (const pfn of machine.ram.alloc(65)) device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    } finally {
      unsubscribe(POOL_CHANNEL, listen);
    }
    expect(messages.map(({ check, total, disabled }) => [check, total, disabled])).toEqual([
      ['POOL_GROWN', 64, false],
      ['POOL_GROWN', 96, false],
    ]);
  });

  test('what nobody listens to is kept for whoever asks later, and counted beyond that', () => {
    const { machine, device } = lab();
    const [pfn] = machine.ram.alloc(1);
    for (let i = 0; i < 1500; ++i) wrongDirection(device, pfn);
    expect(machine.dmaDebug.count('UNMAP_DIR')).toBe(1500);
    expect(machine.dmaDebug.findings.length).toBeGreaterThanOrEqual(1000);
    expect(
      machine.dmaDebug.findings.slice(0, 2).map(({ printed }) => printed),
      'num_errors is 1',
    ).toEqual([true, false]);
  });

  test('a driver filter hides what the kernel prints of others, and is read as the kernel reads it', () => {
    const { machine, device } = lab({ allErrors: true, driverFilter: 'testing trailing words' });
    const other = machine.addDevice({ driver: 'other' });
    const [pfn] = machine.ram.alloc(1);
    wrongDirection(device, pfn);
    wrongDirection(other, pfn);
    machine.dmaDebug.set({ driverFilter: '-' });
    wrongDirection(other, pfn);
    expect(machine.dmaDebug.findings.map(({ printed }) => printed)).toEqual([true, false, true]);
    expect(machine.dmaDebug.counters().errorCount).toBe(3);
  });

  test('the CPU writes to a page in whose first cacheline a mapping begins', () => {
    const { machine, device } = lab();
    const [mapped, idle] = machine.ram.alloc(2);
    const address = device.mapPage(mapped, 192, 64, DMA_FROM_DEVICE);
    device.mapPage(idle, 0, PAGE, DMA_TO_DEVICE);
    machine.dmaDebug.cpuTouch(idle);
    machine.dmaDebug.cpuTouch(mapped);
    expect(machine.dmaDebug.findings.map(({ check, data }) => [check, data])).toEqual([
      ['CPU_TOUCH', { deviceAddress: address, cacheline: mapped * 64 + 3 }],
    ]);
  });

  test('options that cannot be are refused by name', () => {
    expect(() => new BaseMachine({ dmaDebug: { entries: 0 } })).toThrow(/dmaDebug\.entries/);
    expect(() => new BaseMachine({ dmaDebug: { stict: true } as never })).toThrow(/dmaDebug\.stict/);
    expect(() => new BaseMachine({ dmaDebug: { strict: 1 as never } })).toThrow(/dmaDebug\.strict/);
    expect(() => new BaseMachine({ dmaDebug: { checkers: 'none' as never } })).toThrow(/dmaDebug\.checkers/);
  });
});

describe('the leak report', () => {
  /** Two places and two objects; `double` maps of one table each lose a range. */
  function leaky(): { machine: BaseMachine; device: DmaDevice; lose: (n: number) => void } {
    const { machine, device } = lab();
    const { attributions } = machine.dmaDebug;
    const bind = attributions.hookId('bind');
    const table = ScatterTable.allocate(machine, 16);
    const lose = (n: number): void => {
      for (let i = 0; i < n; ++i) {
        attributions.set(1, 1 + i, bind);
        device.mapSg(table, DMA_BIDIRECTIONAL);
      }
    };
    attributions.set(2, 0, attributions.hookId('probe'));
    device.mapPage(machine.ram.alloc(1)[0], 64, 128, DMA_TO_DEVICE);
    return { machine, device, lose };
  }

  test('groups by place and by object, with bytes, address space, loss and age, the worst first', () => {
    const { machine, lose } = leaky();
    machine.clock.advance(5);
    lose(3);
    machine.clock.advance(2);
    const report = machine.dmaDebug.report();
    expect(report.live).toEqual({ count: 4, bytes: 3 * 16 * PAGE + 128, iovaBytes: 3 * 16 * PAGE + PAGE });
    expect(report.lost, 'the newest of the three is still in the table').toEqual({
      count: 2,
      iovaBytes: 2 * 16 * PAGE,
    });
    expect(report.bySite.map(({ origin, count, lost }) => [origin, count, lost])).toEqual([
      ['0000:00:02.0: in bind', 3, 2],
      ['0000:00:02.0: in probe', 1, 0],
    ]);
    expect(report.byObject.map(({ origin }) => origin)).toEqual(['0000:00:02.0: object 1', '0000:00:02.0: object 2']);
    expect(report.bySite[0]).toMatchObject({
      bytes: 3 * 16 * PAGE,
      iovaBytes: 3 * 16 * PAGE,
      lostIovaBytes: 2 * 16 * PAGE,
      oldest: 2 * MS,
      newest: 2 * MS,
      example: { size: 16 * PAGE, type: 'scatter-gather', direction: 'BIDIRECTIONAL' },
    });
    expect(report.bySite[1]).toMatchObject({ bytes: 128, iovaBytes: PAGE, oldest: 7 * MS });
    expect(report.findings).toMatchObject({ DOUBLE_MAP: 2, ADDRESS_OVERWRITTEN: 2 });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(machine.dmaDebug.poll()).toEqual({ disabled: false, live: 4, lost: 2, lostIovaBytes: 2 * 16 * PAGE });
    const text = reportText(report);
    for (const part of ['4 live mappings', '2 are lost: 128 KiB', 'in probe', 'object 1', 'DOUBLE_MAP 2']) {
      expect(text).toContain(part);
    }
  });

  test('says when address space runs out, by the loss since the last report', () => {
    const { machine, lose } = leaky();
    machine.dmaDebug.setFreeSpace(() => 100 * 16 * PAGE);
    lose(11);
    machine.clock.advance(1000);
    expect(machine.dmaDebug.report().forecast).toMatchObject({
      over: 1000 * MS,
      lost: 10,
      lostBytes: 10 * 16 * PAGE,
      bytesPerSecond: 10 * 16 * PAGE,
      secondsLeft: 10,
      mappingsLeft: 100,
    });
    lose(5);
    machine.clock.advance(100);
    expect(machine.dmaDebug.report().forecast).toMatchObject({ over: 100 * MS, lost: 5, secondsLeft: 2 });
    machine.clock.advance(100);
    const calm = machine.dmaDebug.report().forecast;
    expect([calm.lost, calm.secondsLeft, calm.mappingsLeft]).toEqual([0, null, null]);
  });

  test('call sites are taken only when asked for', () => {
    const { machine, device } = lab({ callSites: true });
    device.mapPage(machine.ram.alloc(1)[0], 0, PAGE, DMA_TO_DEVICE);
    expect(machine.dmaDebug.report().bySite[0].origin).toMatch(/dma-debug\.test\.ts:\d+:\d+/);
    const quiet = lab();
    quiet.device.mapPage(quiet.machine.ram.alloc(1)[0], 0, PAGE, DMA_TO_DEVICE);
    expect(quiet.machine.dmaDebug.report().bySite[0].origin).toBe('0000:00:02.0: single, nobody named');
  });

  test('a device that goes takes its mappings out of dma-debug, after they were told', () => {
    const { machine, device } = lab();
    const other = machine.addDevice();
    const pfns = machine.ram.alloc(3);
    for (const pfn of pfns) device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    const kept = other.mapPage(pfns[0], 64, 64, DMA_FROM_DEVICE);
    machine.dmaDebug.removeDevice(device);
    const [leak] = machine.dmaDebug.findings;
    expect([leak.check, leak.data.count]).toEqual(['LEAK_ON_UNBIND', 3]);
    expect([...machine.dmaDebug.entries()].map(({ address }) => address)).toEqual([kept]);
    expect(machine.dmaDebug.counters()).toMatchObject({ live: 1, lost: 0, numFreeEntries: 65535 });
    machine.check();
  });
});
