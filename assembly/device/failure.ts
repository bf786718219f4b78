// Why a device's last call failed. A call that succeeds changes the device's counters and nothing else; a failure notes what they
// were. So the reason is known to be of the last call for as long as they are the same. Calls that are not counted, such as
// syncs, take the reason back where they begin.

import { cpuOf } from '../memory/context';
import { setReason } from '../memory/reason';
import { deviceMaps, deviceUnmaps } from './counts';
import { DmaDevice } from './device';

function callsOf(dev: DmaDevice): u32 {
  return deviceMaps(dev) + deviceUnmaps(dev) + 1;
}

/**
 * A call of a device has failed, with its reason in cpu.reason.
 * @param counted 1 if the call is going to be counted all the same, as unmaps are
 */
export function noteFailure(dev: DmaDevice, counted: u32 = 0): void {
  dev.reason = cpuOf(dev.ctx).reason;
  dev.failedAt = callsOf(dev) + counted;
}

/** A call of a device is refused by the host. */
export function deviceRefuse(dev: DmaDevice, reason: u32): void {
  setReason(dev.ctx, reason);
  noteFailure(dev);
}

/** A call that is not counted has succeeded. */
export function deviceAccept(dev: DmaDevice): void {
  forgetFailure(dev);
}

/** A call begins that is not counted: what the one before failed for is no longer the last call's reason. */
// @ts-ignore: decorator
@inline
export function forgetFailure(dev: DmaDevice): void {
  dev.reason = 0;
}

/** The reason of the device's last call, 0 if it has succeeded. */
export function deviceReason(dev: DmaDevice): u32 {
  return dev.failedAt == callsOf(dev) ? dev.reason : 0;
}
