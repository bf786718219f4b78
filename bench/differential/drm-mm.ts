import { PAGE_SIZE } from '#contract';
import { drmMm as peer } from '../peer/drm-mm.js';
import type { Subject } from './subject.js';

const MODES = ['best', 'low', 'high', 'evict'];

/** The GTT range manager: random placements in ranges, reservations and removals. */
export const drmMm: Subject = {
  program: { ...peer, driver: 'differential/drm_mm.c' },
  generate(random, steps) {
    const total = PAGE_SIZE * 2 ** random.between(6, 18);
    const first = random.chance(0.5) ? 0 : PAGE_SIZE * random.between(1, 64);
    const modes = random.chance(0.4) ? MODES : [random.pick(MODES)];
    const once = random.pick([0, 0, 0.2]);
    const frees = random.pick([0.2, 0.4, 0.5]);
    const largest = random.pick([1, 8, 64]);
    const held: number[] = [];
    const hex = (value: number): string => value.toString(16);
    const lines = [`I ${hex(first)} ${hex(total)}`];
    for (let id = 0; id < steps; ++id) {
      const chance = random.u32() / 2 ** 32;
      const size = PAGE_SIZE * random.between(1, largest);
      if (chance < frees && held.length > 0) {
        lines.push(`d ${held.splice(random.below(held.length), 1)[0]}`);
      } else if (chance > 0.95) {
        lines.push(`v ${id} ${hex(first + PAGE_SIZE * random.below(total / PAGE_SIZE))} ${hex(size)} 0`);
        held.push(id);
      } else {
        const alignment = random.chance(0.3)
          ? PAGE_SIZE * random.between(1, 16)
          : random.chance(0.3)
            ? PAGE_SIZE * 2 ** random.below(6)
            : 0;
        const whole = random.chance(0.6);
        const lo = whole ? first : first + PAGE_SIZE * random.below(total / PAGE_SIZE / 2);
        const hi = whole
          ? first + total
          : Math.min(first + total, lo + PAGE_SIZE * random.between(1, total / PAGE_SIZE));
        const mode = random.pick(modes) + (random.chance(once) ? '+once' : '');
        lines.push(`i ${id} ${hex(size)} ${hex(alignment)} 0 ${hex(lo)} ${hex(hi)} ${mode}`);
        held.push(id);
      }
    }
    return lines;
  },
};
