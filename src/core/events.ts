import type { ContextHandle } from './generated/exports.js';
import { EventView } from './generated/records.js';
import type { Core } from './instance.js';

/** One record of the core's event ring; what a to e mean for each kind is documented in assembly/events/events.ts. */
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
export function drainEvents(core: Core, context: ContextHandle, take: (event: RawEvent) => void): number {
  const { eventsDrained, eventsFirst, eventsPending, eventsRun } = core.exports;
  let taken = 0;
  while (eventsPending(context) > 0) {
    const first = eventsFirst(context);
    const count = eventsRun(context);
    const event = new EventView(core);
    for (let i = 0; i < count; ++i) take(copy(event.moveTo(first + i * EventView.SIZE)));
    eventsDrained(context, count);
    taken += count;
  }
  return taken;
}

function copy({ kind, sequence, time, device, object, vma, hook, a, b, c, d, e }: EventView): RawEvent {
  return { kind, sequence, time, device, object, vma, hook, a, b, c, d, e };
}
