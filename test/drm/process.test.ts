import { describe, expect, test } from 'vitest';
import { EFAULT } from '../../src/core/generated/constants.js';
import { Process } from '../../src/drm/process.js';
import { BaseMachine } from '../../src/machine/machine.js';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function process(): { mm: Process; machine: BaseMachine } {
  const machine = new BaseMachine({ ram: '16MiB' });
  return { machine, mm: new Process(machine.ram) };
}

describe('a process', () => {
  test('memory reads as zeros until written, page by page', () => {
    const { mm } = process();
    const at = mm.mmap('16KiB');
    mm.write(at + 4094, bytes(1, 2, 3, 4));
    expect([...mm.read(at + 4092, 8)]).toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
    expect([0, 4096, 8192].map((offset) => mm.pfn(at + offset) !== undefined)).toEqual([true, true, false]);
    expect(() => mm.write(at + 16384, bytes(1))).toThrow(/EFAULT/);
  });

  test('pages that somebody holds outlive the mapping, and are freed with the last holder', () => {
    const { mm, machine } = process();
    const at = mm.mmap('8KiB', { populate: true });
    mm.write(at, bytes(42));
    const held = new Uint32Array(1);
    expect(mm.getUserPages(at, held, false)).toBe(1);
    mm.munmap(at, 8192);
    expect(machine.ram.read(held[0] * 4096, 1)[0]).toBe(42);
    mm.putUserPages(held);
    expect(() => machine.ram.free([held[0]]), 'it went back to RAM').toThrow(/EINVAL/);
    machine.check();
  });

  test('pages are got as far as they are there; with a fault, all of them', () => {
    const { mm } = process();
    const at = mm.mmap('16KiB');
    mm.write(at, bytes(1));
    mm.write(at + 8192, bytes(1));
    const pfns = new Uint32Array(4);
    expect(mm.getUserPages(at, pfns, false)).toBe(1);
    mm.putUserPages(pfns.subarray(0, 1));
    expect(mm.getUserPages(at, pfns, true)).toBe(4);
    expect(new Set(pfns).size).toBe(4);
    mm.putUserPages(pfns);
    expect(mm.getUserPages(at + 65536, pfns, true)).toBe(EFAULT);
  });

  test('notifiers hear of a change before it happens; the middle of a mapping can go', () => {
    const { mm } = process();
    const at = mm.mmap('12KiB', { populate: true });
    const heard: [number, number, boolean][] = [];
    mm.registerNotifier({ invalidate: (a, b) => heard.push([a - at, b - at, mm.pfn(a) !== undefined]) });
    mm.munmap(at + 4096, 4096);
    expect(heard).toEqual([[4096, 8191, true]]);
    expect([0, 4096, 8192].map((offset) => mm.pfn(at + offset) !== undefined)).toEqual([true, false, true]);
    mm.discard(at + 8192, 4096);
    expect(mm.read(at + 8192, 1)[0]).toBe(0);
    expect(() => mm.munmap(at, 12288)).toThrow(/EINVAL/);
    mm.exit();
    expect(() => mm.pfn(at)).toThrow(/ENODEV/);
  });
});
