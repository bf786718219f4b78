// A job of test/threads/pool.test.ts: takes and gives back frames and blocks in a seeded order, marking what it holds so
// that a frame or block with two owners is seen.

export default function hammer({ core, context, index, stopped }, { rounds, seed, marks }) {
  const { pagesAlloc, pagesFree, blockAlloc, blockFree } = core.exports;
  const owner = index + 1;
  const staging = blockAlloc(context, 4);
  const held = [];
  let random = seed + index || 1;
  let doubles = 0;
  let steps = 0;
  const next = (n) => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return (random >>> 0) % n;
  };
  const give = (item) => {
    if (item.pfns) {
      for (const pfn of item.pfns) if (Atomics.exchange(marks, pfn, 0) !== owner) ++doubles;
      core.writeWords(staging, item.pfns);
      if (pagesFree(context, item.pfns.length, staging) !== item.pfns.length) ++doubles;
    } else {
      for (let at = item.block; at < item.block + item.size; at += 4) if (core.readWord(at) !== owner) ++doubles;
      blockFree(context, item.block);
    }
  };
  for (; steps < rounds && !stopped(); ++steps) {
    if (held.length > 20 || (held.length > 0 && next(2) === 0)) {
      give(held.splice(next(held.length), 1)[0]);
    } else if (next(3) === 0) {
      const order = next(3);
      const block = blockAlloc(context, order);
      if (block === 0) continue;
      const size = 4096 << order;
      core.fillWords(block, size / 4, owner);
      held.push({ block, size });
    } else {
      const n = 1 + next(200);
      if (pagesAlloc(context, n, staging) < 0) continue;
      const pfns = core.readWords(staging, n);
      for (const pfn of pfns) if (Atomics.exchange(marks, pfn, owner) !== 0) ++doubles;
      held.push({ pfns });
    }
  }
  for (const item of held) give(item);
  blockFree(context, staging);
  return { steps, doubles };
}
