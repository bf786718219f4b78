// Counters of a device for the host (memory/host.ts).

import { toHost } from '../memory/host';
import * as counts from './counts';
import { DmaDevice } from './device';

/** devicePagesMapped. */
export function devicePagesMapped(dev: DmaDevice): f64 {
  return toHost(counts.devicePagesMapped(dev));
}

/** devicePagesUnmapped. */
export function devicePagesUnmapped(dev: DmaDevice): f64 {
  return toHost(counts.devicePagesUnmapped(dev));
}
