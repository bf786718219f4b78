import { NO_CPU } from '../batches/batch.js';
import { HEX } from './body.js';

/**
 * The header before an event in a line of text:
 *
 *     TASK-PID (TGID) [CPU] FLAGS TIME: event: body          ftrace, with or without TGID and flags; trace-cmd report
 *     TASK  PID/TID   [CPU]       TIME: system:event: body   perf script
 */

const SPACE = 32;
/** The words of a header are within so many bytes of its begin. */
const MAX_HEADER = 200;

export class LineHeader {
  cpu = NO_CPU;
  /** Nanoseconds. */
  time = 0;
  /** Task's name and pid: bytes of the line, `dash` whether they are joined by '-'. */
  taskStart = 0;
  taskEnd = 0;
  pidStart = 0;
  pidEnd = 0;
  dash = false;
  /** Where what follows the time begins. */
  rest = 0;

  /**
   * Reads the header of a line.
   * @returns 0 when the line has none, 1 when all of it is there, 2 when the line ends in the middle of it
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    const most = Math.min(end, start + MAX_HEADER);
    for (let at = start; at < most; ++at) {
      if (bytes[at] !== 91) continue;
      let close = at + 1;
      let cpu = 0;
      while (close < end && HEX[bytes[close]] < 10) cpu = cpu * 10 + HEX[bytes[close++]];
      if (close === at + 1 || close - at > 6 || bytes[close] !== 93) continue;
      if (!this.task(bytes, start, at)) continue;
      this.cpu = cpu;
      const found = this.timeAfter(bytes, close + 1, end);
      if (found !== 0) return found;
    }
    return 0;
  }

  /** The task's name and pid before the bracket at `end`. */
  private task(bytes: Uint8Array, start: number, end: number): boolean {
    let at = end;
    while (at > start && bytes[at - 1] === SPACE) --at;
    if (at > start && bytes[at - 1] === 41) {
      // (TGID)
      while (at > start && bytes[at - 1] !== 40) --at;
      if (at === start) return false;
      --at;
      while (at > start && bytes[at - 1] === SPACE) --at;
    }
    this.pidEnd = at;
    while (at > start && HEX[bytes[at - 1]] < 10) --at;
    if (at === this.pidEnd) return false;
    this.pidStart = at;
    if (at === start) return false;
    const before = bytes[at - 1];
    if (before === 47) {
      // PID/TID
      --at;
      while (at > start && HEX[bytes[at - 1]] < 10) --at;
      if (at === start || bytes[at - 1] !== SPACE) return false;
      this.dash = false;
    } else if (before === 45) this.dash = true;
    else if (before === SPACE) this.dash = false;
    else return false;
    this.taskEnd = at - 1;
    while (this.taskEnd > start && bytes[this.taskEnd - 1] === SPACE) --this.taskEnd;
    let first = start;
    while (first < this.taskEnd && bytes[first] === SPACE) ++first;
    this.taskStart = first;
    return first < this.taskEnd || this.dash;
  }

  /** Flags, which may be missing, and `123.456789:`. */
  private timeAfter(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    for (let word = 0; word < 3; ++word) {
      while (at < end && bytes[at] === SPACE) ++at;
      if (at >= end) return 2;
      const first = at;
      let seconds = 0;
      while (at < end && HEX[bytes[at]] < 10) seconds = seconds * 10 + HEX[bytes[at++]];
      const digits = at - first;
      if (digits > 0 && digits < 16) {
        if (at < end && bytes[at] === 46) {
          const point = ++at;
          let fraction = 0;
          while (at < end && HEX[bytes[at]] < 10) fraction = fraction * 10 + HEX[bytes[at++]];
          const places = at - point;
          if (places > 0 && places < 13 && bytes[at] === 58) {
            this.time = seconds * 1e9 + (places === 6 ? fraction * 1000 : Math.round(fraction * 10 ** (9 - places)));
            this.rest = at + 1;
            return 1;
          }
        } else if (at < end && bytes[at] === 58) {
          this.time = seconds;
          this.rest = at + 1;
          return 1;
        }
      }
      while (at < end && bytes[at] !== SPACE) ++at;
    }
    return 0;
  }
}
