import { EVENT, NO_CPU } from '../batches/batch.js';
import { HEX } from '../text/body.js';
import { missing, ruleOf, writeEvent } from '../text/events.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict, textOf } from '../text/line-format.js';

/**
 * ftrace's text (Documentation/trace/ftrace.rst, "Output format") and what `trace-cmd report` prints, which differ in blanks
 * only: `TASK-PID [CPU] FLAGS TIME: event: body`.
 */
export const ftrace: LineFormat = { name: 'ftrace text', line };

const SPACE = 32;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const { header } = context;
  if (bytes[start] === 35) return comment(context, bytes, start, end);
  const found = header.read(bytes, start, end);
  if (found === 0 || !header.dash) return found === 0 ? notAnEvent(context, bytes, start, end) : LINE.FOREIGN;
  if (found === 2) return context.open(end, 'the time of the event is missing');
  return event(context, bytes, end);
}

/** What follows the header: `event: body`, in perf script with the system before it. */
export function event(context: LineContext, bytes: Uint8Array, end: number): LineVerdict {
  const { header, body, writer, gaps } = context;
  context.sure = true;
  let at = header.rest;
  while (at < end && bytes[at] === SPACE) ++at;
  if (at === end) return context.open(end, 'the event is missing');
  let name = at;
  while (at < end && bytes[at] !== SPACE) {
    if (bytes[at] === 58 && at + 1 < end && bytes[at + 1] !== SPACE) name = at + 1;
    ++at;
  }
  if (bytes[at - 1] !== 58 && HEX[bytes[name]] < 10) {
    // perf script with the period: a number before the event.
    while (at < end && bytes[at] === SPACE) ++at;
    name = at;
    while (at < end && bytes[at] !== SPACE) {
      if (bytes[at] === 58 && at + 1 < end && bytes[at + 1] !== SPACE) name = at + 1;
      ++at;
    }
  }
  if (at === end && name === end) return context.open(end, 'the event is missing');
  if (bytes[at - 1] !== 58) {
    gaps.other('function');
    return LINE.OTHER;
  }
  const rule = ruleOf(bytes, name, at - 1);
  if (rule === undefined) {
    gaps.other(textOf(bytes, name, at - 1));
    return LINE.OTHER;
  }
  if (!body.read(bytes, at, end)) return context.open(body.errorAt, body.reason);
  const lack = missing(rule, body);
  if (lack !== '') return context.open(end, lack);
  if (rule.kind === EVENT.SYNC) {
    gaps.other(textOf(bytes, name, at - 1));
    return LINE.OTHER;
  }
  const device = writer.strings.ofBytes(bytes, body.deviceStart, body.deviceEnd);
  writeEvent(writer, gaps, rule, body, { time: header.time, cpu: header.cpu, task: context.task(bytes) }, device);
  return LINE.READ;
}

/** `# entries-in-buffer/entries-written: 106/2106   #P:2`; other comments are skipped. */
function comment(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const text = textOf(bytes, start, end);
  const counts = /entries-in-buffer\/entries-written:\s*(\d+)\/(\d+)/.exec(text);
  if (counts) context.gaps.lostEvents += Math.max(0, Number(counts[2]) - Number(counts[1]));
  if (counts || text.startsWith('# tracer:')) context.sure = true;
  return LINE.OTHER;
}

/** `CPU:1 [LOST 234 EVENTS]`, `CPU:1 [234 EVENTS DROPPED]`, trace-cmd's `cpus=2`. */
function notAnEvent(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const c = bytes[start];
  if (c !== 67 && c !== 99 && c !== 118) return LINE.FOREIGN;
  const text = textOf(bytes, start, Math.min(end, start + 80));
  const lost = /^CPU:\s*(\d+)\s*\[(?:LOST\s+(\d+)\s+EVENTS|LOST EVENTS|(\d+)\s+EVENTS DROPPED|EVENTS DROPPED)\]/.exec(
    text,
  );
  if (lost) {
    // Without a number the count is not known: at least one.
    const count = Number(lost[2] ?? lost[3] ?? 1);
    context.gaps.lostEvents += count;
    const row = context.writer.row(EVENT.LOST, Number.NaN, Number(lost[1]) & NO_CPU, 0);
    context.writer.columns.size[row] = count;
    return LINE.READ;
  }
  return /^(cpus=\d+|version = \d+|CPU \d+ is empty)\s*$/.test(text) ? LINE.OTHER : LINE.FOREIGN;
}
