import { GemDmaError } from '../core/errors.js';
import type { Core } from '../core/instance.js';

/**
 * A machine's state at one moment: a copy of its linear memory, in which everything but a GPU's driver lives. Handles
 * and addresses that were valid then are valid again after going back; what was made since does not exist any more.
 */
export class MachineSnapshot {
  readonly #core: Core;
  readonly #bytes: Uint8Array;
  readonly #cpu: number;
  /** Devices that the machine had. */
  readonly devices: number;

  constructor(core: Core, context: number, devices: number) {
    // The host's own block must be there on both sides of going back.
    core.staging(context);
    this.#core = core;
    this.#bytes = core.u8.slice();
    this.#cpu = core.exports.cpuGet();
    this.devices = devices;
  }

  /** Bytes that it holds. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Puts the copy back. Memory that has grown since stays, unused until it is needed again. */
  restore(core: Core, devices: number): void {
    if (core !== this.#core) throw new GemDmaError('EINVAL', 'machine_restore', "the snapshot is another machine's");
    if (devices !== this.devices) {
      throw new GemDmaError(
        'EINVAL',
        'machine_restore',
        `there were ${this.devices} devices, now there are ${devices}`,
      );
    }
    core.u8.set(this.#bytes);
    core.exports.cpuSet(this.#cpu);
  }
}
