import { GemDmaError } from '../core/errors.js';
import { HostState } from './host-state.js';
import type { Machine } from './machine.js';

/** A machine's state at one moment: a copy of its linear memory, and of the host's objects that belong to it. */
export class MachineSnapshot {
  readonly #machine: Machine;
  readonly #bytes: Uint8Array;
  readonly #cpu: number;
  readonly #host: HostState;

  /** @param roots objects from which everything outside of linear memory can be reached */
  constructor(machine: Machine, roots: Iterable<object>) {
    const { core, context } = machine;
    // The host's own block must be there on both sides of going back.
    core.staging(context);
    this.#machine = machine;
    this.#bytes = core.u8.slice();
    this.#cpu = core.exports.cpuGet();
    this.#host = new HostState([machine, ...roots], [core, core.exports, core.memory]);
  }

  /** Bytes of linear memory that it holds. */
  get size(): number {
    return this.#bytes.length;
  }

  /** Puts everything back. Linear memory that has grown since stays, unused until it is needed again. */
  restore(machine: Machine): void {
    if (machine !== this.#machine) {
      throw new GemDmaError('EINVAL', 'machine_restore', "the snapshot is another machine's");
    }
    const { core } = machine;
    core.u8.set(this.#bytes);
    core.exports.cpuSet(this.#cpu);
    this.#host.restore();
  }
}
