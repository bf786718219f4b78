import {
  CACHE_L3_LLC,
  CACHE_LLC,
  CACHE_NONE,
  CACHE_WT,
  PLATFORM_BYT,
  PLATFORM_GEN8,
  PLATFORM_HSW,
  PLATFORM_HSW_EDRAM,
  PLATFORM_IVB,
  PLATFORM_SNB,
} from '../../src/core/generated/constants.js';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { debug } from '../core/debug.js';

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

/** assembly/gtt/pte.ts. */
export const PLATFORM = {
  SNB: PLATFORM_SNB,
  IVB: PLATFORM_IVB,
  BYT: PLATFORM_BYT,
  HSW: PLATFORM_HSW,
  HSW_EDRAM: PLATFORM_HSW_EDRAM,
  GEN8: PLATFORM_GEN8,
} as const;
export const CACHE = { NONE: CACHE_NONE, LLC: CACHE_LLC, L3_LLC: CACHE_L3_LLC, WT: CACHE_WT } as const;

/** How a device reaches memory: without an IOMMU, behind one, or behind one as in 2015 with a segment an entry. */
export type Path = 'direct' | 'iommu' | 'iommu-2015';

export interface Host {
  core: Core;
  context: ContextHandle;
  device: DmaDevice;
  domain: DmaDomain | undefined;
}

/** A machine on the debug core, whose assertions trap, with one device and scattered RAM. */
export function host(path: Path, pages = 16384): Host {
  const core = new Core(debug);
  const context = made(core.exports.machineCreate(512 * MiB, 1, pages, 65536, 3));
  const base = { core, context };
  const domain = path === 'direct' ? undefined : new DmaDomain(base, { mergeSegments: path === 'iommu' });
  const device = new DmaDevice(base, { maskBits: 39, maxSegment: 2 ** 31, ...(domain && { domain }) });
  return { ...base, device, domain };
}

/** A table of pages of its own, mapped for the host's device. */
export function mapped({ core, context, device }: Host, pages: number): ScatterTable {
  const table = ScatterTable.allocate({ core, context }, pages);
  if (device.mapSg(table, DMA_BIDIRECTIONAL) === 0) throw new Error(`not mapped: ${device.reason}`);
  return table;
}

/** A seeded generator (mulberry32) of whole numbers below a bound. */
export function random(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % bound;
  };
}
