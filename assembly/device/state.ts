// The devices of a machine.

import { CacheOf, Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { slabAllocZeroed, slabCacheCreate } from '../memory/slab';
import { DmaDevice } from './device';

// @ts-ignore: decorator
@unmanaged
export class DeviceState {
  devices: DmaDevice | null;
  deviceCache: CacheOf<DmaDevice> | null;
}

/** The state, which a machine has from the start. */
// @ts-ignore: decorator
@inline
export function devicesOf(ctx: Context): DeviceState {
  return changetype<DeviceState>(ctx.device);
}

/** The same, made with the machine. Returns null without memory. */
export function deviceState(ctx: Context): DeviceState | null {
  if (ctx.device != 0) return devicesOf(ctx);
  const cache = slabCacheCreate<DeviceState>(ctx, offsetof<DeviceState>());
  ctx.device = cache == null ? 0 : addressOf(slabAllocZeroed(cache));
  return changetype<DeviceState | null>(ctx.device);
}
