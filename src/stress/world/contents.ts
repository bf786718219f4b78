import { checkBytes } from '../../core/arguments.js';
import { checkInteger } from '../../core/errors.js';
import { guard } from '../../core/guard.js';

/** Bytes are kept in pieces of this size: as long as what is written at once, so that little space is unused. */
const PIECE = 256;

/** A piece that was written: its bytes, and which of them are known where the rest is not zeros but unknown. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly known: Uint8Array | undefined;
}

/**
 * What a piece of memory must hold: its bytes, in pieces, for pieces that were ever written. Everything else is
 * zeros, or, after an operation that failed half way, unknown: it is not compared until
 * it is written again.
 */
export class Contents {
  static {
    guard(Contents, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  private pieces: Map<number, Piece> | undefined;
  private zeros = true;

  /** Notes that bytes were written at an offset. */
  write(offset: number, bytes: Uint8Array): void {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    bytes = checkBytes('bytes', bytes);
    this.pieces ??= new Map();
    for (let done = 0; done < bytes.length; ) {
      const piece = Math.floor((offset + done) / PIECE);
      const at = (offset + done) % PIECE;
      const part = Math.min(PIECE - at, bytes.length - done);
      let held = this.pieces.get(piece);
      if (held === undefined) {
        held = { bytes: new Uint8Array(PIECE), known: this.zeros ? undefined : new Uint8Array(PIECE) };
        this.pieces.set(piece, held);
      }
      held.bytes.set(part === bytes.length ? bytes : bytes.subarray(done, done + part), at);
      held.known?.fill(1, at, at + part);
      done += part;
    }
  }

  /** Where bytes read at an offset differ from what must be there; -1 when they do not. */
  differs(offset: number, bytes: Uint8Array): number {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    bytes = checkBytes('bytes', bytes);
    if (!this.zeros && this.pieces === undefined) return -1;
    for (let i = 0; i < bytes.length; ) {
      const piece = Math.floor((offset + i) / PIECE);
      const at = (offset + i) % PIECE;
      const part = Math.min(PIECE - at, bytes.length - i);
      const held = this.pieces?.get(piece);
      const expected = held?.bytes;
      const known = held?.known;
      for (let j = 0; j < part && (held !== undefined || this.zeros); ++j) {
        if (bytes[i + j] !== (expected === undefined ? 0 : expected[at + j]) && known?.[at + j] !== 0) return i + j;
      }
      i += part;
    }
    return -1;
  }

  /** The byte that must be at an offset. */
  byteAt(offset: number): number {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    return this.pieces?.get(Math.floor(offset / PIECE))?.bytes[offset % PIECE] ?? 0;
  }

  /** All zeros again, and known. */
  clear(): void {
    this.pieces = undefined;
    this.zeros = true;
  }

  /** Nothing is known until it is written. */
  forget(): void {
    this.pieces = undefined;
    this.zeros = false;
  }
}

/** The bytes that an operation writes: they follow from its stamp, so that the operation need not hold them. */
export function stamped(stamp: number, length: number): Uint8Array {
  checkInteger('stamp', stamp, -(2 ** 31), 2 ** 32 - 1);
  const bytes = new Uint8Array(checkInteger('length', length, 0, 2 ** 31));
  let state = stamp | 1;
  for (let i = 0; i < length; ++i) {
    state = Math.imul(state, 0x2c9277b5) + 0xac564b05;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
