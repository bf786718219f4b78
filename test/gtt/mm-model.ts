import {
  MM_BEST,
  MM_EVICT,
  MM_HIGH,
  MM_LOW,
  MM_SEARCH_BELOW,
  MM_SEARCH_BEST,
  MM_SEARCH_DEFAULT,
  MM_TOP,
} from '../../src/core/generated/constants.js';

/**
 * drm_mm by its rules alone: a list of nodes, a list of holes by age, and every search a walk over all holes. What the
 * core must agree with on any history. MM_ONCE of the searches by address is left out: it depends on a tree's shape.
 */

export const MODERN = { best: MM_BEST, low: MM_LOW, high: MM_HIGH, evict: MM_EVICT } as const;
export const OLD = {
  default: MM_SEARCH_DEFAULT,
  best: MM_SEARCH_BEST,
  below: MM_SEARCH_BELOW,
  top: MM_TOP,
} as const;

export interface ModelNode {
  start: number;
  size: number;
  color: number;
}

interface Hole {
  start: number;
  end: number;
}

export class MmModel {
  readonly #start: number;
  readonly #end: number;
  readonly #modern: boolean;
  readonly #colors: boolean;
  nodes: ModelNode[] = [];
  /** Newest first. */
  #holes: Hole[];

  constructor(start: number, size: number, modern: boolean, colors: boolean) {
    this.#start = start;
    this.#end = start + size;
    this.#modern = modern;
    this.#colors = colors;
    this.#holes = [{ start, end: start + size }];
  }

  insert(size: number, align: number, color: number, lo: number, hi: number, mode: number): number {
    for (const hole of this.#order(mode, size)) {
      const at = this.#modern
        ? this.#fitModern(hole, size, align, color, lo, hi, mode === MODERN.high)
        : this.#fitOld(hole, size, align, color, lo, hi, (mode & OLD.top) !== 0);
      if (at !== null) return this.#take(hole, at, size, color);
    }
    return -28;
  }

  reserve(start: number, size: number, color: number): number {
    const hole = this.#holes.find((one) => one.start <= start && one.end >= start + size);
    if (!hole) return -28;
    if (this.#modern) {
      const [front, back] = this.#gaps(hole, color);
      if (hole.start + front > start || hole.end - back < start + size) return -28;
    }
    return this.#take(hole, start, size, color);
  }

  remove(start: number): void {
    const index = this.nodes.findIndex((node) => node.start === start);
    const [{ size }] = this.nodes.splice(index, 1);
    const merged = { start, end: start + size };
    this.#holes = this.#holes.filter((hole) => {
      if (hole.end === start) merged.start = hole.start;
      else if (hole.start === start + size) merged.end = hole.end;
      else return true;
      return false;
    });
    this.#holes.unshift(merged);
  }

  #order(mode: number, size: number): Hole[] {
    const raw = (hole: Hole) => hole.end - hole.start;
    const holes = [...this.#holes];
    if (this.#modern) {
      if (mode === MODERN.best) return holes.filter((hole) => raw(hole) >= size).sort((a, b) => raw(a) - raw(b));
      if (mode === MODERN.low) return holes.sort((a, b) => a.start - b.start);
      if (mode === MODERN.high) return holes.sort((a, b) => b.start - a.start);
      return holes;
    }
    const search = mode & ~OLD.top;
    if (search === OLD.best) return holes.sort((a, b) => raw(a) - raw(b));
    return search === OLD.below ? holes.reverse() : holes;
  }

  #gaps(hole: Hole, color: number): [number, number] {
    if (!this.#colors) return [0, 0];
    const before = this.nodes.find((node) => node.start + node.size === hole.start);
    const after = this.nodes.find((node) => node.start === hole.end);
    // Modern: no gap at the beginning of the space, always one at its end.
    const front = this.#modern ? (before ?? { color }).color : (before?.color ?? 0);
    const back = after ? after.color !== color : this.#modern;
    return [front !== color ? 4096 : 0, back ? 4096 : 0];
  }

  #fitModern(
    hole: Hole,
    size: number,
    align: number,
    color: number,
    lo: number,
    hi: number,
    high: boolean,
  ): number | null {
    const [front, back] = this.#gaps(hole, color);
    const start = Math.max(hole.start + front, lo);
    const end = Math.min(hole.end - back, hi);
    const step = Math.max(align, 1);
    const at = high ? Math.floor((end - size) / step) * step : Math.ceil(start / step) * step;
    return at >= start && at + size <= end ? at : null;
  }

  #fitOld(hole: Hole, size: number, align: number, color: number, lo: number, hi: number, top: boolean): number | null {
    const [front, back] = this.#gaps(hole, color);
    const start = Math.max(hole.start, lo) + front;
    const end = Math.min(hole.end, hi) - back;
    const step = Math.max(align, 1);
    const low = Math.ceil(start / step) * step;
    if (low + size > end) return null;
    return top ? Math.floor((end - size) / step) * step : low;
  }

  #take(hole: Hole, start: number, size: number, color: number): number {
    this.nodes.push({ start, size, color });
    const index = this.#holes.indexOf(hole);
    const front = start > hole.start ? [{ start: hole.start, end: start }] : [];
    const rest = start + size < hole.end ? [{ start: start + size, end: hole.end }] : [];
    if (this.#modern) {
      this.#holes.splice(index, 1);
      this.#holes.unshift(...rest, ...front);
    } else {
      this.#holes.splice(index, 1, ...front);
      this.#holes.unshift(...rest);
    }
    if (start < this.#start || start + size > this.#end) throw new Error('the model placed a node outside');
    return start;
  }

  /** Holes with their sizes in order of address. */
  holes(): [number, number][] {
    return this.#holes.map(({ start, end }): [number, number] => [start, end - start]).sort((a, b) => a[0] - b[0]);
  }
}
