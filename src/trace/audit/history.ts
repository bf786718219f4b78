/**
 * The mappings that ended last, in a ring: they explain the address of a fault and a second unmap. Its size is fixed: the memory of
 * an audit grows with live mappings, not with the trace.
 */
const ENDED = 1 << 17;
const MASK = ENDED - 1;

export class EndedMappings {
  /** Mappings that ended so far. */
  count = 0;
  readonly page = new Float64Array(ENDED);
  readonly offset = new Uint16Array(ENDED);
  readonly span = new Float64Array(ENDED);
  readonly began = new Float64Array(ENDED);
  readonly ended = new Float64Array(ENDED);
  readonly device = new Uint32Array(ENDED);
  readonly mapper = new Uint32Array(ENDED);
  readonly unmapper = new Uint32Array(ENDED);
  readonly kind = new Uint8Array(ENDED);
  private readonly heads = new Float64Array(ENDED).fill(-1);
  private readonly before = new Float64Array(ENDED);

  /** Notes one; the caller fills the columns at the place that is returned. */
  add(page: number): number {
    const number = this.count++;
    const at = number & MASK;
    const bucket = bucketOf(page);
    this.page[at] = page;
    this.before[at] = this.heads[bucket];
    this.heads[bucket] = number;
    return at;
  }

  /** Row of the last mapping that began at a page of a device; -1 if there is none. */
  last(device: number, page: number): number {
    const oldest = this.count - ENDED;
    for (
      let number = this.heads[bucketOf(page)];
      number >= 0 && number >= oldest;
      number = this.before[number & MASK]
    ) {
      const at = number & MASK;
      if (this.page[at] === page && this.device[at] === device) return at;
    }
    return -1;
  }

  /** Places from the newest to the oldest. */
  *places(): Generator<number> {
    const oldest = Math.max(0, this.count - ENDED);
    for (let number = this.count - 1; number >= oldest; --number) yield number & MASK;
  }

  /** Whether all that ended is still here. */
  get complete(): boolean {
    return this.count <= ENDED;
  }
}

function bucketOf(page: number): number {
  return (Math.imul(page | 0, 0x9e3779b1) >>> 15) & MASK;
}
