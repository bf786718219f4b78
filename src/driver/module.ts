import { GemDmaError } from '../core/errors.js';

/**
 * Reads the sections of a compiled driver's WebAssembly module. The format is that of dynamic linking for
 * WebAssembly (tool-conventions, DynamicLinking.md): the `dylink.0` section tells how much memory and table it needs.
 */

/** What a module needs of its loader. */
export interface DylinkInfo {
  memorySize: number;
  /** In bytes. */
  memoryAlignment: number;
  tableSize: number;
}

/** Reads LEB128 numbers and strings of a byte array. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.bytes[this.at++];
  }

  u16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  u64(): number {
    this.at += 8;
    return Number(this.#view.getBigUint64(this.at - 8, true));
  }

  uleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  sleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return (byte & 0x40) !== 0 ? value - scale : value;
    }
  }

  /** Bytes up to a zero, as text. */
  cstring(): string {
    const from = this.at;
    while (this.bytes[this.at] !== 0) ++this.at;
    return latin1(this.bytes, from, this.at++);
  }
}

export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}

/** Custom sections by name, and where the code section's contents begin. */
export function sectionsOf(bytes: Uint8Array): { custom: Map<string, Uint8Array>; code: number } {
  const reader = new Reader(bytes, 8);
  const custom = new Map<string, Uint8Array>();
  let code = 0;
  while (reader.at < bytes.length) {
    const id = reader.u8();
    const size = reader.uleb();
    const start = reader.at;
    if (id === 10) code = start;
    if (id === 0) {
      const length = reader.uleb();
      const name = latin1(bytes, reader.at, reader.at + length);
      custom.set(name, bytes.subarray(reader.at + length, start + size));
    }
    reader.at = start + size;
  }
  return { custom, code };
}

/** @throws GemDmaError EINVAL for a module that is not dynamically linked */
export function dylinkOf(custom: Map<string, Uint8Array>): DylinkInfo {
  const section = custom.get('dylink.0');
  if (!section) {
    throw new GemDmaError(
      'EINVAL',
      'init_module',
      'the module has no dylink.0 section: build it with gemdma driver build',
    );
  }
  const reader = new Reader(section);
  while (reader.at < section.length) {
    const kind = reader.u8();
    const size = reader.uleb();
    const next = reader.at + size;
    if (kind === 1) {
      const memorySize = reader.uleb();
      const memoryAlignment = 2 ** reader.uleb();
      const tableSize = reader.uleb();
      return { memorySize, memoryAlignment, tableSize };
    }
    reader.at = next;
  }
  return { memorySize: 0, memoryAlignment: 1, tableSize: 0 };
}

const SYMBOL_TABLE = 8;
const FUNCTION = 0;
const DATA = 1;
const SECTION = 3;
const LOCAL = 2;
const UNDEFINED = 0x10;
const EXPLICIT_NAME = 0x40;

/** Functions of an object file that others may call: defined in it and not static (tool-conventions, Linking.md). */
export function definedFunctions(object: Uint8Array): string[] {
  const section = sectionsOf(object).custom.get('linking');
  if (!section) return [];
  const names: string[] = [];
  const reader = new Reader(section);
  reader.uleb();
  while (reader.at < section.length) {
    const kind = reader.u8();
    const size = reader.uleb();
    const next = reader.at + size;
    if (kind === SYMBOL_TABLE) {
      for (let count = reader.uleb(); count > 0; --count) {
        const symbol = readSymbol(reader);
        if (symbol !== null && (symbol.flags & (LOCAL | UNDEFINED)) === 0) names.push(symbol.name);
      }
    }
    reader.at = next;
  }
  return names;
}

/** One symbol; null for one that is no function. */
function readSymbol(reader: Reader): { name: string; flags: number } | null {
  const kind = reader.u8();
  const flags = reader.uleb();
  const text = (): string => {
    const length = reader.uleb();
    reader.at += length;
    return latin1(reader.bytes, reader.at - length, reader.at);
  };
  if (kind === SECTION) {
    reader.uleb();
    return null;
  }
  if (kind === DATA) {
    text();
    if ((flags & UNDEFINED) === 0) for (let i = 0; i < 3; ++i) reader.uleb();
    return null;
  }
  reader.uleb();
  const named = (flags & UNDEFINED) === 0 || (flags & EXPLICIT_NAME) !== 0;
  const name = named ? text() : '';
  return kind === FUNCTION ? { name, flags } : null;
}
