import { HEX } from '../text/body.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';

/** Stack traces under an event: ftrace's ` => function`, perf's `ffffffff81a1b2c3 function+0x12 ([kernel.kallsyms])`. */
export const stack: LineFormat = { name: 'stack traces', line };

function line(_: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  let at = start;
  while (at < end && (bytes[at] === 32 || bytes[at] === 9)) ++at;
  if (bytes[at] === 61 && bytes[at + 1] === 62) return LINE.OTHER;
  // <stack trace>
  if (bytes[at] === 60 && bytes[at + 1] === 115 && bytes[at + 2] === 116 && bytes[at + 3] === 97) return LINE.OTHER;
  const first = at;
  while (at < end && HEX[bytes[at]] !== 255) ++at;
  return at - first >= 8 && at - first <= 16 && bytes[at] === 32 ? LINE.OTHER : LINE.FOREIGN;
}
