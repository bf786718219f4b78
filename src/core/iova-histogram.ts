import { GAP_CLASSES } from './generated/constants.js';
import type { ContextHandle, IovaDomainHandle } from './generated/exports.js';
import type { Core } from './instance.js';

/** How many gaps of 2^k to 2^(k + 1) - 1 pages a domain has up to a limit; index k, up to the last that is not 0. */
export function gapHistogram(core: Core, context: ContextHandle, domain: IovaDomainHandle, limit: number): number[] {
  const at = core.staging(context);
  core.tools.iovaGapHistogram(domain, limit, at);
  const counts = [...core.readWords(at, GAP_CLASSES)];
  while (counts.length > 0 && counts.at(-1) === 0) counts.pop();
  return counts;
}
