import { describe, expect, test } from 'vitest';
import { SHRINK_BOUND, SHRINK_PURGEABLE, SHRINK_UNBOUND } from '../../src/i915/shrinker.js';
import { gpuOn, pattern } from './gpu.js';

const PAGES = 16; // of each object here

function world() {
  const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full' });
  const object = () => {
    const made = gpu.createObject(PAGES * 4096);
    made.pwrite(0, pattern(100, made.id));
    return made;
  };
  return { gpu, machine, object };
}

describe('the shrinker', () => {
  test('takes unbound objects before bound ones, the oldest of each first', () => {
    const { gpu, object } = world();
    const [a, b, c, d] = [object(), object(), object(), object()];
    a.bind(gpu.ggtt);
    c.bind(gpu.ggtt);
    const left = () => [a, b, c, d].map(({ pages }) => pages !== 0);
    const all = SHRINK_BOUND | SHRINK_UNBOUND;
    expect([gpu.shrink(1, all), left()]).toEqual([PAGES, [true, false, true, true]]);
    expect([gpu.shrink(PAGES + 1, all), left()]).toEqual([2 * PAGES, [false, false, true, false]]);
    expect([gpu.shrink(1, SHRINK_UNBOUND), left()]).toEqual([0, [false, false, true, false]]);
    expect([a, b, d].map((one) => one.pread(0, 100))).toEqual([a, b, d].map(({ id }) => pattern(100, id)));
  });

  test('a scan takes what is not needed first, wherever it is bound, and only then the rest', () => {
    const { gpu, object } = world();
    const [wanted, bound] = [object(), object()];
    bound.bind(gpu.ggtt);
    bound.madvise('dontneed');
    expect(gpu.shrinkerScan(PAGES)).toBe(PAGES);
    expect([wanted.pages !== 0, bound.madvised, bound.vmas]).toEqual([true, 'purged', []]);
    expect(gpu.shrinkerScan(PAGES)).toBe(PAGES);
    expect([wanted.pages, wanted.madvised]).toEqual([0, 'willneed']);
    expect(wanted.pread(0, 100)).toEqual(pattern(100, wanted.id));
  });

  test('objects that are skipped keep their place in the list', () => {
    const { gpu, object } = world();
    const all = Array.from({ length: 5 }, object);
    all[2].madvise('dontneed');
    gpu.shrink(PAGES, SHRINK_UNBOUND | SHRINK_PURGEABLE);
    expect(gpu.unboundList.toArray()).toEqual([all[0], all[1], all[3], all[4]]);
  });

  test('pins of either kind keep an object through everything', () => {
    const { gpu, object } = world();
    const [pages, place, plain] = [object(), object(), object()];
    pages.pinPages();
    place.bind(gpu.ggtt, { pin: true });
    plain.bind(gpu.ggtt);
    expect(gpu.shrinkerCount()).toBe(PAGES);
    expect(gpu.shrinkAll()).toBe(PAGES);
    expect([pages, place, plain].map((one) => one.pages !== 0)).toEqual([true, true, false]);
    expect(gpu.shrinkerCount()).toBe(0);
    expect([...gpu.unboundList.toArray(), ...gpu.boundList.toArray()]).toEqual([pages, place]);
  });

  test('counts unbound objects and those whose only pins are their bound vmas', () => {
    const { gpu, object } = world();
    const { vm } = gpu.createContext();
    const [a, b] = [object(), object()];
    a.bind(gpu.ggtt);
    a.bind(vm);
    expect(gpu.shrinkerCount()).toBe(2 * PAGES);
    a.pinPages();
    expect(gpu.shrinkerCount()).toBe(PAGES);
    b.putPages();
    expect(gpu.shrinkerCount()).toBe(0);
  });

  test('imports and userptr are candidates, stolen memory is not', () => {
    const { gpu, machine } = gpuOn({ stolen: '4MiB' });
    void machine;
    const stolen = gpu.createStolen('64KiB');
    stolen.bind(gpu.ggtt);
    expect(gpu.shrinkAll()).toBe(0);
    expect([stolen.pages !== 0, stolen.vmas.length]).toEqual([true, 0]);
  });
});
