// Events that the host writes (memory/host.ts).

import { Context } from '../memory/context';
import { fromHost } from '../memory/host';
import { emit } from './events';

/** emit. */
export function eventEmit(ctx: Context, kind: u32, device: u32, a: f64, b: f64, c: f64, d: u32, e: u32): void {
  emit(ctx, kind, device, fromHost(a), fromHost(b), fromHost(c), d, e);
}
