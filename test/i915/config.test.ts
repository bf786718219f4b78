import { describe, expect, test } from 'vitest';
import { i915Config, i915Policy, readI915Options } from '../../src/i915/config.js';
import { i915v42 } from '../../src/i915/policy/i915-4.2.js';

const GiB = 1024 ** 3;

describe('the description of a GPU', () => {
  test('PPGTT modes are what sanitize_enable_ppgtt chose by itself', () => {
    const mode = (gen: number, translated: boolean): string => i915Config({ gen }, translated).ppgtt;
    expect([mode(6, true), mode(6, false), mode(7, true), mode(8, true), mode(9, false)]).toEqual([
      'none',
      'aliasing',
      'aliasing',
      'full',
      'full',
    ]);
  });

  test('a mode that the hardware lacks is refused', () => {
    expect(() => i915Config({ gen: 6, ppgtt: 'full' }, false)).toThrow(/needs gen 7/);
    expect(() => i915Config({ gen: 7, ppgtt: 'full-48bit' }, false)).toThrow(/needs gen 8/);
    expect(i915Config({ gen: 7, ppgtt: 'full' }, false).ppgtt).toBe('full');
  });

  test('platforms, masks and the shared cache follow the generation', () => {
    expect(i915Config({ platform: 'hsw' }, true)).toMatchObject({ gen: 7, llc: true, dmaBits: 40 });
    expect(i915Config({ gen: 7 }, true).platform).toBe('ivb');
    expect(i915Config({ platform: 'chv' }, true)).toMatchObject({ gen: 8, llc: false, dmaBits: 39 });
    expect(() => i915Config({ platform: 'hsw', gen: 8 }, true)).toThrow(/platform of gen 8/);
    expect(() => i915Config({ gen: 5 }, true)).toThrow(RangeError);
  });

  test('sizes are those that the hardware has', () => {
    expect(i915Config({}, true)).toMatchObject({ ggtt: 2 * GiB, mappable: GiB / 4, stolen: 0 });
    expect(i915Config({ ggtt: '4GiB' }, true).ggtt).toBe(4 * GiB);
    expect(() => i915Config({ ggtt: '4GiB', gen: 7 }, true)).toThrow(/1 or 2 GiB/);
    expect(() => i915Config({ mappable: '32MiB' }, true)).toThrow(/64 to 512/);
    expect(() => i915Config({ stolen: 4096 }, true)).toThrow(/multiple of 4 MiB/);
  });

  test('policies are named or given, and misspelt options do not pass', () => {
    expect(i915Policy({}).name).toBe('i915-4.2');
    expect(i915Policy({ policy: 'i915-3.18' }).name).toBe('i915-3.18');
    expect(i915Policy({ policy: i915v42 })).toBe(i915v42);
    expect(() => i915Config({ policy: 'i915-9' as never }, true)).toThrow(/one of i915-3.18/);
    expect(() => readI915Options({ defects: { nothing: true } as never })).toThrow(/defects.nothing/);
    expect(() => readI915Options({ lcc: true } as never)).toThrow(/i915.lcc/);
    expect(() => i915Config({ policy: {} as never }, true)).toThrow(TypeError);
  });
});
