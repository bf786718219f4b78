// The list of formats, one line each here, in contract.ts and, if it has calls of its own for the host, in index.ts and tools.ts.

import { AmdFormat } from '../amdv1/format';
import { Either, the } from '../format';
import { VtdFormat } from '../vtd/format';

export type Formats = Either<VtdFormat, AmdFormat>;

/** The functions of all formats. */
// @ts-ignore: decorator
@inline
export function formats(): Formats {
  return the<Formats>();
}
