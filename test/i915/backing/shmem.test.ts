import { describe, expect, test } from 'vitest';
import type { SgTableHandle } from '../../../src/core/generated/exports.js';
import { held } from '../../../src/core/handle.js';
import { gpuOn, KiB, MiB, pattern } from '../gpu.js';

describe('shmem', () => {
  test('neighbouring pages are one entry, unless swiotlb may be behind: then each page is its own', () => {
    const merged = gpuOn().gpu.createObject('1MiB');
    merged.getPages();
    const { exports } = merged.device.core;
    const lengths = (table: SgTableHandle): number[] =>
      Array.from({ length: exports.sgOrigNents(table) }, (_, i) => exports.sgEntrySize(table, i));
    const pages = held(merged.pages);
    const ends = lengths(pages);
    expect(ends.reduce((sum, length) => sum + length, 0)).toBe(MiB);
    expect(ends.length).toBeLessThan(256);
    for (let i = 1; i < ends.length; ++i) {
      const end = exports.sgEntryAddress(pages, i - 1) + ends[i - 1];
      expect(exports.sgEntryAddress(pages, i)).not.toBe(end);
    }
    const { gpu } = gpuOn({}, { iommu: 'off', swiotlb: '1MiB' });
    const split = gpu.createObject('64KiB');
    split.getPages();
    const table = held(split.pages);
    const { sgEntrySize, sgOrigNents } = split.device.core.exports;
    expect(Array.from({ length: 16 }, (_, i) => sgEntrySize(table, i))).toEqual(Array(16).fill(4096));
    expect(sgOrigNents(table)).toBe(16);
  });

  test('under pressure what is not needed goes first, then what is unbound; pinned objects stay', () => {
    const { gpu } = gpuOn({}, { ram: '32MiB' });
    const make = (): ReturnType<typeof gpu.createObject> => {
      const object = gpu.createObject('6MiB');
      object.pwrite(0, pattern(KiB, object.id));
      return object;
    };
    const [wanted, purgeable, pinned] = [make(), make(), make()];
    pinned.pinPages();
    purgeable.madvise('dontneed');
    const free = gpu.createObject('16MiB');
    free.getPages();
    expect([purgeable.madvised, wanted.pages !== 0, pinned.pages !== 0]).toEqual(['purged', true, true]);
    const more = gpu.createObject('8MiB');
    more.getPages();
    expect([wanted.pages, pinned.pages !== 0]).toEqual([0, true]);
    pinned.unpinPages();
    expect(wanted.pread(0, KiB)).toEqual(pattern(KiB, wanted.id));
    expect(pinned.pread(0, KiB)).toEqual(pattern(KiB, pinned.id));
  });

  test('when nothing helps it is ENOMEM, and the others still have their contents', () => {
    const { gpu, machine } = gpuOn({}, { ram: '16MiB' });
    const keep = gpu.createObject('4MiB');
    keep.pwrite(12345, pattern(100));
    const large = gpu.createObject('64MiB');
    expect(() => large.getPages()).toThrow(/ENOMEM/);
    expect([large.pages, keep.pages]).toEqual([0, 0]);
    expect(keep.pread(12345, 100)).toEqual(pattern(100));
    machine.check();
  });
});
