import { describe, expect, test } from 'vitest';
import { Core } from '../../src/core/instance.js';
import { CACHE, PLATFORM, random } from './host.js';

const { gpuPteEncode: encode, gpuPteAddress: address } = new Core().tools;

describe('bits of an entry besides its address', () => {
  test.each([
    // NONE, LLC, L3_LLC, WT; bit 0 is valid
    ['SNB', [0x3, 0x5, 0x5, 0x1]],
    ['IVB', [0x3, 0x5, 0x7, 0x1]],
    ['BYT', [0x3, 0x7, 0x7, 0x7]],
    ['HSW', [0x1, 0x5, 0x5, 0x5]],
    ['HSW_EDRAM', [0x1, 0x801, 0x801, 0xf]],
    ['GEN8', [0x1b, 0x83, 0x83, 0x13]],
  ] as const)('%s', (platform, bits) => {
    expect([0, 1, 2, 3].map((level) => encode(PLATFORM[platform], 0, level, 0))).toEqual(bits);
  });

  test('Bay Trail alone has entries that allow reading only', () => {
    expect(encode(PLATFORM.BYT, 0, CACHE.LLC, 1)).toBe(0x5);
    expect(encode(PLATFORM.IVB, 0, CACHE.LLC, 1)).toBe(encode(PLATFORM.IVB, 0, CACHE.LLC, 0));
    expect(encode(PLATFORM.GEN8, 0, CACHE.LLC, 1)).toBe(encode(PLATFORM.GEN8, 0, CACHE.LLC, 0));
  });
});

describe('addresses', () => {
  test('gen6 packs bits 39:32 into 11:4, Haswell 38:32 into 10:4', () => {
    expect(encode(PLATFORM.SNB, 0xab_1234_5000, CACHE.NONE, 0)).toBe(0x1234_5ab3);
    expect(encode(PLATFORM.HSW, 0x7b_1234_5000, CACHE.LLC, 0)).toBe(0x1234_57b5);
    expect(encode(PLATFORM.HSW_EDRAM, 0x7b_1234_5000, CACHE.LLC, 0)).toBe(0x1234_5fb1);
    expect(encode(PLATFORM.GEN8, 0x7b_1234_5000, CACHE.NONE, 0)).toBe(0x7b_1234_501b);
  });

  test.each(Object.entries(PLATFORM))('%s: what was encoded is decoded, for every level', (name, platform) => {
    const pick = random(platform + 1);
    const width = name === 'GEN8' || name.startsWith('HSW') ? 39 : 40;
    for (let i = 0; i < 2000; ++i) {
      const phys = (pick(2 ** 28) + (pick(2 ** (width - 12)) & 0xf) * 2 ** (width - 16)) % 2 ** (width - 12);
      for (let level = 0; level < 4; ++level) {
        expect(address(platform, encode(platform, phys * 4096, level, 0)), `page ${phys}`).toBe(phys * 4096);
      }
    }
  });
});
