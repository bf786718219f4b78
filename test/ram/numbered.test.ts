import { expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { Machine, Process, ScatterTable, SystemHeap } from '../../src/index.js';
import { stateOf } from '../life/state.js';

/** Frames are freed by number only when they were handed out by number: what anything else owns stays where it is. */

const MiB = 2 ** 20;

/** A machine in which everything that owns frames does so. */
function full(): { machine: Machine; mine: Set<number> } {
  const machine = new Machine({ ram: { size: 32 * MiB, fragmentation: 0.2 }, swiotlb: '1MiB' });
  const device = machine.addDevice();
  const gpu = machine.addI915({ gen: 8, ppgtt: 'full', stolen: '4MiB' });
  const old = machine.addI915({ gen: 6 });
  const object = gpu.createObject(5 * PAGE);
  gpu.execbuffer(gpu.createContext(), [{ object }]);
  old.createObject(3 * PAGE).bind(old.ggtt);
  ScatterTable.allocate(machine, 7);
  ScatterTable.allocate(machine, 8);
  device.allocCoherent(3 * PAGE);
  machine.createDmaPool(device, { name: 'mine', size: 64, align: 0 }).alloc();
  new SystemHeap(machine).alloc(2 * PAGE);
  const process = new Process(machine.ram);
  process.mmap(4 * PAGE, { populate: true });
  process.write(process.mmap(PAGE), new Uint8Array(1));
  const mine = new Set([...machine.ram.alloc(20)]);
  const block = machine.ram.allocBlock(3);
  for (let i = 0; i < 8; ++i) mine.add(block + i);
  return { machine, mine };
}

const refused = (call: () => void): string => {
  try {
    call();
  } catch (error) {
    if (error instanceof GemDmaError) return `${error.code} ${error.reason}`;
    throw error;
  }
  return 'freed';
};

test('every frame of a machine at work, by itself and in blocks', () => {
  const { machine, mine } = full();
  const { ram } = machine;
  const before = stateOf(machine);
  const { inUse, frames } = ram.stats;
  let owned = 0;
  for (let pfn = 0; pfn < frames + 16; ++pfn) {
    if (mine.has(pfn)) continue;
    const answer = refused(() => ram.free([pfn]));
    expect(['EINVAL RAM_NOT_IN_USE', 'EBUSY RAM_OWNED'], String(pfn)).toContain(answer);
    owned += Number(answer === 'EBUSY RAM_OWNED');
    for (let order = 0; order <= 10 && pfn % 2 ** order === 0; ++order) {
      expect(
        refused(() => ram.freeBlock(pfn, order)),
        `${pfn}, order ${order}`,
      ).not.toBe('freed');
    }
  }
  // The bounce pool and what fragmentation keeps do not count as in use.
  expect(owned).toBeGreaterThanOrEqual(inUse - mine.size);
  expect(stateOf(machine)).toEqual(before);
  machine.check();
  ram.free([...mine]);
  for (const pfn of mine) expect(refused(() => ram.free([pfn]))).toBe('EINVAL RAM_NOT_IN_USE');
  machine.check();
});

test('a list with one that is owned, anywhere in it, frees none', () => {
  const { machine, mine } = full();
  const { ram } = machine;
  const [owned] = [...ScatterTable.allocate(machine, 1).entries()].map(({ pfn }) => pfn);
  const list = [...mine];
  const many = [...ram.alloc(2000)];
  for (const at of [0, 3, list.length]) {
    const with_ = list.toSpliced(at, 0, owned);
    expect(refused(() => ram.free(with_))).toBe('EBUSY RAM_OWNED');
    expect(refused(() => ram.free(list.toSpliced(at, 0, list[7])))).toBe('EINVAL RAM_NOT_IN_USE');
  }
  expect(refused(() => ram.free([...many, owned]))).toBe('EBUSY RAM_OWNED');
  ram.free(many);
  ram.free(list);
  machine.check();
});

test('lists that are longer than the block they are handed over in', () => {
  const machine = new Machine({ ram: '256MiB' });
  const { ram } = machine;
  const pfns = [...ram.alloc(40_000)];
  const [owned] = [...ScatterTable.allocate(machine, 1).entries()].map(({ pfn }) => pfn);
  expect(refused(() => ram.free([...pfns, owned]))).toBe('EBUSY RAM_OWNED');
  expect(refused(() => ram.free([...pfns, pfns[5]]))).toBe('EINVAL RAM_NOT_IN_USE');
  machine.check();
  const { inUse } = ram.stats;
  ram.free(pfns);
  expect(ram.stats.inUse).toBe(inUse - 40_000);
  machine.check();
});

test('a restore brings back who may free what', () => {
  const machine = new Machine({ ram: '16MiB' });
  const { ram } = machine;
  const [mine] = ram.alloc(1);
  const snapshot = machine.snapshot();
  ram.free([mine]);
  const table = ScatterTable.allocate(machine, 1);
  expect(refused(() => ram.free([table.pfn(0)]))).toBe('EBUSY RAM_OWNED');
  machine.restore(snapshot);
  ram.free([mine]);
  machine.check();
});
