import type { SgTableHandle } from './generated/exports.js';
import { SgRunView } from './generated/records.js';
import type { Core } from './instance.js';

/** The vectors of a scatter-gather table (assembly/sg): the pfns of one in pages form, the entries of one in runs form. */

/** An entry as the core's vector of runs has it. */
export interface PageRun {
  pfn: number;
  offset: number;
  length: number;
}

/** Fills a table that was reserved for so many pages. */
export function writePfns(core: Core, table: SgTableHandle, pfns: ArrayLike<number>): void {
  core.writeWords(core.exports.sgPfnVector(table), pfns);
}

/** A copy of the pfns of a table of n pages. */
export function readPfns(core: Core, table: SgTableHandle, n: number): Uint32Array {
  return core.readWords(core.exports.sgPfnVector(table), n);
}

/** pfn of a page of a table. */
export function pfnOf(core: Core, table: SgTableHandle, page: number): number {
  return core.readWord(core.exports.sgPfnVector(table) + page * 4);
}

/** Fills a table that was reserved for so many entries. */
export function writeRuns(core: Core, table: SgTableHandle, runs: readonly PageRun[]): void {
  const first = core.exports.sgRunVector(table);
  const record = new SgRunView(core);
  for (const [i, { pfn, offset, length }] of runs.entries()) {
    record.moveTo(first + i * SgRunView.SIZE);
    record.pfn = pfn;
    record.offset = offset;
    record.length = length;
  }
}
