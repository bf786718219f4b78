import { expect, test } from 'vitest';
import { format } from '../../src/driver/printk.js';

const bytes = new Uint8Array(4096);
const view = new DataView(bytes.buffer);
const memory = {
  readBytes: (at: number, n: number) => bytes.slice(at, at + n),
  readWord: (at: number) => view.getUint32(at, true),
  readText: (at: number, most: number) =>
    Buffer.from(bytes.subarray(at, Math.min(at + most, bytes.indexOf(0, at)))).toString('latin1'),
};
const ARGS = 1024;

/** Puts arguments as wasm32's varargs have them. */
function printed(template: string, ...args: (number | bigint | string)[]): string {
  let at = ARGS;
  let text = 2048;
  for (const arg of args) {
    if (typeof arg === 'bigint') {
      at = (at + 7) & ~7;
      view.setBigUint64(at, BigInt.asUintN(64, arg), true);
      at += 8;
    } else {
      let value = arg;
      if (typeof value === 'string') {
        bytes.set(Buffer.from(`${value}\0`), text);
        value = text;
        text += (arg as string).length + 1;
      }
      view.setUint32(at, value >>> 0, true);
      at += 4;
    }
  }
  return format(memory, template, ARGS);
}

test.each<[string, string, (number | bigint | string)[]]>([
  ['%d %u %x', '-1 4294967295 ff', [-1, -1, 255]],
  ['%08x|%-6d|%6d|%#x', '000000ff|12    |    12|0x10', [255, 12, 12, 16]],
  ['%s and %.2s%%', 'text and te%', ['text', 'text']],
  ['%d %lld %llx', '1 -5 ffffffffffffffff', [1, -5n, -1n]],
  ['%hhu %hd', '255 -1', [0x1ff, 0xffff]],
  ['%c%c', 'ab', [97, 98]],
  ['%*d', '   7', [4, 7]],
  ['%05d', '-0012', [-12]],
  ['%p', '0000beef', [0xbeef]],
])('%s', (template, expected, args) => {
  expect(printed(template, ...args)).toBe(expected);
});

test('%pM and %pad read what they point to', () => {
  bytes.set([0x52, 0x54, 0, 1, 2, 3], 3000);
  view.setBigUint64(3008, 0x1234567890n, true);
  expect(printed('%pM', 3000)).toBe('52:54:00:01:02:03');
  expect(printed('%pad', 3008)).toBe('0x0000001234567890');
});
