/**
 * IOVA allocation as the kernels do it, in the plainest form: a sorted array of ranges, walked one by one. Slow and easy
 * to check against the description of Linux 4.2 and 6.12's drivers/iommu/iova.c. The core is held against it.
 */

export interface Range {
  lo: number;
  hi: number;
}

const ANCHOR: Range = { lo: Number.POSITIVE_INFINITY, hi: Number.POSITIVE_INFINITY };

function powerOfTwo(size: number): number {
  let power = 1;
  while (power < size) power *= 2;
  return power;
}

abstract class Model {
  /** In order, disjoint; the anchor is not among them. */
  readonly ranges: Range[] = [];

  abstract alloc(size: number, limit: number, aligned: boolean): number;
  protected abstract forget(at: number): void;

  free(pfn: number): Range | undefined {
    const at = this.ranges.findIndex(({ lo, hi }) => lo <= pfn && pfn <= hi);
    if (at < 0) return undefined;
    this.forget(at);
    return this.ranges.splice(at, 1)[0];
  }

  find(pfn: number): Range | undefined {
    return this.ranges.find(({ lo, hi }) => lo <= pfn && pfn <= hi);
  }

  reserve(lo: number, hi: number): Range {
    for (const range of this.ranges) {
      if (range.hi < lo) continue;
      if (range.lo > hi) break;
      if (lo < range.lo) range.lo = lo;
      if (hi <= range.hi) return range;
      lo = range.hi + 1;
    }
    return this.insert(lo, hi);
  }

  freePages(start: number, limit: number): number {
    let free = limit + 1 - start;
    for (const { lo, hi } of this.ranges) {
      free -= Math.max(0, Math.min(hi, limit) - Math.max(lo, start) + 1);
    }
    return free;
  }

  gaps(start: number, limit: number): number[] {
    const gaps: number[] = [];
    let from = start;
    for (const { lo, hi } of [...this.ranges, { lo: limit + 1, hi: limit + 1 }]) {
      const gap = Math.min(lo, limit + 1) - from;
      if (gap > 0) gaps.push(gap);
      from = Math.max(from, hi + 1);
    }
    return gaps;
  }

  protected insert(lo: number, hi: number): Range {
    const range = { lo, hi };
    const at = this.ranges.findIndex((other) => other.lo > lo);
    this.ranges.splice(at < 0 ? this.ranges.length : at, 0, range);
    return range;
  }

  protected below(range: Range): number {
    return range === ANCHOR ? this.ranges.length - 1 : this.ranges.indexOf(range) - 1;
  }
}

/** Linux 6.12, the tree alone. */
export class Linux612 extends Model {
  cached: Range = ANCHOR;
  cached32: Range = ANCHOR;
  max32: number;

  constructor(
    readonly start: number,
    readonly line: number,
    readonly rules = { secondPass: true, max32: true },
  ) {
    super();
    this.max32 = line;
  }

  alloc(size: number, limit: number, aligned: boolean): number {
    const end = limit + 1;
    const low = end <= this.line;
    if (low && size >= this.max32) return 0;
    const remembered = low ? this.cached32 : this.cached;
    let pfn = this.pass(remembered, end, size, aligned, this.start);
    if (pfn === 0 && remembered.hi < end && this.rules.secondPass)
      pfn = this.pass(ANCHOR, end, size, aligned, remembered.hi + 1);
    if (pfn === 0) {
      if (this.rules.max32) this.max32 = size;
      return 0;
    }
    const range = this.insert(pfn, pfn + size - 1);
    if (range.hi < this.line) this.cached32 = range;
    else this.cached = range;
    return pfn;
  }

  /** From a range downwards: the first candidate that is above the next range; below `low` means failure. */
  private pass(from: Range, end: number, size: number, aligned: boolean, low: number): number {
    const unit = aligned ? powerOfTwo(size) : 1;
    let high = end;
    let current = from;
    for (;;) {
      high = Math.min(high, current.lo);
      const at = this.below(current);
      if (high < size) return 0;
      const candidate = Math.floor((high - size) / unit) * unit;
      if (candidate < low) return 0;
      if (at < 0 || candidate > this.ranges[at].hi) return candidate;
      current = this.ranges[at];
    }
  }

  protected forget(at: number): void {
    const range = this.ranges[at];
    const next = this.ranges[at + 1] ?? ANCHOR;
    if (range === this.cached32 || (range.hi < this.line && range.lo >= this.cached32.lo)) this.cached32 = next;
    if (range.lo < this.line) this.max32 = this.line;
    if (range.lo >= this.cached.lo) this.cached = next;
  }
}

/** Linux 4.2. `line` is the last pfn below 4 GiB. */
export class Linux42 extends Model {
  hint: Range | null = null;

  constructor(
    readonly start: number,
    readonly line: number,
  ) {
    super();
  }

  alloc(size: number, limit: number, aligned: boolean): number {
    const pages = aligned ? powerOfTwo(size) : size;
    const low = limit === this.line;
    let at = this.ranges.length - 1;
    let top = limit;
    if (low && this.hint) {
      at = this.below(this.hint);
      top = this.hint.lo - 1;
    }
    const pad = () => (aligned ? (top + 1) % pages : 0);
    for (; at >= 0; --at) {
      const range = this.ranges[at];
      if (top < range.lo) continue;
      if (top >= range.hi && range.hi + pages + pad() <= top) break;
      top = range.lo - 1;
    }
    if (at < 0 && this.start + pages + pad() > top) return 0;
    const pfn = top - (pages + pad()) + 1;
    const range = this.insert(pfn, pfn + pages - 1);
    if (low) this.hint = range;
    return pfn;
  }

  protected forget(at: number): void {
    if (!this.hint || this.ranges[at].lo < this.hint.lo) return;
    const next = this.ranges[at + 1];
    this.hint = next && next.lo < this.line ? next : null;
  }
}
