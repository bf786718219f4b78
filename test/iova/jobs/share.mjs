// A job of test/iova/threads.test.ts: takes ranges of one domain and gives them back in a seeded order, some of them
// through the other workers, marking every page so that one with two owners is seen.

export default function share({ core, index, workers, stopped }, { domain, limit, rounds, seed, marks, boxes }) {
  const { iovaAllocateFast, iovaReleaseFast } = core.exports;
  const owner = index + 1;
  const live = [];
  let doubles = 0;
  let failed = 0;
  let steps = 0;
  let random = seed + index * 7919 || 1;
  const next = (n) => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return (random >>> 0) % n;
  };
  const give = ([pfn, size]) => {
    for (let page = pfn; page < pfn + size; ++page) if (Atomics.exchange(marks, page, 0) === 0) ++doubles;
    iovaReleaseFast(domain, pfn, size);
  };
  for (; steps < rounds && !stopped(); ++steps) {
    // A range that another worker left in this one's box: freed on a CPU that did not allocate it.
    const left = Atomics.exchange(boxes, index, 0);
    if (left !== 0) give([left & 0xfffff, (left >>> 20) + 1]);
    if (live.length > 0 && next(10) < (steps % 2000 < 1000 ? 3 : 7)) {
      const [range] = live.splice(next(live.length), 1);
      const box = (index + 1) % workers;
      const packed = range[0] | ((range[1] - 1) << 20);
      if (next(4) !== 0 || Atomics.compareExchange(boxes, box, 0, packed) !== 0) give(range);
    } else {
      const size = 1 + next(1 << next(7));
      const pfn = iovaAllocateFast(domain, size, limit, true);
      if (pfn === 0) {
        ++failed;
        continue;
      }
      for (let page = pfn; page < pfn + size; ++page) if (Atomics.exchange(marks, page, owner) !== 0) ++doubles;
      live.push([pfn, size]);
    }
  }
  for (const range of live) give(range);
  return { steps, doubles, failed };
}
