import { TraceError } from '../batches/completeness.js';
import type { RandomAccess } from '../batches/source.js';

/** Numbers in the byte order of the traced machine, and text, one after the other. */
export class ByteCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly little: boolean;
  at = 0;
  private readonly input: string;

  constructor(bytes: Uint8Array, little: boolean, input: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.little = little;
    this.input = input;
  }

  private need(length: number): number {
    const at = this.at;
    if (!(length >= 0 && at + length <= this.bytes.length)) {
      throw new TraceError(
        this.input,
        0,
        0,
        `trace.dat: ${length} bytes are expected at ${at} of a part of ${this.bytes.length}`,
      );
    }
    this.at = at + length;
    return at;
  }

  u16(): number {
    return this.view.getUint16(this.need(2), this.little);
  }

  u32(): number {
    return this.view.getUint32(this.need(4), this.little);
  }

  /** As a double, exact below 2^53: offsets and sizes. */
  u64(): number {
    const at = this.need(8);
    const first = this.view.getUint32(at, this.little);
    const second = this.view.getUint32(at + 4, this.little);
    return this.little ? second * 2 ** 32 + first : first * 2 ** 32 + second;
  }

  take(length: number): Uint8Array {
    const at = this.need(length);
    return this.bytes.subarray(at, at + length);
  }

  /** Text up to a NUL. */
  string(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) throw new TraceError(this.input, 0, 0, `trace.dat: a text at ${this.at} has no end`);
    const text = latin1.decode(this.bytes.subarray(this.at, end));
    this.at = end + 1;
    return text;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }
}

export const latin1 = new TextDecoder('latin1');

/** A part of the file, or the error that it is not there. */
export async function readExactly(
  source: RandomAccess,
  offset: number,
  length: number,
  input: string,
): Promise<Uint8Array> {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw new TraceError(
      input,
      0,
      0,
      `trace.dat: a part of ${length} bytes at ${offset} is beyond the end (${source.size}): the file is damaged or was cut`,
    );
  }
  return source.read(offset, length);
}
