import { GemDmaError, invalidType } from '../core/errors.js';
import { TYPE_COHERENT } from '../core/generated/constants.js';
import { CoherentBuffer } from './coherent.js';
import type { DmaDevice } from './device.js';
import { DMA_BIDIRECTIONAL } from './transfer.js';

/** Resources that are released with a device's driver (drivers/base/devres.c): a list whose newest entry is released first. */

/** An entry of the list. */
export interface Managed {
  readonly resource: object;
  release(): void;
}

/** @internal The body of `device.allocManaged`. */
export function allocManaged(device: DmaDevice, length: number, attrs: number): CoherentBuffer {
  const buffer = device.allocCoherent(length, attrs);
  device.devres.push({ resource: buffer, release: () => release(device, buffer) });
  return buffer;
}

// Memory that a driver freed with the plain call is freed again, since devres still lists it.
function release(device: DmaDevice, buffer: CoherentBuffer): void {
  if (buffer.alive) {
    device.freeCoherent(buffer);
    return;
  }
  const { address, length } = buffer;
  device.host.core.exports.debugFeedUnmap(device.handle, TYPE_COHERENT, address, length, DMA_BIDIRECTIONAL, address);
}

/** @internal The body of `device.freeManaged`. */
export function freeManaged(device: DmaDevice, buffer: CoherentBuffer): void {
  const call = 'dmam_free_coherent';
  device.enter(call);
  if (!CoherentBuffer.is(buffer)) throw invalidType('buffer', 'a CoherentBuffer', buffer);
  device.tableRecord(buffer.table, call);
  if (!forget(device, buffer)) {
    throw new GemDmaError('ENOENT', call, `the buffer is not managed by device ${device.id}`, {
      reason: 'NOT_MANAGED',
    });
  }
  device.freeCoherent(buffer);
}

/** @internal Takes a resource off the list. Returns whether it was there. */
export function forget(device: DmaDevice, resource: object): boolean {
  const at = device.devres.findIndex((entry) => entry.resource === resource);
  if (at < 0) return false;
  device.devres.splice(at, 1);
  return true;
}

/** @internal devres_release_all. */
export function releaseAll(list: Managed[]): void {
  for (let entry = list.pop(); entry !== undefined; entry = list.pop()) entry.release();
}
