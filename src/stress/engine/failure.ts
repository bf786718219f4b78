import { invalidType } from '../../core/errors.js';
import { guard } from '../../core/guard.js';

/**
 * How a stress run can fail. `kind` and `id` together are what a shorter sequence must reproduce to count as the same
 * failure; the message may name other addresses.
 *
 * - `finding`: dma-debug reported something; id is its check identifier
 * - `structure`: a structure of the core is broken; id is the subsystem
 * - `accounting`: layers disagree about what is mapped; id is the sum that does not add up
 * - `contents`: bytes are not what was written; id is the reader
 * - `fault`: a device access went where nothing is mapped, or no longer; id is the fault
 * - `error`: an operation threw something that the emulated kernel never returns; id is the error's name
 * - `teardown`: something was left when everything had been given back; id is what
 */
export type FailureKind = 'finding' | 'structure' | 'accounting' | 'contents' | 'fault' | 'error' | 'teardown';

/** Something that does not hold, in a stress run. */
export class StressFailure extends Error {
  static {
    guard(StressFailure, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** Always `StressFailure`. */
  override readonly name = 'StressFailure';
  /** What sort of failure it is. */
  readonly kind: FailureKind;
  /** Which one of that kind, see `FailureKind`: the same for a shorter sequence that fails alike. */
  readonly id: string;
  /** Values that say more; keys depend on `kind`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(kind: FailureKind, id: string, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.kind = kind;
    this.id = id;
    this.details = details;
  }

  /** Whether two failures are the same one, found by different sequences. */
  same(other: StressFailure | null): boolean {
    if (other !== null && !(typeof other === 'object' && #made in other)) {
      throw invalidType('other', 'a StressFailure or null', other);
    }
    return other !== null && other.kind === this.kind && other.id === this.id;
  }
}
