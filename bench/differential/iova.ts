import { iova as peer } from '../peer/iova.js';
import type { Subject } from './subject.js';

/** The IOVA allocator: random histories with limits, reservations, failures, and start_pfn in the midst of the space. */
export const iova: Subject = {
  program: { ...peer, driver: 'differential/iova.c', sources: ['lib/rbtree.c'] },
  generate(random, steps) {
    const caches = random.chance(0.4);
    const bits = random.between(5, 20);
    const granule = random.pick([4096, 4096, 4096, 512]);
    const start = random.chance(0.5) ? 1 : random.between(1, 2 ** Math.min(bits - 2, 12));
    const wide = random.chance(0.3);
    const limits = [2 ** bits - 1, 2 ** (bits - 1) - 1, 2 ** bits - 1 - random.below(2 ** (bits - 2))];
    if (wide) limits.push(0xfffff, 2 ** 28 - 1, 2 ** 36 - 1);
    // From sparse to full: few frees fill the space until requests fail.
    const frees = random.pick([0.2, 0.35, 0.45, 0.5]);
    const largest = random.pick([1, 4, 40, 40, 300]);
    const aligned = random.pick([0, 0.5, 1]);
    const reserves = random.pick([0.03, 0.03, 0.4]);
    // What may be freed: by the id of its allocation, or by the pfn of a reservation.
    const held: { id?: number; pfn?: string; size: number }[] = [];
    const lines = [`granule=${granule} start_pfn=${start.toString(16)} rcaches=${Number(caches)}`];
    for (let id = 0; id < steps; ++id) {
      const limit = random.chance(0.8) ? limits[0] : random.pick(limits);
      const chance = random.u32() / 2 ** 32;
      if (chance < frees && held.length > 0) {
        const at = random.chance(0.3) ? held.length - 1 : random.below(held.length);
        const [{ id: old, pfn, size }] = held.splice(at, 1);
        if (pfn !== undefined) lines.push(`F ${pfn}`);
        else if (caches) lines.push(`f @${old} ${size}`);
        else lines.push(random.chance(0.9) ? `X ${old}` : `F @${old}`);
      } else if (chance > 1 - reserves && !caches) {
        const lo = random.below(2 ** bits);
        const pages = random.chance(0.5) ? 1 : random.between(1, 2 ** Math.min(bits - 3, 6));
        lines.push(`R ${lo.toString(16)} ${(lo + pages - 1).toString(16)}`);
        held.push({ pfn: lo.toString(16), size: pages });
      } else if (chance > 0.95 - (caches ? 0 : reserves)) {
        const pfn =
          random.chance(0.5) && held.length > 0 ? `@${random.pick(held).id}` : random.below(2 ** bits).toString(16);
        lines.push(!caches && random.chance(0.3) ? `F ${pfn}` : `Q ${pfn}`);
      } else {
        const size = random.chance(0.1) ? random.between(1, largest * 8) : random.between(1, largest);
        const flag = caches ? Number(random.chance(0.7)) : Number(random.chance(aligned));
        lines.push(`${caches ? 'a' : 'A'} ${id} ${size} ${limit.toString(16)} ${flag}`);
        held.push({ id, size });
      }
      if (random.chance(0.02)) lines.push('S');
    }
    return lines;
  },
};
