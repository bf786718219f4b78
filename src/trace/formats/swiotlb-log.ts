import { EVENT, NO_CPU, ROW } from '../batches/batch.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';
import { deviceBefore, logLine, pciName } from '../text/log.js';

/** swiotlb is full, in the words of the kernels since 2.6 (swiotlb_tbl_map_single; lib/swiotlb.c until 4.19). */
export const swiotlbLog: LineFormat = { name: 'swiotlb reports', line };

const FULL = /swiotlb buffer is full(?:\s*\(sz: (\d+) bytes\))?(?:,\s*total (\d+) \(slots\),\s*used (\d+) \(slots\))?/;
const OUT_OF_SPACE = /Out of SW-IOMMU space for (\d+) bytes at device (\S+)/;
const COHERENT = /coherent allocation failed for device (\S+) size=(\d+)/;
const OVERFLOW = /(?:swiotlb addr|overflow) 0x[0-9a-f]+\+(\d+) (?:overflow|of DMA mask)/i;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const text = context.text(bytes, start, end);
  if (!/swiotlb|SW-IOMMU|DMA mask/i.test(text)) return LINE.FOREIGN;
  const { time, message } = logLine(text);
  const full = FULL.exec(message);
  if (full) {
    write(context, time, deviceBefore(message), Number(full[1] ?? 0), Number(full[3] ?? 0), 'swiotlb buffer is full');
    return LINE.READ;
  }
  const space = OUT_OF_SPACE.exec(message);
  if (space) {
    // Kernels with both messages print "buffer is full" first: one failure, one row.
    if (context.lastSwiotlb === `${space[1]} ${pciName(space[2])}`) return LINE.OTHER;
    write(context, time, pciName(space[2]), Number(space[1]), 0, 'Out of SW-IOMMU space');
    return LINE.READ;
  }
  const coherent = COHERENT.exec(message);
  if (coherent) {
    write(context, time, coherent[1], Number(coherent[2]), 0, 'coherent allocation failed');
    return LINE.READ;
  }
  const overflow = OVERFLOW.exec(message);
  if (overflow) {
    write(context, time, deviceBefore(message), Number(overflow[1]), 0, 'beyond the DMA mask');
    return LINE.READ;
  }
  return LINE.FOREIGN;
}

function write(context: LineContext, time: number, device: string, size: number, used: number, text: string): void {
  const { writer } = context;
  const row = writer.row(EVENT.SWIOTLB_FULL, time, NO_CPU, 0);
  const c = writer.columns;
  c.device[row] = writer.strings.of(device);
  c.size[row] = size;
  c.extra[row] = used;
  c.text[row] = writer.strings.of(text);
  c.flags[row] = ROW.LOG | (size > 0 ? ROW.SIZE : 0);
  context.lastSwiotlb = `${size} ${device}`;
}
