import { EVENT, NO_CPU, ROW } from '../batches/batch.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';
import { directionOf, logLine, splitAddress } from '../text/log.js';

/**
 * Reports of dma-debug in the kernel's log. Since 4.20 they begin `DMA-API: driver device: sentence`, before that it was
 * `driver device: DMA-API: sentence`; the sentences (err_printk in kernel/dma/debug.c, once lib/dma-debug.c) have changed
 * little, and all carry what they are about in brackets.
 */
export const dmaDebugLog: LineFormat = { name: 'dma-debug reports', line };

const REPORT = /(?:^|\s)DMA-API:\s*(?:(\S+) (\S+?): )?(.*)$/;
const BEFORE = /(\S+) (\S+): DMA-API: /;
const DETAILS = /One of leaked entries details:/;
const ADDRESS = /\[device address=0x([0-9a-f]+)\]/i;
const SIZE = /\[(?:map |allocation )?size=(\d+)(?: bytes)?\]/;
const DIRECTION = /\[mapped with (\w+)\]/;
const COHERENT = /\[mapped as (?:dma_alloc_)?(?:non)?coherent\]/;
/** Sentences that report no misuse. */
const NOTICE =
  /preallocated|debugging (?:enabled|disabled|out of memory)|disabled|enabled|pool (?:grown|size)|driver filter/i;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const text = context.text(bytes, start, end);
  const details = DETAILS.test(text);
  if (!details && !text.includes('DMA-API:')) return LINE.FOREIGN;
  const { time, message } = logLine(text);
  if (details) return leaked(context, time, message, end);
  const match = REPORT.exec(message);
  if (!match) return LINE.FOREIGN;
  const before = BEFORE.exec(message);
  const device = match[2] ?? before?.[2] ?? '';
  const sentence = match[3];
  if (NOTICE.test(sentence) || sentence === '') return LINE.OTHER;
  if ((sentence.match(/\[/g)?.length ?? 0) !== (sentence.match(/\]/g)?.length ?? 0)) {
    return context.open(end, 'a bracket does not close');
  }
  context.reported = device;
  // The details of a leak are on the line after.
  const pending = /pending DMA allocations/.test(sentence) && !ADDRESS.test(sentence);
  if (pending) return LINE.OTHER;
  report(context, time, device, sentence);
  return LINE.READ;
}

function leaked(context: LineContext, time: number, message: string, end: number): LineVerdict {
  if (!ADDRESS.test(message)) return context.open(end, 'the address of the leaked mapping is missing');
  const row = report(context, time, context.reported, message);
  const c = context.writer.columns;
  c.text[row] = context.writer.strings.of('device driver has pending DMA allocations while released from device');
  return LINE.READ;
}

function report({ writer }: LineContext, time: number, device: string, sentence: string): number {
  const row = writer.row(EVENT.DMA_DEBUG, time, NO_CPU, 0);
  const c = writer.columns;
  const address = ADDRESS.exec(sentence);
  let flags: number = ROW.LOG;
  if (address) {
    const { page, offset } = splitAddress(address[1]);
    c.page[row] = page;
    c.offset[row] = offset;
    flags |= ROW.ADDRESS;
  }
  const size = SIZE.exec(sentence);
  if (size) {
    c.size[row] = Number(size[1]);
    flags |= ROW.SIZE;
  }
  const direction = DIRECTION.exec(sentence);
  if (direction) c.direction[row] = directionOf(direction[1]);
  if (COHERENT.test(sentence)) flags |= ROW.COHERENT;
  c.flags[row] = flags;
  c.device[row] = writer.strings.of(device);
  c.text[row] = writer.strings.of(sentence.replace(/\s*\[.*$/, ''));
  return row;
}
