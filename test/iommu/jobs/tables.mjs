// A job of test/iommu/threads.test.ts: maps and unmaps in one domain beside other workers. Small ranges share leaf tables
// with theirs; large ones come and go with tables of their own. What a worker mapped it must find, until it unmaps it.

import { PAGE_SIZE as PAGE, PROT_READ, PROT_WRITE } from '../../../dist/core/generated/constants.js';

const TABLE = 512 * PAGE;
const GROUP = 16;

export default function tables({ core, context, index, workers, stopped }, { domain, rounds, seed }) {
  const { blockAlloc, blockFree, domainIovaToPhys, domainMap, domainMapPfns, domainUnmap } = core.exports;
  const vector = blockAlloc(context, 0);
  const live = new Map();
  let random = seed + index * 7919 || 1;
  const next = (n) => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return (random >>> 0) % n;
  };
  let wrong = 0;
  let steps = 0;
  const check = (iova, count, frames) => {
    for (const i of [0, count >> 1, count - 1]) {
      if (domainIovaToPhys(domain, iova + i * PAGE) !== (frames === null ? 0 : frames[i] * PAGE)) ++wrong;
    }
  };
  const drop = (iova) => {
    const { count, frames } = live.get(iova);
    check(iova, count, frames);
    if (domainUnmap(domain, iova, count * PAGE) !== count * PAGE) ++wrong;
    check(iova, count, null);
    live.delete(iova);
  };
  for (; steps < rounds && !stopped(); ++steps) {
    const large = next(4) === 0;
    // Every worker has its own groups in shared tables, and its own tables further up.
    const slot = next(64) * workers + index;
    const iova = large ? 2 ** 32 + slot * TABLE : 2 ** 30 + slot * GROUP * PAGE;
    const count = large ? 512 : 1 + next(GROUP);
    if (live.has(iova)) {
      drop(iova);
      continue;
    }
    const first = (1 + index) * 65536 + next(32768);
    const single = next(3) === 0;
    const frames = Array.from({ length: count }, (_, i) => (single ? first + i : first + ((i * 7) % 512)));
    core.writeWords(vector, frames);
    const rc = single
      ? domainMap(domain, iova, first * PAGE, count * PAGE, PROT_READ | PROT_WRITE)
      : domainMapPfns(domain, iova, vector, count, PROT_READ | PROT_WRITE);
    if (rc !== 0) ++wrong;
    live.set(iova, { count, frames });
    check(iova, count, frames);
  }
  for (const iova of [...live.keys()]) drop(iova);
  blockFree(context, vector);
  return { steps, wrong };
}
