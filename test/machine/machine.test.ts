import { describe, expect, test } from 'vitest';
import { GemDmaError, Machine } from '../../src/index.js';

describe('configuration', () => {
  test('is complete, plain JSON, and makes the same machine again', () => {
    const machine = new Machine({ ram: '64MiB', iommu: 'lazy', seed: 9 });
    const config = JSON.parse(JSON.stringify(machine.config));
    expect(config).toMatchObject({ ram: { size: 64 * 1024 ** 2 }, iommu: { mode: 'lazy', levels: 4 }, seed: 9 });
    expect(new Machine(config).config).toEqual(machine.config);
  });

  test.each([
    [{ ram: '12 bananas' }, 'ERR_INVALID_ARG_VALUE', 'ram'],
    [{ ram: 1024 }, 'ERR_OUT_OF_RANGE', 'ram'],
    [{ ram: { size: '1GiB', fragmentation: 2 } }, 'ERR_OUT_OF_RANGE', 'ram.fragmentation'],
    [{ kernel: 'linux-7' }, 'ERR_INVALID_ARG_VALUE', 'kernel'],
    [{ iommu: 'sometimes' }, 'ERR_INVALID_ARG_VALUE', 'iommu.mode'],
    [{ iommu: { level: 4 } }, 'ERR_INVALID_ARG_VALUE', 'iommu.level'],
    [{ cpus: 0 }, 'ERR_OUT_OF_RANGE', 'cpus'],
    [{ cpus: '2' }, 'ERR_INVALID_ARG_TYPE', 'cpus'],
    [{ sed: 1 }, 'ERR_INVALID_ARG_VALUE', 'options.sed'],
  ])('%j is refused with the option named', (options, code, name) => {
    expect(() => new Machine(options as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`"${name}"`) }),
    );
  });
});

describe('virtual clock', () => {
  test('runs deferred work in order of time, then of queueing, and work may queue more', () => {
    const { clock } = new Machine({ ram: '16MiB' });
    const order: string[] = [];
    clock.schedule(5, () => order.push(`b@${clock.now}`));
    clock.schedule(1, () => {
      order.push(`a@${clock.now}`);
      clock.schedule(4, () => order.push(`c@${clock.now}`));
    });
    const cancel = clock.schedule(2, () => order.push('never'));
    expect(cancel()).toBe(true);
    clock.advance(4.5);
    expect(order).toEqual(['a@1']);
    clock.advance(10);
    expect(order).toEqual(['a@1', 'b@5', 'c@5']);
    expect(clock.now).toBe(14.5);
    expect(cancel()).toBe(false);
  });
});

describe('physical memory', () => {
  test('bytes cross frames, and errors say where', () => {
    const { ram } = new Machine({ ram: '16MiB' });
    const pfn = ram.allocBlock(1);
    ram.write(pfn * 4096 + 4090, new Uint8Array(12).fill(7));
    expect([...ram.read(pfn * 4096 + 4088, 16)]).toEqual([0, 0, ...Array(12).fill(7), 0, 0]);
    ram.freeBlock(pfn, 1);
    expect(() => ram.freeBlock(pfn, 1)).toThrow(GemDmaError);
    expect(() => ram.read(2 ** 40, 1)).toThrow(expect.objectContaining({ code: 'EFAULT', syscall: 'phys_read' }));
  });

  test('allocation is all or nothing', () => {
    const machine = new Machine({ ram: '16MiB' });
    expect(() => machine.ram.alloc(4096)).toThrow(expect.objectContaining({ code: 'ENOMEM', errno: -12 }));
    const pfns = machine.ram.alloc(4096 - 256);
    expect(new Set(pfns).size).toBe(4096 - 256);
    machine.ram.free(pfns);
    expect(() => machine.ram.free(pfns)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    machine.check();
  });
});
