/**
 * printk's format (Documentation/core-api/printk-formats.rst), as far as drivers use it, over the arguments of wasm32's
 * varargs.
 */

import type { Core } from '../core/instance.js';

/** Reads the memory of a driver. */
export type Bytes = Pick<Core, 'readBytes' | 'readWord' | 'readText'>;

/** Text of C at an address. */
export function cstring(memory: Bytes, at: number, most = 4096): string {
  return at === 0 ? '(null)' : memory.readText(at, most);
}

function wideAt(memory: Bytes, at: number): bigint {
  return BigInt(memory.readWord(at)) | (BigInt(memory.readWord(at + 4)) << 32n);
}

/** Varargs in memory: 4-byte values one after the other, 8-byte values aligned. */
class Arguments {
  readonly #memory: Bytes;
  #at: number;

  constructor(memory: Bytes, at: number) {
    this.#memory = memory;
    this.#at = at;
  }

  word(): number {
    this.#at += 4;
    return this.#memory.readWord(this.#at - 4);
  }

  wide(): bigint {
    this.#at = (this.#at + 7) & ~7;
    this.#at += 8;
    return wideAt(this.#memory, this.#at - 8);
  }
}

const SPECIFIER = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?(hh|h|ll|l|z|t|L|j)?([a-zA-Z%])/g;

/** @param args address of the arguments */
export function format(memory: Bytes, template: string, args: number, dma64 = true): string {
  const next = new Arguments(memory, args);
  const hex = (bytes: Uint8Array, separator: string): string =>
    Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
  let rest = template;
  let text = '';
  for (;;) {
    SPECIFIER.lastIndex = 0;
    const match = SPECIFIER.exec(rest);
    if (!match) return text + rest;
    text += rest.slice(0, match.index);
    rest = rest.slice(match.index + match[0].length);
    const [, flags, width, precision, size, kind] = match;
    if (kind === '%') {
      text += '%';
      continue;
    }
    const columns = width === '*' ? next.word() | 0 : Number(width ?? 0);
    const digits = precision === '*' ? next.word() | 0 : precision === undefined ? -1 : Number(precision);
    let out = '';
    if (kind === 's') out = cstring(memory, next.word(), digits < 0 ? 4096 : digits);
    else if (kind === 'c') out = String.fromCharCode(next.word() & 0xff);
    else if (kind === 'p') {
      const at = next.word();
      const suffix = /^[a-zA-Z]*/.exec(rest)![0];
      const extension = /^(M|a[dp]?|h[CDN]?|V|OF|e|I4|I6)/.exec(suffix)?.[0] ?? '';
      rest = rest.slice(extension.length);
      if (extension === 'M') out = hex(memory.readBytes(at, 6), ':');
      else if (extension === 'ad' && !dma64) out = `0x${memory.readWord(at).toString(16).padStart(8, '0')}`;
      else if (extension.startsWith('a')) out = `0x${wideAt(memory, at).toString(16).padStart(16, '0')}`;
      else if (extension.startsWith('h')) out = hex(memory.readBytes(at, columns), extension === 'hN' ? '' : ' ');
      else if (extension === 'V') {
        const inner = memory.readWord(at);
        text += format(memory, cstring(memory, inner), memory.readWord(memory.readWord(at + 4)), dma64);
        continue;
      } else if (extension === 'e') out = String(at | 0);
      else out = at.toString(16).padStart(8, '0');
      text += out;
      continue;
    } else {
      const wide = size === 'll' || size === 'L' || size === 'j';
      const raw = wide ? next.wide() : BigInt(next.word());
      out = number(raw, kind, wide, size, digits);
      if (flags.includes('#') && (kind === 'x' || kind === 'X')) out = `0x${out}`;
      if (flags.includes('0') && !flags.includes('-') && digits < 0) {
        const sign = /^(-|0x)?/.exec(out)![0];
        out = sign + out.slice(sign.length).padStart(columns - sign.length, '0');
      }
    }
    text += flags.includes('-') ? out.padEnd(columns) : out.padStart(columns);
  }
}

function number(raw: bigint, kind: string, wide: boolean, size: string | undefined, digits: number): string {
  let value = raw;
  if (size === 'hh') value &= 0xffn;
  else if (size === 'h') value &= 0xffffn;
  let text: string;
  if (kind === 'd' || kind === 'i')
    text = BigInt.asIntN(wide ? 64 : size === 'hh' ? 8 : size === 'h' ? 16 : 32, value).toString();
  else if (kind === 'x') text = value.toString(16);
  else if (kind === 'X') text = value.toString(16).toUpperCase();
  else if (kind === 'o') text = value.toString(8);
  else text = value.toString();
  if (digits < 0) return text;
  const negative = text.startsWith('-');
  return (negative ? '-' : '') + text.slice(negative ? 1 : 0).padStart(digits, '0');
}
