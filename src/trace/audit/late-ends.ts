import type { SuspectMapping } from './suspects.js';

/**
 * Mappings that were removed from the tables, whose address is allocated again, and whose event of the DMA API is missing: it is
 * logged a few microseconds after the address is free, and another CPU may be faster.
 */

/** Most that may wait; beyond it the oldest has lost its event. */
const WAITING = 64;

export class LateEnds {
  private readonly waiting: SuspectMapping[] = [];
  private readonly missed: (mapping: SuspectMapping) => void;

  constructor(missed: (mapping: SuspectMapping) => void) {
    this.missed = missed;
  }

  get size(): number {
    return this.waiting.length;
  }

  add(mapping: SuspectMapping): void {
    this.waiting.push(mapping);
    if (this.waiting.length > WAITING) this.missed(this.waiting.shift()!);
  }

  /** Whether an unmap is the event of one that waits. */
  take(device: number, page: number, offset: number, size: number, direction: number): boolean {
    const at = this.waiting.findIndex(
      (m) =>
        m.page === page && m.device === device && m.offset === offset && m.size === size && m.direction === direction,
    );
    if (at < 0) return false;
    this.waiting.splice(at, 1);
    return true;
  }

  /** The trace is over. */
  expire(): void {
    for (const mapping of this.waiting.splice(0)) this.missed(mapping);
  }
}
