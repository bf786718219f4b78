import { EVENT, NO_CPU, ROW } from '../batches/batch.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';
import { directionOf, logLine, splitAddress } from '../text/log.js';

/**
 * Live mappings as dma-debug lists them: debugfs dma-api/dump, and the log lines of debug_dma_dump_mappings, which have the
 * same shape: `driver device type idx N P=... [N=...] D=... L=... [cln=...] direction error-check`.
 */
export const dmaApiDump: LineFormat = { name: 'dma-api/dump', line };

const ENTRY =
  /^(?:DMA-API:\s*)?(?:(\S+) )?(\S+?):? (?:DMA-API: )?(single|page|sca?tt?her-gather|sg|coherent|noncoherent|resource|phy) idx (\d+) P=(?:0x)?([0-9a-f]+)(?: N=[0-9a-f]+)? D=(?:0x)?([0-9a-f]+) L=(?:0x)?([0-9a-f]+)(?: cln=\S+)?(?: (DMA_\w+|\w+))?/i;
const OPEN = / (?:single|page|sca?tt?her-gather|coherent|resource) idx \d+/;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const text = context.text(bytes, start, end);
  if (!text.includes(' idx ')) return LINE.FOREIGN;
  const { time, message } = logLine(text);
  const match = ENTRY.exec(message);
  if (!match) return OPEN.test(message) ? context.open(end, 'fields of the entry are missing') : LINE.FOREIGN;
  const { writer } = context;
  const row = writer.row(EVENT.DUMP, time, NO_CPU, 0);
  const c = writer.columns;
  const { page, offset } = splitAddress(match[6]);
  c.page[row] = page;
  c.offset[row] = offset;
  c.physical[row] = Number.parseInt(match[5], 16);
  c.size[row] = Number.parseInt(match[7], 16);
  c.device[row] = writer.strings.of(match[2]);
  c.text[row] = writer.strings.of(match[3]);
  c.direction[row] = directionOf(match[8] ?? '');
  c.flags[row] = ROW.ADDRESS | ROW.SIZE | ROW.LOG | (/coherent/.test(match[3]) ? ROW.COHERENT : 0);
  return LINE.READ;
}
