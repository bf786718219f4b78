import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { Process } from '../../src/drm/process.js';
import { SystemHeap } from '../../src/drm/system-heap.js';
import { Machine } from '../../src/machine-drivers/machine.js';

/** It refuses nothing: a finding is told when the outermost call is over, of that call and of no other. */

function thrown(call: () => unknown): GemDmaError {
  try {
    call();
  } catch (error) {
    if (error instanceof GemDmaError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('with strict', () => {
  test('a call that is found wrong is done, and the error has its result', () => {
    const machine = new Machine({ ram: '16MiB', dmaDebug: { strict: true } });
    const device = machine.addDevice();
    machine.dmaDebug.places({ stack: { start: 512 * PAGE, length: PAGE } });
    const error = thrown(() => device.mapPage(512, 0, 64, DMA_BIDIRECTIONAL));
    expect([error.reason, device.counts.maps]).toEqual(['MAP_STACK', 1]);
    device.mappingError(error.result as number);
    device.unmapPage(error.result as number, 64, DMA_BIDIRECTIONAL);
    expect(machine.dmaDebug.counters().live).toBe(0);
    const table = ScatterTable.fromPages(machine, [512]);
    expect(thrown(() => device.mapSg(table, DMA_BIDIRECTIONAL)).result).toBe(1);
    expect(table.mapped).toBe(true);
  });

  test('nothing found before it was set is thrown, nor by a call that finds nothing', () => {
    const machine = new Machine({ ram: '16MiB' });
    const device = machine.addDevice();
    for (let i = 0; i < 3000; ++i) device.unmapPage(PAGE, PAGE, DMA_BIDIRECTIONAL);
    machine.dmaDebug.strict = true;
    machine.events.start({ records: 2 ** 17 }); // Linear memory grows: views are taken anew.
    device.allocCoherent(PAGE).free();
    expect(machine.dmaDebug.findings.length).toBeGreaterThan(900);
    expect(thrown(() => device.unmapPage(5 * PAGE, PAGE, DMA_BIDIRECTIONAL)).message).toMatch('0x5000');
    device.allocCoherent(PAGE).free();
  });

  test('on each virtual CPU, and who is calling moves along', () => {
    const machine = new Machine({ ram: '16MiB', cpus: 2, dmaDebug: { strict: true } });
    const device = machine.addDevice();
    for (const cpu of [1, 0, 1]) {
      machine.cpu = cpu;
      expect(thrown(() => device.unmapPage(PAGE, PAGE, DMA_BIDIRECTIONAL)).reason).toBe('UNMAP_UNKNOWN');
      device.allocCoherent(PAGE).free();
    }
    const seen: unknown[] = [];
    const gpu = machine.addI915({
      policy: {
        name: 'mine',
        getPages: () => {
          machine.cpu = 0;
          device.mapPage(300, 0, PAGE, DMA_BIDIRECTIONAL);
        },
      },
    });
    gpu.createObject(PAGE).getPages();
    device.mapPage(301, 0, PAGE, DMA_BIDIRECTIONAL);
    machine.cpu = 1;
    device.mapPage(302, 0, PAGE, DMA_BIDIRECTIONAL);
    for (const { by, device: id } of machine.dmaDebug.entries()) if (id === device.id) seen.push(by.object);
    expect(seen.sort()).toEqual([0, 0, 1]);
  });

  test('work is not left in the middle: frames go back once, a device goes as a whole', () => {
    const machine = new Machine({ ram: '16MiB', dmaDebug: { strict: true } });
    const device = machine.addDevice();
    const process = new Process(machine.ram);
    const at = process.mmap(PAGE, { populate: true });
    device.mapPage(process.pfn(at)!, 0, PAGE, DMA_BIDIRECTIONAL);
    expect(thrown(() => process.munmap(at, PAGE)).reason).toBe('FREED_WHILE_MAPPED');
    expect(process.pfn(at)).toBe(undefined);
    expect(thrown(() => device.destroy()).reason).toBe('LEAK_ON_UNBIND');
    expect([device.alive, machine.devices.length]).toEqual([false, 0]);
    process.exit();
    machine.check();
  });

  test('an attachment that is found wrong is mapped all the same', () => {
    const machine = new Machine({ ram: '16MiB', dmaDebug: { strict: true } });
    const device = machine.addDevice();
    const dmaBuf = new SystemHeap(machine).alloc(PAGE);
    machine.dmaDebug.places({ text: { start: 0, length: 2 ** 24 } });
    const attachment = dmaBuf.attach(device);
    expect(thrown(() => attachment.map()).reason).toBe('MAP_TEXT');
    attachment.unmap();
    attachment.detach();
    dmaBuf.release();
    const imported = machine.addI915().importDmaBuf(new SystemHeap(machine).alloc(PAGE));
    expect(thrown(() => imported.getPages()).reason).toBe('MAP_TEXT');
    imported.putPages();
    imported.release();
    machine.check();
  });
});

test('a callback hears of a call within a hook when the driver is done', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  const order: string[] = [];
  machine.dmaDebug.onError = ({ check }) => void order.push(check);
  const gpu = machine.addI915({
    policy: {
      name: 'mine',
      getPages: () => {
        device.unmapPage(PAGE, PAGE, DMA_BIDIRECTIONAL);
        order.push(`in the hook ${machine.dmaDebug.findings.length}`);
      },
    },
  });
  gpu.createObject(PAGE).getPages();
  expect(order).toEqual(['in the hook 1', 'UNMAP_UNKNOWN']);
});

test('a machine stays where it is while a call is under way', () => {
  const machine = new Machine({ ram: '16MiB' });
  const snapshot = machine.snapshot();
  const errors: unknown[] = [];
  const gpu = machine.addI915({
    policy: {
      name: 'mine',
      getPages: () => {
        for (const call of [
          () => machine.snapshot(),
          () => machine.restore(snapshot),
          () => machine[Symbol.dispose](),
        ]) {
          errors.push(thrown(call).reason);
        }
      },
    },
  });
  gpu.createObject(PAGE).getPages();
  expect(errors).toEqual(['CALL_UNDER_WAY', 'CALL_UNDER_WAY', 'CALL_UNDER_WAY']);
  machine.restore(snapshot);
});
