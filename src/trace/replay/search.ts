import type { DmaDomain } from '../../dma/dma-domain.js';

/** What the kernel's search for a range costs: it walks the tree range by range, downwards, from where it left off. */

const TOP_32BIT = 0x100000;
/** Nodes that one search is counted to. */
const MAX_STEPS = 1e6;

/** Ranges in the domain's tree; one more after a mapping says that it was searched for. */
export function rangesOf(domain: DmaDomain): number {
  return domain.host.core.exports.iovaRanges(domain.iova);
}

/** The pfn below which a search would begin (cached32_node). */
export function searchStart(domain: DmaDomain): number {
  const cached = domain.host.core.tools.iovaCachedNode(domain.iova, 1);
  return cached < 0 || cached > TOP_32BIT ? TOP_32BIT : cached;
}

/** Nodes that the kernel visits from `start` down to the range that it took at `page`. */
export function searchSteps(domain: DmaDomain, start: number, page: number): number {
  if (page < start) return 1 + rangesBetween(domain, page + 1, start);
  // It found nothing below, and began again at the top.
  return 1 + rangesBetween(domain, 0, start) + rangesBetween(domain, page + 1, TOP_32BIT);
}

/** Ranges that begin in [from, to). */
function rangesBetween(domain: DmaDomain, from: number, to: number): number {
  const { core } = domain.host;
  const { iovaFoundHi, iovaFoundLo } = core.exports;
  const handle = domain.iova;
  let count = 0;
  for (
    let at = from;
    at < to && count < MAX_STEPS && core.tools.iovaNextRange(handle, at);
    at = iovaFoundHi(handle) + 1
  ) {
    if (iovaFoundLo(handle) >= to) break;
    if (iovaFoundLo(handle) >= from) ++count;
  }
  return count;
}
