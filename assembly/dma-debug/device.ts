// A device's driver is unbound, or the device is destroyed.

import { DmaDevice } from '../device/device';
import { lock, unlock } from '../memory/lock';
import { chainAt } from './entries/chains';
import { dropEntry } from './entries/drop';
import { isOwn } from './entries/entry';
import { debugOf } from './entries/state';
import { driverUnbound } from './kernel/device';
import { linkForget, linksLeft, rangesForget } from './links/left';

/**
 * The driver of a device was unbound (dma_debug_device_change): live mappings are one report, reservations with their links
 * another.
 * @returns how many mappings, links included
 */
export function debugDriverUnbound(dev: DmaDevice): u32 {
  const state = debugOf(dev.ctx);
  if (state == null) return 0;
  lock(state);
  const count = driverUnbound(state, dev) + linksLeft(state, dev);
  unlock(state);
  return count;
}

/** Removes all entries of a device that is about to be freed. */
export function debugDeviceDestroy(dev: DmaDevice): void {
  const ctx = dev.ctx;
  const state = debugOf(ctx);
  if (state == null) return;
  lock(debugOf(ctx));
  rangesForget(state, dev);
  const end = state.buckets + ((<usize>state.bucketMask + 1) << 2);
  for (let slot = state.buckets; slot < end; slot += 4) {
    for (let at = chainAt(slot); at != null; ) {
      const entry = at;
      at = entry.next;
      if (entry.device != dev) continue;
      if (isOwn(entry)) linkForget(state, entry);
      else dropEntry(state, entry);
    }
  }
  unlock(debugOf(ctx));
}
