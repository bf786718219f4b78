import type { Core } from './instance.js';

/** One record of the core's event ring; what a to e mean for each kind is told in assembly/events/events.ts. */
export interface RawEvent {
  kind: number;
  sequence: number;
  time: number;
  device: number;
  object: number;
  vma: number;
  hook: number;
  a: number;
  b: number;
  c: number;
  d: number;
  e: number;
}

/** Takes every record that waits in the ring, oldest first. Returns how many there were. */
export function drainEvents(core: Core, context: number, take: (event: RawEvent) => void): number {
  const { eventsDrained, eventsFirst, eventsPending, eventsRun } = core.exports;
  let taken = 0;
  while (eventsPending(context) > 0) {
    const first = eventsFirst(context);
    const count = eventsRun(context);
    const { u32, f64 } = core;
    for (let i = 0, at = first; i < count; ++i, at += 64) {
      const w = at >> 2;
      const d = at >> 3;
      take({
        kind: u32[w],
        sequence: u32[w + 1],
        time: f64[d + 1],
        device: u32[w + 4],
        object: u32[w + 5],
        vma: u32[w + 6],
        hook: u32[w + 7],
        a: f64[d + 4],
        b: f64[d + 5],
        c: f64[d + 6],
        d: u32[w + 14],
        e: u32[w + 15],
      });
    }
    eventsDrained(context, count);
    taken += count;
  }
  return taken;
}
