import { GemDmaError } from './errors.js';
import type { Core } from './instance.js';

/**
 * The core's dma-debug as records: the verdict log, the live entries, the counters (assembly/dma-debug). What the numbers
 * mean is told in src/dma-debug/checks.ts.
 */

/** Switches of debugCreate, as assembly/dma-debug/state.ts has them. */
export const DEBUG_KERNEL = 1;
export const DEBUG_OWN = 2;
export const DEBUG_GROWS = 4;
export const DEBUG_REPORT_OVERLAP = 8;
export const DEBUG_CHECK_SEGMENTS = 16;
export const DEBUG_ONE_PAGE_TYPE = 32;
export const DEBUG_SYNC_BY_SEGMENT = 64;
export const DEBUG_SYNC_SGCOUNT = 128;
export const DEBUG_COHERENT_QUIRK = 256;

export const REPORT_KERNEL = 1;
export const REPORT_PRINTED = 2;
export const REPORT_OWN = 4;

const OPTION_ALL_ERRORS = 1;
const OPTION_FILTER = 2;

/** Types of mappings, by the number that the core gives them. */
export const MAPPING_TYPES = [
  'single',
  'scatter-gather',
  'coherent',
  'resource',
  'page',
  'noncoherent',
  'link',
  'reservation',
] as const;
export type MappingType = (typeof MAPPING_TYPES)[number];

/** Directions (enum dma_data_direction), by number. */
export const DIRECTIONS = ['BIDIRECTIONAL', 'TO_DEVICE', 'FROM_DEVICE', 'NONE'] as const;
export type DirectionName = (typeof DIRECTIONS)[number];

/** Host-side ids of whoever made a call; 0 is none. */
export interface CallerIds {
  object: number;
  vma: number;
  hook: number;
  site: number;
}

/** One record of the verdict log. Addresses are -1 for DMA_MAPPING_ERROR. */
export interface VerdictRecord {
  check: number;
  sequence: number;
  /** Virtual time in nanoseconds. */
  time: number;
  device: number;
  flags: number;
  address: number;
  size: number;
  a: number;
  b: number;
  d: number;
  e: number;
  caller: CallerIds;
  /** The mapping that the verdict is about, null where none is known. */
  mapping: EntryRecord | null;
}

/** A mapping as the checker knows it. */
export interface EntryRecord {
  device: number;
  address: number;
  size: number;
  type: MappingType;
  direction: DirectionName;
  time: number;
  sequence: number;
  by: CallerIds;
}

/** A live entry: what a verdict tells of one, and the rest of its record. */
export interface LiveEntryRecord extends EntryRecord {
  phys: number;
  /** Entries given to map and segments that came of them; 0 for anything but a list. */
  callEnts: number;
  mappedEnts: number;
  checked: 'not applicable' | 'not checked' | 'checked';
  /** Nobody holds the address any more. */
  lost: boolean;
}

/** What a report needs of a live entry: codes and host-side ids as they are. */
export interface EntryNumbers {
  device: number;
  address: number;
  size: number;
  /** Whole pages of the device's address space that it holds, in bytes. */
  iovaBytes: number;
  type: number;
  direction: number;
  lost: boolean;
  object: number;
  hook: number;
  site: number;
  time: number;
}

const RECORD_SIZE = 128;
const CHECKED = ['not applicable', 'not checked', 'checked'] as const;
const ENTRY_LOST = 1;

/** debugfs dma-api/, and what ours counts besides; the order is that of debugValue. */
export interface CheckerCounters {
  /** The kernel's checker is off: never switched on, or dead for want of entries. */
  disabled: boolean;
  errorCount: number;
  numErrors: number;
  numFreeEntries: number;
  minFreeEntries: number;
  nrTotalEntries: number;
  /** Live entries, the bytes and the pages of device address space that they cover. */
  live: number;
  liveBytes: number;
  livePages: number;
  /** Of these, entries whose address nobody holds any more. */
  lost: number;
  lostPages: number;
  /** Entries made since the machine was. */
  inserts: number;
  /** Mappings that could not be tracked for want of linear memory. */
  missed: number;
}

export class Checker {
  readonly #core: Core;
  readonly #context: number;

  private constructor(core: Core, context: number) {
    this.#core = core;
    this.#context = context;
  }

  /**
   * Switches the checker of a context on.
   * @param flags DEBUG_*
   * @param buckets of the kernel's hash: 1,024 or 16,384
   * @param entries of its pool
   * @throws GemDmaError ENOMEM
   */
  static create(core: Core, context: number, flags: number, buckets: number, entries: number): Checker {
    const rc = core.exports.debugCreate(context, flags, buckets, entries);
    if (rc < 0) throw new GemDmaError('ENOMEM', 'dma_debug_init', 'no linear memory for the tables of dma-debug');
    return new Checker(core, context);
  }

  /** @param filter a driver filter is set; which devices pass it their flags say */
  setOptions(allErrors: boolean, numErrors: number, filter: boolean, poolFixed = false): void {
    const options = (allErrors ? OPTION_ALL_ERRORS : 0) | (filter ? OPTION_FILTER : 0);
    this.#core.exports.debugOptions(this.#context, options, numErrors, poolFixed);
  }

  /** Sets the counters to where a recorded kernel was. */
  setCounters(errorCount: number, numFree: number, minFree: number, total: number): void {
    this.#core.exports.debugCountersSet(this.#context, errorCount, numFree, minFree, total);
  }

  /** One counter by its number, for polling: the order is that of CheckerCounters. */
  value(which: number): number {
    return this.#core.tools.debugValue(this.#context, which);
  }

  /** @param sums false leaves liveBytes and livePages 0: each takes a walk over the live entries */
  counters(sums = true): CheckerCounters {
    return {
      disabled: this.value(0) === 1,
      errorCount: this.value(1),
      numErrors: this.value(2),
      numFreeEntries: this.value(3),
      minFreeEntries: this.value(4),
      nrTotalEntries: this.value(5),
      live: this.value(6),
      liveBytes: sums ? this.value(7) : 0,
      livePages: sums ? this.value(8) : 0,
      lost: this.value(9),
      lostPages: this.value(10),
      inserts: this.value(11),
      missed: this.value(12),
    };
  }

  /** Verdicts of one check so far, whatever became of their records. */
  count(check: number): number {
    return this.#core.tools.debugCount(this.#context, check);
  }

  /** Takes every waiting record out of the log, oldest first. */
  drain(): VerdictRecord[] {
    const { exports } = this.#core;
    const records: VerdictRecord[] = [];
    for (let run = exports.debugLogRun(this.#context); run > 0; run = exports.debugLogRun(this.#context)) {
      const first = exports.debugLogFirst(this.#context);
      for (let i = 0; i < run; ++i) records.push(this.#verdict(first + i * RECORD_SIZE));
      exports.debugLogDrained(this.#context, run);
    }
    return records;
  }

  /** Records lost since the last call because nobody drained the log. */
  dropped(): number {
    return this.#core.exports.debugLogDropped(this.#context);
  }

  /** Every live entry. */
  entries(): LiveEntryRecord[] {
    const { tools } = this.#core;
    const records: LiveEntryRecord[] = [];
    for (let at = tools.debugEntryFirst(this.#context); at !== 0; at = tools.debugEntryNext(this.#context, at)) {
      records.push(this.#entry(at));
    }
    return records;
  }

  /**
   * Shows every live entry to a visitor, as bare numbers in one object that is used again for the next.
   * No mapping may be made or ended meanwhile.
   */
  visit(visitor: (entry: Readonly<EntryNumbers>) => void): void {
    const { tools, u32 } = this.#core;
    const seen: EntryNumbers = {
      device: 0,
      address: 0,
      size: 0,
      iovaBytes: 0,
      type: 0,
      direction: 0,
      lost: false,
      object: 0,
      hook: 0,
      site: 0,
      time: 0,
    };
    for (let at = tools.debugEntryFirst(this.#context); at !== 0; at = tools.debugEntryNext(this.#context, at)) {
      const word = at >>> 2;
      seen.device = u32[(u32[word + 9] >>> 2) + 1];
      seen.address = u32[word + 2] + u32[word + 3] * 2 ** 32;
      seen.size = u32[word + 4] + u32[word + 5] * 2 ** 32;
      // The offset in the page as an integer: a remainder of doubles would cost more than all the rest.
      seen.iovaBytes = Math.ceil(((u32[word + 2] & 4095) + seen.size) / 4096) * 4096;
      seen.type = u32[word + 8] & 0xff;
      seen.direction = (u32[word + 8] >>> 8) & 0xff;
      seen.lost = (u32[word + 13] & ENTRY_LOST) !== 0;
      seen.object = u32[word + 16];
      seen.hook = u32[word + 18];
      seen.site = u32[word + 19];
      seen.time = u32[word + 20] + u32[word + 21] * 2 ** 32;
      visitor(seen);
    }
  }

  #verdict(at: number): VerdictRecord {
    const { u32, f64 } = this.#core;
    const word = at >>> 2;
    const double = at >>> 3;
    const packed = u32[word + 31];
    return {
      check: u32[word],
      sequence: u32[word + 1],
      time: f64[double + 1],
      device: u32[word + 4],
      flags: u32[word + 5],
      address: f64[double + 3],
      size: f64[double + 4],
      a: f64[double + 5],
      b: f64[double + 6],
      d: u32[word + 14],
      e: u32[word + 15],
      caller: { object: u32[word + 16], vma: u32[word + 17], hook: u32[word + 18], site: u32[word + 19] },
      mapping:
        (packed & 0x10000) === 0
          ? null
          : {
              device: packed >>> 17,
              address: f64[double + 12],
              size: f64[double + 13],
              type: MAPPING_TYPES[packed & 0xff],
              direction: DIRECTIONS[(packed >>> 8) & 0xff],
              time: f64[double + 14],
              sequence: u32[word + 30],
              by: { object: u32[word + 20], vma: u32[word + 21], hook: u32[word + 22], site: u32[word + 23] },
            },
    };
  }

  // Offsets of the Entry record in assembly/dma-debug/entry.ts; 64-bit fields hold numbers below 2^53, or all ones.
  #entry(at: number): LiveEntryRecord {
    const { u32 } = this.#core;
    const word = at >>> 2;
    const wide = (index: number): number => u32[word + index] + u32[word + index + 1] * 2 ** 32;
    const kind = u32[word + 8];
    return {
      // A device's record has its context first, then its number.
      device: u32[(u32[word + 9] >>> 2) + 1],
      address: wide(2),
      size: wide(4),
      phys: wide(6),
      callEnts: u32[word + 10],
      mappedEnts: u32[word + 12],
      type: MAPPING_TYPES[kind & 0xff],
      direction: DIRECTIONS[(kind >>> 8) & 0xff],
      // Higher bits of that word are the core's own.
      checked: CHECKED[u32[word + 11] & 3],
      lost: (u32[word + 13] & ENTRY_LOST) !== 0,
      by: { object: u32[word + 16], vma: u32[word + 17], hook: u32[word + 18], site: u32[word + 19] },
      sequence: u32[word + 14],
      time: wide(20),
    };
  }
}
