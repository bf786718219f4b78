import { PAGE_MASK, PAGE_SIZE } from '../../core/generated/constants.js';
import { type BatchWriter, EVENT, type EventNumber, ROW } from '../batches/batch.js';
import type { Gaps } from '../batches/completeness.js';
import { ATTR_MMIO, type EventBody } from './body.js';

/** The tracepoints that are read, by the names that kernels have given them, and how their fields become rows. */

/** Fields that an event must have. */
const NEEDS_ADDRESS = 1;
const NEEDS_SIZE = 2;
const NEEDS_DEVICE = 4;
const NEEDS_LIST = 8;

interface EventRule {
  kind: EventNumber;
  needs: number;
}

const rule = (kind: EventNumber, needs: number): EventRule => ({ kind, needs });
const MAPPING = NEEDS_DEVICE | NEEDS_ADDRESS | NEEDS_SIZE;

/** Events of a trace that change nothing here; they are counted, not understood as anything. */
export const EVENT_RULES: Readonly<Record<string, EventRule>> = {
  map: rule(EVENT.IOMMU_MAP, NEEDS_ADDRESS | NEEDS_SIZE),
  unmap: rule(EVENT.IOMMU_UNMAP, NEEDS_ADDRESS | NEEDS_SIZE),
  ...{ dma_map_page: rule(EVENT.MAP_PAGE, MAPPING), dma_unmap_page: rule(EVENT.UNMAP_PAGE, MAPPING) },
  ...{ dma_map_phys: rule(EVENT.MAP_PAGE, MAPPING), dma_unmap_phys: rule(EVENT.UNMAP_PAGE, MAPPING) },
  ...{ dma_map_resource: rule(EVENT.MAP_RESOURCE, MAPPING), dma_unmap_resource: rule(EVENT.UNMAP_RESOURCE, MAPPING) },
  ...{ dma_alloc: rule(EVENT.ALLOC, MAPPING), dma_free: rule(EVENT.FREE, MAPPING) },
  ...{ dma_alloc_pages: rule(EVENT.ALLOC_PAGES, MAPPING), dma_free_pages: rule(EVENT.FREE_PAGES, MAPPING) },
  ...{ dma_alloc_sgt: rule(EVENT.ALLOC_SGT, MAPPING), dma_free_sgt: rule(EVENT.FREE_SGT, MAPPING) },
  dma_map_sg: rule(EVENT.MAP_SG, NEEDS_DEVICE | NEEDS_LIST),
  dma_unmap_sg: rule(EVENT.UNMAP_SG, NEEDS_DEVICE | NEEDS_LIST),
  ...{ dma_map_sg_err: rule(EVENT.MAP_ERROR, NEEDS_DEVICE), dma_alloc_sgt_err: rule(EVENT.MAP_ERROR, NEEDS_DEVICE) },
  ...{ map_single: rule(EVENT.MAP_PAGE, MAPPING), unmap_single: rule(EVENT.UNMAP_PAGE, MAPPING) },
  ...{ bounce_map_single: rule(EVENT.MAP_PAGE, MAPPING), bounce_unmap_single: rule(EVENT.UNMAP_PAGE, MAPPING) },
  ...{ map_sg: rule(EVENT.MAP_SG, MAPPING), bounce_map_sg: rule(EVENT.MAP_SG, MAPPING) },
  ...{ unmap_sg: rule(EVENT.UNMAP_SG, MAPPING) },
  ...{ dma_sync_single_for_cpu: rule(EVENT.SYNC, MAPPING), dma_sync_single_for_device: rule(EVENT.SYNC, MAPPING) },
  swiotlb_bounced: rule(EVENT.BOUNCED, MAPPING),
  io_page_fault: rule(EVENT.FAULT, NEEDS_DEVICE | NEEDS_ADDRESS),
  add_device_to_group: rule(EVENT.GROUP, NEEDS_DEVICE),
  cache_tag_flush_all: rule(EVENT.FLUSH, 0),
};

const hashes = new Map<number, EventRule>();
for (const [name, it] of Object.entries(EVENT_RULES)) {
  let hash = 0;
  for (let i = 0; i < name.length; ++i) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  hashes.set(hash, it);
}

/** The rule of an event's name; undefined for events that are not read. */
export function ruleOf(bytes: Uint8Array, start: number, end: number): EventRule | undefined {
  let hash = 0;
  for (let i = start; i < end; ++i) hash = (Math.imul(hash, 31) + bytes[i]) | 0;
  return hashes.get(hash);
}

const LAST_PAGE = 2 ** 52 - 1;
const MAPS: ReadonlySet<number> = new Set([EVENT.MAP_PAGE, EVENT.MAP_RESOURCE, EVENT.ALLOC, EVENT.ALLOC_PAGES]);

/** AMD-Vi's IO_PAGE_FAULT flag RW (AMD I/O Virtualization Technology Specification 48882, section 2.5.3). */
const FAULT_RW = 0x20;

/** What the body lacks for its event, '' for nothing. */
export function missing({ needs }: EventRule, body: EventBody): string {
  if ((needs & NEEDS_ADDRESS) !== 0 && !body.hasAddress) return 'the device address is missing';
  if ((needs & NEEDS_SIZE) !== 0 && !body.hasSize) return 'the size is missing';
  if ((needs & NEEDS_DEVICE) !== 0 && body.deviceEnd === 0) return 'the device is missing';
  if ((needs & NEEDS_LIST) !== 0 && body.phys.count === 0 && !body.hasAddress) return 'the list is missing';
  return '';
}

/** Writes the row of an event. `device` is the number of its device's name. */
export function writeEvent(
  writer: BatchWriter,
  gaps: Gaps,
  { kind: named }: EventRule,
  body: EventBody,
  { time, cpu, task }: { time: number; cpu: number; task: number },
  device: number,
): void {
  let kind = named;
  // Newer kernels have one pair of events for memory and registers, distinguished by an attribute.
  if ((body.attrs & ATTR_MMIO) !== 0) {
    if (kind === EVENT.MAP_PAGE) kind = EVENT.MAP_RESOURCE;
    else if (kind === EVENT.UNMAP_PAGE) kind = EVENT.UNMAP_RESOURCE;
  }
  // DMA_MAPPING_ERROR, which dma_map_page events have like any other address.
  if (body.page === LAST_PAGE && body.offset === PAGE_MASK && MAPS.has(kind)) kind = EVENT.MAP_ERROR;
  const row = writer.row(kind, time, cpu, task);
  const c = writer.columns;
  c.device[row] = device;
  c.direction[row] = body.direction;
  c.attrs[row] = body.attrs;
  c.physical[row] = body.physical;
  c.size[row] = body.size;
  let flags = 0;
  if (body.hasSize) flags |= ROW.SIZE;
  if (body.hasAddress) {
    flags |= ROW.ADDRESS;
    c.page[row] = body.page;
    c.offset[row] = body.offset;
  }
  if (kind === EVENT.IOMMU_UNMAP) c.extra[row] = body.unmapped < 0 ? body.size : body.unmapped;
  else if (kind === EVENT.BOUNCED) {
    c.extra[row] = body.mask;
    // The event has the buffer's own address; the map event has the address of its slots.
    c.physical[row] = body.page * PAGE_SIZE + body.offset;
    if (body.forced) flags |= ROW.WRITE;
  } else if (kind === EVENT.GROUP) c.extra[row] = body.group;
  else if (kind === EVENT.FAULT) {
    c.extra[row] = body.faultFlags;
    if ((body.faultFlags & FAULT_RW) !== 0) flags |= ROW.WRITE;
  } else if (kind === EVENT.MAP_SG || kind === EVENT.UNMAP_SG || kind === EVENT.MAP_ERROR) {
    flags |= writeLists(writer, row, body);
    if (body.truncated) {
      flags |= ROW.TRUNCATED;
      ++gaps.truncatedLists;
    }
    if (body.index > 1) flags |= ROW.CONTINUES;
  } else if (body.phys.count > 0) flags |= writeLists(writer, row, body);
  c.flags[row] = flags;
}

function writeLists(writer: BatchWriter, row: number, { phys, addresses, lengths, nents }: EventBody): number {
  const c = writer.columns;
  c.entries[row] = phys.count;
  c.extra[row] = nents < 0 ? phys.count : nents;
  const segments = Math.min(addresses.count, lengths.count);
  c.segments[row] = segments;
  for (let i = 0; i < phys.count; ++i) writer.value(phys.values[i]);
  for (let i = 0; i < segments; ++i) writer.value(addresses.values[i]);
  let size = 0;
  for (let i = 0; i < segments; ++i) {
    writer.value(lengths.values[i]);
    size += lengths.values[i];
  }
  if (segments === 0) return 0;
  c.page[row] = Math.floor(addresses.values[0] / PAGE_SIZE);
  c.offset[row] = addresses.values[0] % PAGE_SIZE;
  c.physical[row] = phys.values[0];
  c.size[row] = size;
  return ROW.ADDRESS | ROW.SIZE;
}
