import { DMA_BIDIRECTIONAL, PAGE_SIZE as PAGE, SG_MAX_ENTRY } from '../../core/generated/constants.js';
import type { DmaDeviceHandle, SgTableHandle } from '../../core/generated/exports.js';
import type { JobContext } from '../../threads/protocol.js';
import { Random } from '../engine/random.js';

/**
 * What a worker of `stress --threads` does: maps and unmaps pages and lists for a device that all workers share, and
 * marks every DMA page that it holds, so that a page with two owners is seen at the moment when it happens.
 */
export interface HammerData {
  /** Handle of the shared device. */
  device: DmaDeviceHandle;
  seed: number;
  operations: number;
  /** Most mappings that a worker holds. */
  held: number;
  /** Longest list in pages. */
  pages: number;
  /** One word per page of the addresses that the device can be given: the worker that holds it, 0 for none. */
  marks: Int32Array;
}

export interface HammerReply {
  operations: number;
  /** DMA pages that another worker held when this one got them, or not its own when it gave them back. */
  doubles: number;
  /** Mappings refused. */
  refused: number;
  mapped: number;
}

/** One mapping: of a table, or, where that is 0, of a page. */
interface Held {
  table: SgTableHandle | 0;
  address: number;
  pfn: number;
}

/** Operations between two checks whether the pool is to stop. */
const BATCH = 256;

export default function hammer({ core, context, index, stopped }: JobContext, data: HammerData): HammerReply {
  const { device, marks, operations } = data;
  const { blockAlloc, blockFree, dmaMapPage, dmaMapSg, dmaUnmapPage, dmaUnmapSg } = core.exports;
  const {
    pagesAlloc,
    pagesFree,
    sgAllocPages,
    sgDestroy,
    sgDmaSegmentAddress,
    sgDmaSegmentLength,
    sgNents,
    sgOrigNents,
  } = core.exports;
  const random = new Random(data.seed + index);
  const owner = index + 1;
  const staging = blockAlloc(context, 0);
  const held: Held[] = [];
  const reply: HammerReply = { operations: 0, doubles: 0, refused: 0, mapped: 0 };

  const markRange = (from: number, to: number, address: number, length: number): void => {
    for (let page = address / PAGE, end = (address + length) / PAGE; page < end; ++page) {
      if (Atomics.exchange(marks, page, to) !== from) ++reply.doubles;
    }
  };
  const mark = (from: number, to: number, item: Held): void => {
    const { table } = item;
    if (table === 0) {
      markRange(from, to, item.address, PAGE);
      return;
    }
    const segments = sgNents(table);
    for (let i = 0; i < segments; ++i) markRange(from, to, sgDmaSegmentAddress(table, i), sgDmaSegmentLength(table, i));
  };
  const keep = (item: Held): void => {
    mark(0, owner, item);
    held.push(item);
    ++reply.mapped;
  };
  const end = (item: Held): void => {
    mark(owner, 0, item);
    if (item.table !== 0) {
      dmaUnmapSg(device, item.table, sgOrigNents(item.table), DMA_BIDIRECTIONAL, 0);
      sgDestroy(item.table);
    } else {
      dmaUnmapPage(device, item.address, PAGE, DMA_BIDIRECTIONAL, 0);
      giveFrame(item.pfn);
    }
  };
  const giveFrame = (pfn: number): void => {
    core.writeWord(staging, pfn);
    pagesFree(context, 1, staging);
  };
  const mapPage = (): void => {
    if (pagesAlloc(context, 1, staging) < 0) return;
    const pfn = core.readWord(staging);
    const address = dmaMapPage(device, pfn, 0, PAGE, DMA_BIDIRECTIONAL, 0);
    if (address >= 0) keep({ table: 0, address, pfn });
    else {
      giveFrame(pfn);
      ++reply.refused;
    }
  };
  const mapList = (): void => {
    const pages = 1 + random.below(data.pages);
    const table = sgAllocPages(context, pages, 0, SG_MAX_ENTRY);
    if (table === 0) return;
    if (dmaMapSg(device, table, DMA_BIDIRECTIONAL, 0) > 0) keep({ table, address: 0, pfn: 0 });
    else {
      sgDestroy(table);
      ++reply.refused;
    }
  };

  while (reply.operations < operations && !(reply.operations % BATCH === 0 && stopped())) {
    ++reply.operations;
    if (held.length >= data.held || (held.length > 0 && random.below(5) < 2)) {
      const at = random.below(held.length);
      const item = held[at];
      held[at] = held[held.length - 1];
      held.pop();
      end(item);
    } else if (random.oneIn(4)) mapList();
    else mapPage();
  }
  for (const item of held) end(item);
  blockFree(context, staging);
  return reply;
}
