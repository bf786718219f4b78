import { TraceError } from '../batches/completeness.js';
import type { PageFormat } from './event-format.js';

/**
 * Pages of the kernel's ring buffer (kernel/trace/ring_buffer.c; the layout in events/header_page and header_event):
 *
 *     page    timestamp u64 | commit, 4 or 8 bytes | events
 *     event   u32: type_len 5 bits, time_delta 27 bits (from the low end on little-endian machines, else from the high end)
 *
 *     type_len  0        length in the next word, itself included
 *               1..28    4 * type_len bytes of data
 *               29       padding
 *               30       the time moves on: the next word has 32 further bits of the delta
 *               31       absolute time, 59 bits
 */

const PADDING = 29;
const TIME_EXTEND = 30;
const TIME_STAMP = 31;
/**
 * In commit: events were lost before the page; and their number stands behind the data (RB_MISSED_EVENTS,
 * RB_MISSED_STORED).
 */
const MISSED_EVENTS = 0x80000000;
const MISSED_STORED = 0x40000000;
const COMMIT_MASK = 0xfffff;

/** The events of one CPU's pages, one at a time. */
export class RingReader {
  /** The record that the last `next` came to. */
  time = 0;
  at = 0;
  length = 0;
  page: { bytes: Uint8Array; view: DataView } = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)) };
  /** Events lost before the page of this record; -1 when the kernel had no room to say how many. */
  lost = 0;
  private end = 0;
  private next_ = 0;
  private clock = 0;
  private readonly format: PageFormat;
  private readonly little: boolean;
  private readonly input: string;

  constructor(format: PageFormat, little: boolean, input: string) {
    this.format = format;
    this.little = little;
    this.input = input;
  }

  /** Goes to the begin of a page. */
  open(bytes: Uint8Array): void {
    const { format, little } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < format.dataOffset) {
      throw new TraceError(this.input, 0, 0, `trace.dat: a page of ${bytes.length} bytes is too short for its head`);
    }
    this.page = { bytes, view };
    this.clock = u64(view, 0, little);
    // On a 64-bit machine the flags are in the low word as well.
    const wide = format.commitSize === 8 && !little ? 4 : 0;
    const commit = view.getUint32(format.commitOffset + wide, little);
    this.next_ = format.dataOffset;
    this.end = Math.min(bytes.length, format.dataOffset + (commit & COMMIT_MASK));
    this.lost = 0;
    if ((commit & MISSED_EVENTS) !== 0) {
      this.lost = -1;
      const behind = format.dataOffset + (commit & COMMIT_MASK);
      if ((commit & MISSED_STORED) !== 0 && behind + format.commitSize <= bytes.length) {
        this.lost = format.commitSize === 8 ? u64(view, behind, little) : view.getUint32(behind, little);
      }
    }
  }

  /** Goes to the next record of the page. Returns false at the page's end. */
  next(): boolean {
    const { view } = this.page;
    const { little } = this;
    let at = this.next_;
    while (at + 4 <= this.end) {
      const word = view.getUint32(at, little);
      const type = little ? word & 31 : word >>> 27;
      const delta = little ? word >>> 5 : word & 0x7ffffff;
      at += 4;
      if (type === TIME_EXTEND || type === TIME_STAMP) {
        if (at + 4 > this.end) break;
        const high = view.getUint32(at, little);
        at += 4;
        if (type === TIME_EXTEND) this.clock += high * 2 ** 27 + delta;
        else {
          // The top five bits of 64 are those of the page's time.
          const top = Math.floor(this.clock / 2 ** 59) * 2 ** 59;
          this.clock = top + high * 2 ** 27 + delta;
        }
        continue;
      }
      if (type === PADDING) {
        // Without a delta the rest of the page is empty; else a discarded event of so many bytes.
        if (delta === 0 || at + 4 > this.end) break;
        this.clock += delta;
        at += view.getUint32(at, little);
        continue;
      }
      this.clock += delta;
      let length: number;
      if (type === 0) {
        if (at + 4 > this.end) break;
        length = view.getUint32(at, little) - 4;
        at += 4;
      } else length = type * 4;
      if (!(length >= 0) || at + length > this.end) {
        throw new TraceError(this.input, 0, 0, `trace.dat: a record of ${length} bytes at ${at} leaves its page`);
      }
      this.time = this.clock;
      this.at = at;
      this.length = length;
      this.next_ = at + ((length + 3) & ~3);
      return true;
    }
    this.next_ = this.end;
    return false;
  }
}

function u64(view: DataView, at: number, little: boolean): number {
  const first = view.getUint32(at, little);
  const second = view.getUint32(at + 4, little);
  return little ? second * 2 ** 32 + first : first * 2 ** 32 + second;
}
