// Counters and windows of a device for the host (memory/host.ts).

import { fromHost, maskFromHost, toHost } from '../memory/host';
import * as counts from './counts';
import * as device from './device';
import { DmaDevice } from './device';
import * as ranges from './ranges';

/** devicePagesMapped. */
export function devicePagesMapped(dev: DmaDevice): f64 {
  return toHost(counts.devicePagesMapped(dev));
}

/** devicePagesUnmapped. */
export function devicePagesUnmapped(dev: DmaDevice): f64 {
  return toHost(counts.devicePagesUnmapped(dev));
}

/** deviceAddRange. */
export function deviceAddRange(dev: DmaDevice, cpu: f64, bus: f64, size: f64): bool {
  return ranges.deviceAddRange(dev, fromHost(cpu), fromHost(bus), fromHost(size));
}

/** deviceSetReach; the arguments are the first addresses that are not reached. */
export function deviceSetReach(dev: DmaDevice, reach: f64, coherentReach: f64): void {
  device.deviceSetReach(dev, maskFromHost(reach), maskFromHost(coherentReach));
}
