import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';
import { hasLogPrefix } from '../text/log.js';

/** Every other line of a log: recognised by its prefix, and skipped. */
export const kernelLog: LineFormat = { name: 'kernel log', line };

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  if (!hasLogPrefix(context.text(bytes, start, end))) return LINE.FOREIGN;
  context.sure = true;
  return LINE.OTHER;
}
