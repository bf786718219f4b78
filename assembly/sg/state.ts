/** State of the subsystem: the cache of tables and those of short vectors (vector.ts). */
// @ts-ignore: decorator
@unmanaged
export class SgState {
  tables: usize;
  vectors0: usize;
  vectors1: usize;
  vectors2: usize;
  /** Segments that are being counted: a page for each CPU, made when the first list needs it (segments.ts). */
  scratch: usize;
}
