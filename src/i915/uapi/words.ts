/** Numbers of 64 bits in a struct, as doubles: exact below 2^53, which no size or address of a process exceeds. */

export function u64(k: DataView, at: number): number {
  return k.getUint32(at, true) + k.getUint32(at + 4, true) * 2 ** 32;
}

export function setU64(k: DataView, at: number, value: number): void {
  k.setUint32(at, value >>> 0, true);
  k.setUint32(at + 4, Math.floor(value / 2 ** 32) >>> 0, true);
}

/** The upper word of one. */
export function high(k: DataView, at: number): number {
  return k.getUint32(at + 4, true);
}

/** Requests count nanoseconds, the virtual clock milliseconds. */
export const NS_PER_MS = 1e6;

const view = new DataView(new ArrayBuffer(8));
const bytes = new Uint8Array(view.buffer);

/** The bytes of one number, for copy_to_user: good until the next call. */
export function bytes8(value: number): Uint8Array {
  setU64(view, 0, value);
  return bytes;
}

const bytes4 = bytes.subarray(0, 4);

/** The same for 32 bits. */
export function word(value: number): Uint8Array {
  view.setUint32(0, value >>> 0, true);
  return bytes4;
}

/** A view of bytes that came from a client. */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
