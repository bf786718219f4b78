/**
 * A plain TypeScript version of the core's IOVA allocator, twice: once for the kernel's rule
 * (the highest address that fits), once for speed alone. Kept short and honest: no trick is left out that a careful
 * author would use on an afternoon, and none is in that needs a profile to find.
 */

/** Highest free range below the limit, found by walking the live ranges from the top: a sorted array, binary search. */
export class FirstFitIova {
  /** First and last pfn of each live range, ascending. */
  readonly #lo: number[] = [];
  readonly #hi: number[] = [];
  readonly #start: number;

  constructor(start: number) {
    this.#start = start;
  }

  /** @returns the first pfn of `size` pages at or below `limit`, or 0 */
  alloc(size: number, limit: number, aligned: boolean): number {
    const align = aligned ? roundUp(size) : 1;
    let top = limit + 1;
    for (let i = this.#indexAbove(limit); i >= 0; --i) {
      const floor = i === 0 ? this.#start : this.#hi[i - 1] + 1;
      const at = Math.floor((top - size) / align) * align;
      if (at >= floor) {
        this.#lo.splice(i, 0, at);
        this.#hi.splice(i, 0, at + size - 1);
        return at;
      }
      if (i > 0) top = this.#lo[i - 1];
    }
    return 0;
  }

  free(pfn: number): boolean {
    const i = this.#indexAbove(pfn) - 1;
    if (i < 0 || this.#lo[i] !== pfn) return false;
    this.#lo.splice(i, 1);
    this.#hi.splice(i, 1);
    return true;
  }

  /** Number of ranges that begin at or below a pfn. */
  #indexAbove(pfn: number): number {
    let from = 0;
    let to = this.#lo.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#lo[middle] <= pfn) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** Free lists by size in a Map over a pointer that moves down: fast, but freed space never serves another size. */
export class FreeListIova {
  readonly #free = new Map<number, number[]>();
  #next: number;

  constructor(limit: number) {
    this.#next = limit + 1;
  }

  /** @returns the first pfn of `size` pages, aligned to the power of two at or above it, or 0 */
  alloc(size: number): number {
    const list = this.#free.get(size);
    if (list !== undefined && list.length > 0) return list.pop()!;
    const align = roundUp(size);
    const at = Math.floor((this.#next - size) / align) * align;
    if (at <= 0) return 0;
    this.#next = at;
    return at;
  }

  free(pfn: number, size: number): void {
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [pfn]);
    else list.push(pfn);
  }
}

function roundUp(size: number): number {
  return 1 << (32 - Math.clz32(size - 1));
}
