import { PAGE_MASK, PAGE_SIZE } from '../../core/generated/constants.js';
import { NO_DIRECTION } from '../batches/batch.js';

/**
 * The fields of one event, read by name: `iova=0x... paddr=... dma_addrs={...} dir=TO_DEVICE`. Kernels differ in which fields
 * an event has and in how they are written; nothing here depends on the kernel that wrote it.
 *
 * Addresses keep all 64 bits: the page as a double, which is exact for 52 bits, and the offset in it.
 */

const FIELD = {
  ADDRESS: 1,
  PHYSICAL: 2,
  SIZE: 3,
  UNMAPPED: 4,
  DIRECTION: 5,
  ATTRS: 6,
  PHYS_LIST: 7,
  ADDRESS_LIST: 8,
  LENGTH_LIST: 9,
  COUNT: 10,
  DEVICE: 11,
  FLAGS: 12,
  GROUP: 13,
  MASK: 14,
  IGNORED: 15,
  TRUNCATED: 16,
} as const;

/** Names that the kernels gave to the fields. */
const FIELDS: Readonly<Record<string, number>> = {
  ...{ iova: FIELD.ADDRESS, dma_addr: FIELD.ADDRESS, dev_addr: FIELD.ADDRESS, addr: FIELD.ADDRESS },
  ...{ phys_addr: FIELD.PHYSICAL, paddr: FIELD.PHYSICAL, phys: FIELD.PHYSICAL },
  ...{ size: FIELD.SIZE, length: FIELD.SIZE, len: FIELD.SIZE, unmapped_size: FIELD.UNMAPPED, unmapped: FIELD.UNMAPPED },
  ...{ dir: FIELD.DIRECTION, direction: FIELD.DIRECTION, attrs: FIELD.ATTRS },
  ...{ phys_addrs: FIELD.PHYS_LIST, addrs: FIELD.PHYS_LIST, dma_addrs: FIELD.ADDRESS_LIST },
  ...{ sizes: FIELD.LENGTH_LIST, lengths: FIELD.LENGTH_LIST, nents: FIELD.COUNT, full_nents: FIELD.COUNT },
  ...{ device: FIELD.DEVICE, dev: FIELD.DEVICE, dev_name: FIELD.DEVICE, groupID: FIELD.GROUP, gid: FIELD.GROUP },
  ...{ flags: FIELD.FLAGS, dma_mask: FIELD.MASK, truncated: FIELD.TRUNCATED },
  ...{ ents: FIELD.IGNORED, full_ents: FIELD.IGNORED, virt_addr: FIELD.IGNORED, err: FIELD.IGNORED },
  ...{ force: FIELD.IGNORED, driver: FIELD.IGNORED },
};

const TABLE_MASK = 127;
const tableHash = new Int32Array(TABLE_MASK + 1);
const tableField = new Uint8Array(TABLE_MASK + 1);
for (const [name, field] of Object.entries(FIELDS)) {
  let hash = 0;
  for (let i = 0; i < name.length; ++i) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  let slot = hash & TABLE_MASK;
  while (tableField[slot] !== 0) slot = (slot + 1) & TABLE_MASK;
  tableHash[slot] = hash;
  tableField[slot] = field;
}

function fieldOf(hash: number): number {
  for (let slot = hash & TABLE_MASK; tableField[slot] !== 0; slot = (slot + 1) & TABLE_MASK) {
    if (tableHash[slot] === hash) return tableField[slot];
  }
  return 0;
}

/** DMA_ATTR_* by the names that decode_dma_attrs prints (include/trace/events/dma.h); newer kernels have more. */
export const ATTRIBUTES: readonly (readonly [string, number])[] = [
  ['WEAK_ORDERING', 1 << 1],
  ['WRITE_COMBINE', 1 << 2],
  ['NO_KERNEL_MAPPING', 1 << 4],
  ['SKIP_CPU_SYNC', 1 << 5],
  ['FORCE_CONTIGUOUS', 1 << 6],
  ['ALLOC_SINGLE_PAGES', 1 << 7],
  ['NO_WARN', 1 << 8],
  ['PRIVILEGED', 1 << 9],
  ['MMIO', 1 << 10],
  ['DEBUGGING_IGNORE_CACHELINES', 1 << 11],
  ['REQUIRE_COHERENT', 1 << 12],
];
export const ATTR_MMIO = 1 << 10;

const SPACE = 32;
const EQUALS = 61;
/** Value of a hexadecimal digit, 255 for any other character. */
export const HEX = new Uint8Array(256).fill(255);
for (let i = 0; i < 10; ++i) HEX[48 + i] = i;
for (let i = 0; i < 6; ++i) HEX[97 + i] = HEX[65 + i] = 10 + i;

/** Most values of a list; the kernel's own limit is 128, a trace.dat record of one page holds some 500. */
const MAX_LIST = 1 << 16;

/** Numbers of a list. */
export class ValueList {
  values = new Float64Array(128);
  count = 0;

  /** Returns false when the list is full. */
  add(value: number): boolean {
    if (this.count === this.values.length) {
      if (this.count === MAX_LIST) return false;
      const larger = new Float64Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.count++] = value;
    return true;
  }
}

export class EventBody {
  /** Known fields that the body had. */
  known = 0;
  hasAddress = false;
  page = 0;
  offset = 0;
  physical = Number.NaN;
  size = 0;
  hasSize = false;
  unmapped = -1;
  direction = NO_DIRECTION;
  attrs = 0;
  /** Entries that the call was given, -1 where the trace has none. */
  nents = -1;
  group = -1;
  mask = Number.NaN;
  faultFlags = 0;
  forced = false;
  truncated = false;
  /** For intel_iommu:map_sg, `[2/5]`. */
  index = 0;
  deviceStart = 0;
  deviceEnd = 0;
  readonly phys = new ValueList();
  readonly addresses = new ValueList();
  readonly lengths = new ValueList();
  /** Where and why reading stopped; '' while all is well. */
  reason = '';
  errorAt = 0;
  /** Numbers without 0x are decimal wherever they stand (trace-cmd's `[FAILED TO PARSE]`). */
  private raw = false;
  private bytes: Uint8Array = new Uint8Array(0);
  private at = 0;
  private end = 0;

  reset(): void {
    this.known = 0;
    this.hasAddress = false;
    this.page = 0;
    this.offset = 0;
    this.physical = Number.NaN;
    this.size = 0;
    this.hasSize = false;
    this.unmapped = -1;
    this.direction = NO_DIRECTION;
    this.attrs = 0;
    this.nents = -1;
    this.group = -1;
    this.mask = Number.NaN;
    this.faultFlags = 0;
    this.forced = false;
    this.truncated = false;
    this.index = 0;
    this.deviceStart = 0;
    this.deviceEnd = 0;
    this.phys.count = 0;
    this.addresses.count = 0;
    this.lengths.count = 0;
    this.reason = '';
    this.raw = false;
  }

  /** Reads bytes[start, end). Returns false when a value is not what its field takes: `reason`, `errorAt`. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.reset();
    this.bytes = bytes;
    this.end = end;
    let at = start;
    while (at < end) {
      let c = bytes[at];
      if (c === SPACE) {
        ++at;
        continue;
      }
      const tokenStart = at;
      let hash = 0;
      while (at < end && (c = bytes[at]) !== SPACE && c !== EQUALS) {
        hash = (Math.imul(hash, 31) + c) | 0;
        ++at;
      }
      if (at === end || c === SPACE) {
        this.bare(tokenStart, at);
        continue;
      }
      this.at = at + 1;
      this.value(fieldOf(hash));
      if (this.reason !== '') return false;
      at = this.at;
    }
    return true;
  }

  private fail(reason: string): void {
    if (this.reason === '') {
      this.reason = reason;
      this.errorAt = this.at;
    }
  }

  /** A word without '='. */
  private bare(start: number, end: number): void {
    const { bytes } = this;
    const first = bytes[start];
    const last = bytes[end - 1];
    // '-' of a range and its second address, brackets, "IOMMU:", "IOMMU:driver", quotes.
    if (first === 45 && end === start + 1) return;
    if (first === 91 /* [ */) {
      if (bytes[start + 1] === 84 /* [TRUNCATED] */) this.truncated = true;
      else if (bytes[start + 1] === 70 /* [FAILED TO PARSE] */) this.raw = true;
      else this.counted(start + 1, end - 1);
      return;
    }
    if (first === 73 && bytes[start + 1] === 79 && bytes[start + 2] === 77) return;
    if (first === 48 && bytes[start + 1] === 120) return;
    if (last === 58 /* dev_name: */) return;
    if (first === 70 && end - start === 5 && bytes[start + 1] === 79) {
      this.forced = true; // FORCE
      return;
    }
    if (this.deviceEnd === 0) {
      this.deviceStart = start;
      this.deviceEnd = end;
    }
  }

  /** `[2/5]`. */
  private counted(start: number, end: number): void {
    let value = 0;
    for (let i = start; i < end; ++i) {
      const digit = HEX[this.bytes[i]];
      if (this.bytes[i] === 47) {
        this.index = value;
        value = 0;
      } else if (digit < 10) value = value * 10 + digit;
      else return;
    }
    if (this.index > 0) this.nents = value;
  }

  private value(field: number): void {
    ++this.known;
    switch (field) {
      case FIELD.ADDRESS: {
        this.number(!this.raw);
        this.hasAddress = true;
        return;
      }
      case FIELD.PHYSICAL:
        this.physical = this.number(!this.raw, 'a physical address', false);
        return;
      case FIELD.SIZE:
        this.size = this.number(false, 'a size', false);
        this.hasSize = true;
        return;
      case FIELD.UNMAPPED:
        this.unmapped = this.number(false, 'a size', false);
        return;
      case FIELD.DIRECTION:
        this.readDirection();
        return;
      case FIELD.ATTRS:
        this.readAttributes();
        return;
      case FIELD.PHYS_LIST:
        this.list(this.phys, 8);
        return;
      case FIELD.ADDRESS_LIST:
        this.list(this.addresses, 8);
        return;
      case FIELD.LENGTH_LIST:
        this.list(this.lengths, 4);
        return;
      case FIELD.COUNT:
        this.readCount();
        return;
      case FIELD.DEVICE:
        this.deviceStart = this.at;
        this.skipWord();
        this.deviceEnd = this.at;
        return;
      case FIELD.FLAGS:
        this.readFlags();
        return;
      case FIELD.GROUP:
        this.group = this.number(false, 'a group', false);
        return;
      case FIELD.MASK:
        this.mask = this.number(!this.raw, 'a mask', false);
        return;
      case FIELD.TRUNCATED:
        this.truncated = this.number(false, 'a flag', false) !== 0;
        return;
      case FIELD.IGNORED:
        this.skipWord();
        return;
      default:
        --this.known;
        this.skipWord();
    }
  }

  /**
   * A number; with 0x it is hexadecimal whatever the field. `asAddress` puts it into page and offset as well.
   */
  private number(hexadecimal: boolean, what = 'an address', asAddress = true): number {
    const { bytes, end } = this;
    let at = this.at;
    let hex = hexadecimal;
    if (bytes[at] === 48 && (bytes[at + 1] | 32) === 120 && at + 1 < end) {
      at += 2;
      hex = true;
    }
    const first = at;
    let value = 0;
    if (hex) {
      // Two halves of 32 bits: whole numbers of that size are what the optimiser is best at.
      let high = 0;
      let low = 0;
      let lost = 0;
      let digit: number;
      while (at < end && (digit = HEX[bytes[at]]) !== 255) {
        lost |= high >>> 28;
        high = (high << 4) | (low >>> 28);
        low = (low << 4) | digit;
        ++at;
      }
      if (lost !== 0) {
        this.fail(`${what} of more than 64 bits`);
        return 0;
      }
      value = (high >>> 0) * 4294967296 + (low >>> 0);
      if (asAddress) {
        this.page = (high >>> 0) * 1048576 + (low >>> 12);
        this.offset = low & PAGE_MASK;
      }
    } else {
      let digit: number;
      while (at < end && (digit = HEX[bytes[at]]) < 10) {
        value = value * 10 + digit;
        ++at;
      }
      if (asAddress) {
        this.page = Math.floor(value / PAGE_SIZE);
        this.offset = value % PAGE_SIZE;
      }
    }
    if (at === first || (at < end && !isDelimiter(bytes[at]))) {
      this.at = at;
      this.fail(`${what} is expected here`);
      return 0;
    }
    this.at = at;
    return value;
  }

  private skipWord(): void {
    const { bytes, end } = this;
    let at = this.at;
    while (at < end && bytes[at] !== SPACE) ++at;
    this.at = at;
  }

  private readDirection(): void {
    const c = this.bytes[this.at];
    const start = this.at;
    this.skipWord();
    const length = this.at - start;
    const text = this.bytes;
    // The names may begin with DMA_.
    const first = c === 68 && length > 4 ? text[start + 4] : c;
    if (first === 66 && length >= 13) this.direction = 0;
    else if (first === 84 && length >= 9) this.direction = 1;
    else if (first === 70 && length >= 11) this.direction = 2;
    else if (first === 78) this.direction = 3;
    else if (c >= 48 && c <= 51 && length === 1) this.direction = c - 48;
    else {
      this.at = start;
      this.fail('a direction is expected here');
    }
  }

  private readAttributes(): void {
    const { bytes, end } = this;
    if (this.at >= end || bytes[this.at] === SPACE) return;
    if (HEX[bytes[this.at]] < 10) {
      this.attrs = this.number(false, 'attributes', false) >>> 0;
      return;
    }
    const start = this.at;
    this.skipWord();
    let from = start;
    for (let i = start; i <= this.at; ++i) {
      if (i < this.at && bytes[i] !== 124) continue;
      this.attrs |= attributeOf(bytes, from, i);
      from = i + 1;
    }
  }

  private readFlags(): void {
    if (HEX[this.bytes[this.at]] < 10) this.faultFlags = this.number(false, 'flags', false);
    else this.skipWord();
  }

  /** `3/700`: what is listed, and what the call was given. */
  private readCount(): void {
    let value = this.number(false, 'a count', false);
    if (this.bytes[this.at] === 47 && this.at < this.end) {
      ++this.at;
      value = this.number(false, 'a count', false);
    }
    this.nents = value;
  }

  private list(into: ValueList, width: number): void {
    const { bytes, end } = this;
    const c = bytes[this.at];
    if (c === 123 /* { */) this.braces(into);
    else if (c === 65 /* ARRAY[ */ && bytes[this.at + 5] === 91) this.array(into, width);
    else if (this.at < end && c !== SPACE) this.fail('a list is expected here');
  }

  private braces(into: ValueList): void {
    const { bytes, end } = this;
    ++this.at;
    while (this.at < end) {
      const c = bytes[this.at];
      if (c === 125) {
        ++this.at;
        return;
      }
      if (c === 44 || c === SPACE) {
        ++this.at;
        continue;
      }
      const value = this.number(true, 'a number of a list', false);
      if (this.reason !== '') return;
      if (!into.add(value)) {
        this.fail(`a list of more than ${MAX_LIST}`);
        return;
      }
    }
    this.fail('the list does not end');
  }

  /** `ARRAY[00, c0, 43, 3c, ...]`: bytes in memory order, least significant first. */
  private array(into: ValueList, width: number): void {
    const { bytes, end } = this;
    this.at += 6;
    let within = 0;
    let low = 0;
    let high = 0;
    while (this.at < end) {
      const c = bytes[this.at];
      if (c === 93) {
        ++this.at;
        if (within !== 0) this.fail(`the list has ${within} bytes that are no whole number of ${width}`);
        return;
      }
      if (c === 44 || c === SPACE) {
        ++this.at;
        continue;
      }
      const a = HEX[c];
      const b = this.at + 1 < end ? HEX[bytes[this.at + 1]] : 255;
      if (a === 255 || (b === 255 && bytes[this.at + 1] !== 44 && bytes[this.at + 1] !== 93)) {
        this.fail('a byte of a list is expected here');
        return;
      }
      const byte = b === 255 ? a : a * 16 + b;
      this.at += b === 255 ? 1 : 2;
      if (within < 4) low += byte * 2 ** (8 * within);
      else high += byte * 2 ** (8 * (within - 4));
      if (++within < width) continue;
      if (!into.add(high * 2 ** 32 + low)) {
        this.fail(`a list of more than ${MAX_LIST}`);
        return;
      }
      within = low = high = 0;
    }
    this.fail('the list does not end');
  }
}

function isDelimiter(c: number): boolean {
  // space , } ) ] / - and end of a sentence
  return c === 32 || c === 44 || c === 125 || c === 41 || c === 93 || c === 47;
}

function attributeOf(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === 48 && bytes[start + 1] === 120) {
    let value = 0;
    for (let i = start + 2; i < end && HEX[bytes[i]] !== 255; ++i) value = (value << 4) | HEX[bytes[i]];
    return value;
  }
  for (const [name, bit] of ATTRIBUTES) {
    if (name.length !== end - start) continue;
    let i = 0;
    while (i < name.length && name.charCodeAt(i) === bytes[start + i]) ++i;
    if (i === name.length) return bit;
  }
  return 0;
}
