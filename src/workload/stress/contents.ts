/** Bytes are kept in pieces of this size: as long as what is written at once, so that little is kept for nothing. */
const PIECE = 256;

/**
 * What a piece of memory must hold, kept plainly: bytes by piece, for pieces that were ever written. Everything else is
 * zeros. After an operation that failed half way nobody can say what is there: then it is unknown, and not compared.
 */
export class Contents {
  #pieces: Map<number, Uint8Array> | undefined;
  #known = true;

  get known(): boolean {
    return this.#known;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#pieces ??= new Map();
    for (let done = 0; done < bytes.length; ) {
      const piece = Math.floor((offset + done) / PIECE);
      const at = (offset + done) % PIECE;
      const part = Math.min(PIECE - at, bytes.length - done);
      let held = this.#pieces.get(piece);
      if (held === undefined) this.#pieces.set(piece, (held = new Uint8Array(PIECE)));
      held.set(part === bytes.length ? bytes : bytes.subarray(done, done + part), at);
      done += part;
    }
  }

  /** Where bytes read at an offset differ from what must be there; -1 when they do not. */
  differs(offset: number, bytes: Uint8Array): number {
    if (!this.#known) return -1;
    for (let i = 0; i < bytes.length; ) {
      const piece = Math.floor((offset + i) / PIECE);
      const at = (offset + i) % PIECE;
      const part = Math.min(PIECE - at, bytes.length - i);
      const held = this.#pieces?.get(piece);
      for (let j = 0; j < part; ++j) {
        if (bytes[i + j] !== (held === undefined ? 0 : held[at + j])) return i + j;
      }
      i += part;
    }
    return -1;
  }

  byteAt(offset: number): number {
    return this.#pieces?.get(Math.floor(offset / PIECE))?.[offset % PIECE] ?? 0;
  }

  /** All zeros again, and known. */
  clear(): void {
    this.#pieces = undefined;
    this.#known = true;
  }

  forget(): void {
    this.#pieces = undefined;
    this.#known = false;
  }
}

/** The bytes that an operation writes: they follow from its stamp, so that the operation need not hold them. */
export function stamped(stamp: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = stamp | 1;
  for (let i = 0; i < length; ++i) {
    state = Math.imul(state, 0x2c9277b5) + 0xac564b05;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
