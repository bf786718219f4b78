// A job of test/threads/dma.test.ts: maps and unmaps for a shared device in a seeded order, through the same domain as
// the other workers, and reports the DMA pages that it held at the end.

import { DMA_BIDIRECTIONAL, PAGE_SIZE as PAGE } from '../../../dist/core/generated/constants.js';

export default function dma({ core, context, index }, { device, rounds, seed, marks, order }) {
  const { dmaMapPage, dmaUnmapPage, dmaMapSg, dmaUnmapSg, pagesAlloc, pagesFree, blockAlloc, blockFree } = core.exports;
  const { sgAllocPages, sgDestroy, sgDmaSegmentAddress, sgNents, sgOrigNents } = core.exports;
  const staging = blockAlloc(context, 0);
  const owner = index + 1;
  const held = [];
  let random = seed * 31 + owner;
  let doubles = 0;
  let failed = 0;
  const next = (n) => {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    return (random >>> 0) % n;
  };
  const mark = (from, to, page, pages) => {
    for (let i = 0; i < pages; ++i) if (Atomics.exchange(marks, page + i, to) !== from) ++doubles;
  };
  const end = ({ address, pages, pfn, table }) => {
    mark(owner, 0, address / PAGE, pages);
    if (table) {
      dmaUnmapSg(device, table, sgOrigNents(table), DMA_BIDIRECTIONAL, 0);
      sgDestroy(table);
    } else {
      dmaUnmapPage(device, address, PAGE, DMA_BIDIRECTIONAL, 0);
      core.writeWord(staging, pfn);
      pagesFree(context, 1, staging);
    }
  };
  for (let step = 0; step < rounds; ++step) {
    if (held.length > 300 || (held.length > 0 && next(5) < 2)) {
      end(held.splice(next(held.length), 1)[0]);
    } else if (next(4) !== 0) {
      if (pagesAlloc(context, 1, staging) < 0) continue;
      const pfn = core.readWord(staging);
      const address = dmaMapPage(device, pfn, 0, PAGE, DMA_BIDIRECTIONAL, 0);
      if (address < 0) {
        ++failed;
        continue;
      }
      mark(0, owner, address / PAGE, 1);
      held.push({ address, pages: 1, pfn });
    } else {
      const pages = 1 + next(1 << order);
      const table = sgAllocPages(context, pages, 0, 0xfffff000);
      if (table === 0) continue;
      if (dmaMapSg(device, table, DMA_BIDIRECTIONAL, 0) <= 0 || sgNents(table) !== 1) {
        ++failed;
        continue;
      }
      const address = sgDmaSegmentAddress(table, 0);
      mark(0, owner, address / PAGE, pages);
      held.push({ address, pages, table });
    }
  }
  const pages = held.filter(({ table }) => !table).map(({ address }) => address / PAGE);
  for (const item of held) end(item);
  blockFree(context, staging);
  return { doubles, failed, pages };
}
