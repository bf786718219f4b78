import { PAGE_SIZE as PAGE, PAGE_MASK, SET_SLOTS, SLOT_SIZE } from '../../core/generated/constants.js';
import type { InferredSpace } from './infer.js';
import { OP, type Operations, SHAPE } from './operations.js';

/**
 * The bounce pool of a trace, inferred from the addresses that were handed out. Each area is searched next-fit from where its
 * last allocation ended (kernel/dma/swiotlb.c), so the first slot of an area shows its index, and free slots that a search
 * passed over were taken when the trace began.
 */

export { SLOT_SIZE as SLOT };

/** swiotlb's default size, IO_TLB_DEFAULT_SIZE. */
const DEFAULT_SIZE = 64 * 1024 ** 2;
/** Most slots that a search may have passed over. */
const MAX_PASSED = 256;

export interface InferredPool {
  base: number;
  size: number;
  areas: number;
  /** Slot within the area at which each goes on searching. */
  indices: number[];
  /** Slots of the pool that were taken when the trace began. */
  taken: number[];
  /** Whether everything bounces, or only what lies beyond a 32-bit mask. */
  force: boolean;
  /** By device: low bits that bouncing keeps (min_align_mask). */
  minAlignMasks: Map<number, number>;
}

/** Whether a call went through the pool. */
export function bounced(o: Operations, call: number): boolean {
  return o.op[call] === OP.MAP && o.shape[call] === SHAPE.PAGE && o.address[call] !== o.physical[call];
}

/** undefined for a trace in which nothing was bounced. */
export function inferPool(
  o: Operations,
  order: Int32Array,
  spaces: readonly InferredSpace[],
  shift = 0,
): InferredPool | undefined {
  const devices = new Set(spaces.filter(({ translation }) => translation === 'swiotlb').flatMap((it) => it.devices));
  if (devices.size === 0) return undefined;
  const areas = 2 ** Math.ceil(Math.log2(Math.max(1, o.cpus)));
  let size = DEFAULT_SIZE;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = 0;
  const lowestOfArea = new Array<number>(areas).fill(Number.POSITIVE_INFINITY);
  let direct = 0;
  const aligned = new Map<number, number>();
  for (const call of order) {
    if (!devices.has(o.device[call]) || o.op[call] !== OP.MAP || o.shape[call] !== SHAPE.PAGE) continue;
    if (!bounced(o, call)) {
      ++direct;
      continue;
    }
    const first = o.address[call];
    lowest = Math.min(lowest, first);
    highest = Math.max(highest, first + o.size[call]);
    const area = o.cpu[call] & (areas - 1);
    lowestOfArea[area] = Math.min(lowestOfArea[area], first);
    // A device whose addresses always keep their offset in the page has asked for that.
    const kept = aligned.get(o.device[call]) ?? PAGE_MASK;
    aligned.set(o.device[call], kept & ~(first ^ o.physical[call]) & PAGE_MASK);
  }
  if (!(lowest < Number.POSITIVE_INFINITY)) return undefined;
  while (highest - lowest > size) size *= 2;
  const areaBytes = size / areas;
  // The pool begins below the lowest address of each CPU's own area.
  let base = lowest;
  lowestOfArea.forEach((at, area) => {
    if (at < Number.POSITIVE_INFINITY) base = Math.min(base, at - area * areaBytes);
  });
  base = Math.max(PAGE, Math.floor(base / PAGE) * PAGE - shift * PAGE);
  const pool: InferredPool = {
    ...{ base, size, areas, indices: new Array<number>(areas).fill(0), taken: [], force: direct === 0 },
    minAlignMasks: new Map([...aligned].map(([device, kept]) => [device, kept === PAGE_MASK ? PAGE_MASK : 0])),
  };
  replayIndices(o, order, devices, pool);
  return pool;
}

function replayIndices(o: Operations, order: Int32Array, devices: ReadonlySet<number>, pool: InferredPool): void {
  const areaSlots = pool.size / SLOT_SIZE / pool.areas;
  const used = new Uint8Array(pool.size / SLOT_SIZE);
  const index = new Array<number>(pool.areas).fill(-1);
  const atBegin = new Set<number>();
  const slotOf = (address: number): number => Math.floor((address - pool.base) / SLOT_SIZE);
  const slotsOf = (call: number, keep: number): number =>
    Math.ceil((o.size[call] + (o.address[call] & keep & (SLOT_SIZE - 1))) / SLOT_SIZE);
  // What ends without having begun was there.
  for (const call of order) {
    if (o.op[call] !== OP.UNMAP || o.of[call] !== -1 || !devices.has(o.device[call])) continue;
    const slot = slotOf(o.address[call]);
    if (slot < 0 || slot >= used.length) continue;
    const n = slotsOf(call, pool.minAlignMasks.get(o.device[call]) ?? 0);
    for (let i = slot; i < Math.min(used.length, slot + n); ++i) {
      used[i] = 1;
      atBegin.add(i);
    }
  }
  for (const call of order) {
    if (!devices.has(o.device[call])) continue;
    const keep = pool.minAlignMasks.get(o.device[call]) ?? 0;
    if (o.op[call] === OP.UNMAP) {
      const begun = o.of[call];
      if (begun >= 0 && !bounced(o, begun)) continue;
      const slot = slotOf(o.address[call]);
      const n = slotsOf(call, keep);
      for (let i = Math.max(0, slot); i < Math.min(used.length, slot + n); ++i) used[i] = 0;
      continue;
    }
    if (!bounced(o, call)) continue;
    const slot = slotOf(o.address[call]);
    const n = slotsOf(call, keep);
    const area = Math.floor(slot / areaSlots);
    if (area < 0 || area >= pool.areas) continue;
    const first = area * areaSlots;
    if (index[area] < 0) {
      pool.indices[area] = slot - first;
      index[area] = slot - first;
    }
    // Where the search would have stopped before was taken.
    let at = first + index[area];
    for (let passed = 0; passed < MAX_PASSED && at !== slot; ++passed) {
      if (
        used[at] === 0 &&
        (keep === 0 || (at - slot) % 2 === 0) &&
        fits(used, at, n, o.size[call], first, areaSlots, keep)
      ) {
        used[at] = 1;
        if (!atBegin.has(at)) {
          pool.taken.push(at);
          atBegin.add(at);
        }
      }
      at = at + 1 === first + areaSlots ? first : at + 1;
    }
    for (let i = slot; i < Math.min(used.length, slot + n); ++i) used[i] = 1;
    const next = slot - first + n;
    index[area] = next < areaSlots ? next : 0;
  }
  for (const slot of atBegin) if (!pool.taken.includes(slot)) pool.taken.push(slot);
}

function fits(
  used: Uint8Array,
  at: number,
  n: number,
  size: number,
  first: number,
  areaSlots: number,
  keep: number,
): boolean {
  // Without a mask of its own, what is as long as a page begins at one.
  if (keep === 0 && size >= PAGE && at % 2 !== 0) return false;
  if (at + n > first + areaSlots || (at % SET_SLOTS) + n > SET_SLOTS) return false;
  for (let i = at; i < at + n; ++i) if (used[i] !== 0) return false;
  return true;
}
