import { EVENT, NO_CPU } from '../batches/batch.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict, textOf } from '../text/line-format.js';
import { event } from './ftrace.js';

/** perf script: `TASK PID [CPU] TIME: system:event: body`, PID/TID with two numbers, [CPU] missing for one thread's data. */
export const perfScript: LineFormat = { name: 'perf script', line };

const WITHOUT_CPU = /^\s*(\S.*?)\s+(?:\d+\/)?(\d+)\s+(\d+)\.(\d{6,9}):\s+(?=\w+:\w+:)/;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const { header } = context;
  const found = header.read(bytes, start, end);
  if (found === 2 && !header.dash) return context.open(end, 'the time of the event is missing');
  if (found === 1 && !header.dash) return event(context, bytes, end);
  if (found !== 0) return LINE.FOREIGN;
  const text = textOf(bytes, start, Math.min(end, start + 200));
  const lost = /PERF_RECORD_LOST(?:_SAMPLES)?\b.*?lost\D*(\d+)/.exec(text);
  if (lost) {
    context.gaps.lostEvents += Number(lost[1]);
    const row = context.writer.row(EVENT.LOST, Number.NaN, NO_CPU, 0);
    context.writer.columns.size[row] = Number(lost[1]);
    return LINE.READ;
  }
  const match = WITHOUT_CPU.exec(text);
  if (!match) return LINE.FOREIGN;
  const pid = text.indexOf(match[2], text.indexOf(match[1]) + match[1].length);
  header.cpu = NO_CPU;
  header.time = Number(match[3]) * 1e9 + Number(match[4].padEnd(9, '0'));
  header.taskStart = start + text.indexOf(match[1]);
  header.taskEnd = header.taskStart + match[1].length;
  header.pidStart = start + pid;
  header.pidEnd = header.pidStart + match[2].length;
  header.dash = false;
  header.rest = start + match[0].length;
  return event(context, bytes, end);
}
