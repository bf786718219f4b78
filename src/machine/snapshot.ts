import { checkSynchronous } from '../core/arguments.js';
import { GemDmaError } from '../core/errors.js';
import { guard } from '../core/guard.js';
import { Core } from '../core/instance.js';
import { checkMaker, type LIBRARY, type TimelineMark } from '../core/life.js';
import { HostState } from './host-state.js';
import type { BaseMachine } from './machine.js';

/** What an object that keeps its own state provides: a mapping policy, or an object held by the caller. */
export interface StateHooks {
  /** A copy of its state. Called when a snapshot is taken; it must not change the machine. */
  snapshot(): unknown;
  /** Goes back to a copy that `snapshot` returned, as often as wanted. */
  restore(state: unknown): void;
}

interface OwnState {
  owner: StateHooks;
  state: unknown;
}

/** A machine's state at one moment: a copy of its linear memory, and of the host's objects that belong to it. */
export class MachineSnapshot {
  static {
    guard(MachineSnapshot, (one) => #machine in one);
  }

  readonly #machine: BaseMachine;
  readonly #bytes: Uint8Array;
  readonly #cpu: number;
  readonly #host: HostState;
  readonly #mark: TimelineMark;
  readonly #own: readonly OwnState[];

  /**
   * @param held the caller's objects that are restored with the machine @param callbacks the caller's objects that drivers call, such
   *   as mapping policies, which may have state
   * @internal
   */
  constructor(maker: typeof LIBRARY, machine: BaseMachine, held: readonly object[], callbacks: readonly object[]) {
    checkMaker(maker, 'MachineSnapshot');
    const { core, context } = machine;
    const { timeline } = core;
    // The caller's code runs first: its changes to the machine are part of the snapshot.
    this.#own = ownStates([...callbacks, ...held]);
    // The host's own block must exist before and after a restore.
    core.staging(context);
    core.registers(context);
    this.#machine = machine;
    // An accessor or a Proxy in what is held is the caller's code as well. It finds a machine that refuses every call, so
    // that objects, bytes and time line are of one moment.
    this.#host = timeline.still(
      () =>
        new HostState(
          [machine, timeline.members],
          held,
          new Set(this.#own.map(({ owner }) => owner)),
          [core, core.exports, core.memory, core.calls],
          (object) => {
            const other = (object as { core?: unknown }).core;
            if (other instanceof Core && other !== core) {
              throw new GemDmaError('EXDEV', 'machine_snapshot', 'what is held leads to another machine', {
                reason: 'OTHER_MACHINE',
              });
            }
          },
        ),
    );
    this.#bytes = core.save();
    this.#cpu = core.cpu;
    this.#mark = timeline.mark();
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(value: unknown): value is MachineSnapshot {
    return typeof value === 'object' && value !== null && #machine in value;
  }

  /** Bytes of linear memory that it holds. */
  get size(): number {
    return this.#bytes.length;
  }

  /** @internal Puts everything back. Linear memory that has grown since stays, unused until it is needed again. */
  restore(machine: BaseMachine): void {
    if (machine !== this.#machine) {
      throw new GemDmaError('EXDEV', 'machine_restore', "the snapshot is another machine's", {
        reason: 'OTHER_MACHINE',
      });
    }
    const { core } = machine;
    core.restore(this.#bytes);
    core.cpu = this.#cpu;
    core.registers(machine.context).reset();
    const errors = this.#host.restore();
    core.timeline.goBack(this.#mark);
    errors.push(...this.#host.restoreAccessors());
    // The machine is restored by now. Each method is called, and the first error is thrown.
    for (const { owner, state } of this.#own) {
      try {
        checkSynchronous('restore', owner.restore(state));
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

function ownStates(objects: readonly object[]): OwnState[] {
  return [...new Set(objects)].filter(hasState).map((owner) => {
    const state = owner.snapshot();
    checkSynchronous('snapshot', state);
    return { owner, state };
  });
}

function hasState(object: object): object is StateHooks {
  const { snapshot, restore } = object as Partial<StateHooks>;
  return typeof snapshot === 'function' && typeof restore === 'function';
}
