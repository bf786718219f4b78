import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { OP, type Operations, SHAPE } from './operations.js';

/**
 * State at the start of the trace, inferred from later events:
 *
 *   - what ends without having begun was live;
 *   - everything above the lowest address counts as taken: coherent memory of the probe never shows;
 *   - an address that is handed out for the first time came from the tree where it is the next below everything that is taken,
 *     else out of the magazine of the CPU that got it; one that is too long for a magazine was a hole.
 */

/** Largest size that magazines keep, as a power of two of pages (IOVA_RANGE_CACHE_MAX_SIZE). */
const MAX_ORDER = 5;
const TOP_32BIT = 0x100000;
/** The window of message signalled interrupts (Intel SDM vol. 3), which no domain hands out. */
export const MSI_WINDOW: readonly [number, number] = [0xfee00, 0xfeeff];

export type Translation = 'iommu' | 'direct' | 'swiotlb';

/** An address space: a device alone, or a group of devices. */
export interface InferredSpace {
  devices: number[];
  translation: Translation;
  /** First pfn that counts as taken at the begin, up to 4 GiB; above it everything is, but for the rest of this. */
  floor: number;
  /** Live at the begin: first page and pages. */
  live: { page: number; pages: number }[];
  /** By CPU and order, in the order in which they were handed out. */
  cached: { cpu: number; order: number; pfns: number[] }[];
  /** Free at the begin, above the floor: first page and pages. */
  holes: { page: number; pages: number }[];
  /** First allocations that the tree explains. */
  fromTree: number;
  /** Highest page of the space, for the device's mask. */
  highest: number;
}

export function orderOf(pages: number): number {
  return pages <= 1 ? 0 : Math.ceil(Math.log2(pages));
}

interface FirstUse {
  cpu: number;
  order: number;
  page: number;
  pages: number;
  how: 'tree' | 'cached' | 'hole';
}

/**
 * @param forced calls whose address is taken to have come out of a magazine, whatever the tree would have given: what a replay
 *   that did not match has taught
 */
export function infer(
  operations: Operations,
  order: Int32Array,
  forced: ReadonlySet<number> = new Set(),
): InferredSpace[] {
  const spaceOf = spaces(operations);
  const found: InferredSpace[] = [];
  for (const devices of spaceOf) found.push(inferSpace(operations, order, devices, forced));
  return found;
}

/**
 * Calls that can be compared: without translation the address is the physical one, and that of coherent memory is not known.
 * @returns by device whether its coherent memory is among them
 */
export function comparesCoherent(spaces: readonly InferredSpace[]): boolean[] {
  const compares: boolean[] = [];
  for (const { devices, translation } of spaces)
    for (const device of devices) compares[device] = translation === 'iommu';
  return compares;
}

/** Devices by space. */
function spaces({ devices, groups }: Operations): number[][] {
  const byGroup = new Map<number, number[]>();
  const all: number[][] = [];
  devices.forEach((_, device) => {
    const group = groups.get(device);
    const known = group === undefined ? undefined : byGroup.get(group);
    if (known) known.push(device);
    else {
      const members = [device];
      all.push(members);
      if (group !== undefined) byGroup.set(group, members);
    }
  });
  return all;
}

function inferSpace(o: Operations, order: Int32Array, devices: number[], forced: ReadonlySet<number>): InferredSpace {
  const mine = new Set(devices);
  const space: InferredSpace = {
    ...{ devices, translation: translationOf(o, mine), floor: TOP_32BIT, live: [], cached: [], holes: [] },
    ...{ fromTree: 0, highest: 0 },
  };
  if (space.translation !== 'iommu') return space;
  const firsts: FirstUse[] = [];
  /** Pages that an earlier event has shown. */
  const shown = new Set<number>();
  let low = TOP_32BIT;
  for (const call of order) {
    if (!mine.has(o.device[call]) || (o.op[call] !== OP.MAP && o.op[call] !== OP.UNMAP)) continue;
    const page = Math.floor(o.address[call] / PAGE);
    const pages = o.pages[call];
    space.highest = Math.max(space.highest, page + pages - 1);
    if (o.op[call] === OP.UNMAP) {
      if (o.of[call] === -1 && !shown.has(page)) space.live.push({ page, pages });
      shown.add(page);
      continue;
    }
    if (shown.has(page)) continue;
    shown.add(page);
    const size = pages < 32 ? 2 ** orderOf(pages) : pages;
    const use: FirstUse = { cpu: o.cpu[call], order: orderOf(pages), page, pages: size, how: 'cached' };
    const next = below(low, size, 2 ** orderOf(pages));
    if (page === next && !forced.has(call)) {
      use.how = 'tree';
      low = page;
    } else if (page < low) {
      // The next below everything is elsewhere: what was taken for it before was cached.
      for (const it of firsts) if (it.how === 'tree') it.how = it.order > MAX_ORDER ? 'hole' : 'cached';
      low = page;
      space.floor = page;
    }
    if (use.how === 'cached' && use.order > MAX_ORDER) use.how = 'hole';
    firsts.push(use);
  }
  for (const { page } of space.live) space.floor = Math.min(space.floor, page);
  for (const use of firsts) {
    if (use.how === 'tree') {
      if (use.page >= space.floor) space.holes.push({ page: use.page, pages: use.pages });
      ++space.fromTree;
    } else if (use.how === 'hole') space.holes.push({ page: use.page, pages: use.pages });
    else {
      let list = space.cached.find(({ cpu, order: k }) => cpu === use.cpu && k === use.order);
      if (list === undefined) space.cached.push((list = { cpu: use.cpu, order: use.order, pfns: [] }));
      list.pfns.push(use.page);
    }
  }
  return space;
}

/** Where the tree places a range below everything that is taken. */
function below(low: number, size: number, alignment: number): number {
  let page = low - size;
  page -= page % alignment;
  if (page <= MSI_WINDOW[1] && page + size > MSI_WINDOW[0]) {
    page = MSI_WINDOW[0] - size;
    page -= page % alignment;
  }
  return page;
}

/** How addresses of a space are made, from how they differ from the memory's. */
function translationOf(o: Operations, devices: ReadonlySet<number>): Translation {
  let same = 0;
  let moved = 0;
  let shifted = 0;
  for (let call = 0; call < o.length; ++call) {
    if (o.op[call] !== OP.MAP || !devices.has(o.device[call]) || Number.isNaN(o.physical[call])) continue;
    if (o.shape[call] === SHAPE.COHERENT) continue;
    if (o.address[call] === o.physical[call]) ++same;
    else if (o.address[call] % PAGE === o.physical[call] % PAGE) ++moved;
    else ++shifted;
  }
  if (shifted > 0 || (o.bounced > 0 && !o.hasIommu)) return 'swiotlb';
  if (moved > 0) return o.hasIommu || same === 0 ? 'iommu' : 'swiotlb';
  return same > 0 ? 'direct' : o.hasIommu ? 'iommu' : 'direct';
}
