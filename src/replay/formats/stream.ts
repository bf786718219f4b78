import { PAGE_SIZE } from '../../core/generated/constants.js';
import type { CpuMapping } from '../../i915/uapi/mapping.js';
import type { UserMemory } from '../../i915/uapi/memory.js';

/** One step of a stream of requests: what a client did, and what it was answered. */
export type StreamStep =
  | { readonly kind: 'open'; readonly file: number; readonly render: boolean }
  | { readonly kind: 'close'; readonly file: number }
  | { readonly kind: 'munmap'; readonly address: number; readonly length: number }
  | IoctlStep
  /** What is recorded and has nothing to do with the driver. */
  | { readonly kind: 'other'; readonly what: string };

/** One request. */
export interface IoctlStep {
  readonly kind: 'ioctl';
  readonly file: number;
  readonly request: number;
  /** The struct as the client gave it. It is written to. */
  readonly struct: Uint8Array;
  /** What the request read of the client's memory, as pairs of address and bytes. */
  readonly memory: readonly (readonly [number, Uint8Array])[];
  /** What was answered: 0 or a negative errno; null where the recording does not say. */
  readonly result: number | null;
  /** The struct afterwards; null where the recording does not say. */
  readonly after: Uint8Array | null;
  /** What else came back, such as where a mapping was placed. */
  readonly value: number;
}

/** A stream that was read: its steps, in order. */
export interface Stream {
  readonly format: string;
  /** How many steps there are, as far as that can be known before they are read. */
  readonly length: number;
  /** Steps; a generator reads them as they are asked for. */
  readonly steps: Iterable<StreamStep>;
  /** It has answers, and its steps do not depend on those of the replay. */
  readonly answered: boolean;
  /** Of one without answers: it has what Linux 4.2 did not know. */
  readonly modern: boolean;
}

/**
 * The client's memory of one recorded request: what was read then is read again, and what is written is forgotten. Memory
 * that the recording does not have reads as zeros, unless the request faulted.
 */
export class RecordedMemory implements UserMemory {
  /** Reads of what was not recorded. */
  unrecorded = 0;
  private pieces: IoctlStep['memory'] = [];
  private faulted = false;
  private place = 0;

  /** The next request's. */
  load({ memory, result, value }: IoctlStep, efault: number): void {
    this.pieces = memory;
    this.faulted = result === efault;
    this.place = value;
  }

  read(address: number, n: number): Uint8Array | null {
    for (const [at, bytes] of this.pieces) {
      const from = address - at;
      if (from >= 0 && from + n <= bytes.length) return bytes.subarray(from, from + n);
    }
    if (this.faulted || n > MOST) return null;
    ++this.unrecorded;
    return new Uint8Array(n);
  }

  write(): boolean {
    return !this.faulted;
  }

  /** Where the recorded client saw it, if that is known. */
  map({ size }: CpuMapping): number {
    if (this.place > 0) return this.place;
    this.next += size + PAGE_SIZE;
    return this.next - size - PAGE_SIZE;
  }

  private next = 0x7e0000000000;
}

/** Most bytes that are made up at a time. */
const MOST = 2 ** 26;
