import { PAGE_SIZE } from '../../core/generated/constants.js';
import { type LiveMappings, STATE } from './live.js';
import type { SpaceSample } from './result.js';

/**
 * The address space over time: samples at even distances in events, at most so many; when there would be more, every second one
 * goes and the distance doubles. A sample sorts what is live, so it waits for four events for each live mapping at least.
 */
const MAX_SAMPLES = 96;
const FIRST_INTERVAL = 256;

export class SpaceSampler {
  readonly samples = new Map<number, SpaceSample[]>();
  private interval = FIRST_INTERVAL;
  private due = FIRST_INTERVAL;
  private taken = 0;

  /** After each batch's event number `events`: whether a sample is due. */
  isDue(events: number): boolean {
    return events >= this.due;
  }

  take(
    events: number,
    time: number,
    live: LiveMappings,
    bounds: (device: number) => { lowest: number; highest: number },
  ): void {
    this.due = events + Math.max(this.interval, live.count * 4);
    const ranges = new Map<number, { starts: number[]; ends: number[]; bytes: number }>();
    for (let record = 0; record < live.used; ++record) {
      if (live.state[record] === STATE.FREE) continue;
      let of = ranges.get(live.device[record]);
      if (of === undefined) ranges.set(live.device[record], (of = { starts: [], ends: [], bytes: 0 }));
      of.starts.push(live.page[record]);
      of.ends.push(live.page[record] + Math.ceil((live.offset[record] + live.span[record]) / PAGE_SIZE));
      of.bytes += live.span[record];
    }
    for (const [device, { starts, ends, bytes }] of ranges) {
      const { lowest, highest } = bounds(device);
      const from = Float64Array.from(starts).sort();
      const to = Float64Array.from(ends).sort();
      let hole = 0;
      let free = 0;
      let reach = lowest;
      // Ranges do not overlap but in untranslated spaces, where the sorted ends serve as well.
      for (let i = 0; i < from.length; ++i) {
        const gap = from[i] - reach;
        if (gap > 0) {
          free += gap;
          if (gap > hole) hole = gap;
        }
        reach = Math.max(reach, to[i]);
      }
      const gap = highest - reach;
      if (gap > 0) {
        free += gap;
        hole = Math.max(hole, gap);
      }
      let samples = this.samples.get(device);
      if (samples === undefined) this.samples.set(device, (samples = []));
      samples.push({
        ...{ time: time / 1e9, mappings: starts.length, bytes, largestHole: hole * PAGE_SIZE },
        fragmentation: free > 0 ? 1 - hole / free : 0,
      });
    }
    if (++this.taken < MAX_SAMPLES) return;
    this.taken >>= 1;
    this.interval *= 2;
    for (const samples of this.samples.values()) {
      for (let i = 0; i < samples.length >> 1; ++i) samples[i] = samples[i * 2 + 1];
      samples.length >>= 1;
    }
  }
}
