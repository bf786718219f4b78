/** The views of linear memory that a record is read through (Core). */
export interface MemoryViews {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
}

/**
 * Where a record of the core lies. Its fields are the classes of src/core/generated/records.ts, one per record of
 * assembly/contract.ts. A view holds until linear memory may grow; moving it to the next record of a row costs nothing.
 */
export class RecordView {
  protected readonly u8: Uint8Array;
  protected readonly u32: Uint32Array;
  protected readonly f64: Float64Array;
  /** Offset of the record in bytes, in words of 32 bits, in doubles. */
  protected at = 0;
  protected word = 0;
  protected double = 0;

  constructor(views: MemoryViews, at = 0) {
    this.u8 = views.u8;
    this.u32 = views.u32;
    this.f64 = views.f64;
    this.moveTo(at);
  }

  /** Whether linear memory has grown since: fields read as undefined. A shared memory leaves views as they are. */
  get stale(): boolean {
    return this.u32.length === 0;
  }

  /** Moves the view to the record at an offset of linear memory. */
  moveTo(at: number): this {
    this.at = at;
    this.word = at >>> 2;
    this.double = at >>> 3;
    return this;
  }
}
