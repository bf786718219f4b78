import { DIRECTIONS, MAPPING_TYPES, type PayloadView, type VerdictRecord } from '../core/dma-debug-records.js';
import { FIRST_OWN_CHECK } from '../core/generated/constants.js';
import { CHECKS as NUMBERS } from '../core/generated/names.js';
import {
  CachelineView,
  FreedFrameView,
  LeakCountView,
  LinksLeftView,
  MappedCountView,
  MappedMemoryView,
  ObjectMappingsView,
  PoolSizeView,
  RangesLeftView,
  SegmentBoundaryView,
  SegmentLengthView,
  StalePteView,
  SyncCountView,
  SyncDirectionView,
  UnmapCountView,
  UnmapCpuAddressView,
  UnmapDirectionView,
  UnmapTypeView,
} from '../core/generated/records.js';

/**
 * Every check of dma-debug: its stable identifier, its payload and its text. The number and the payload class of a check are defined
 * by the core, beside its rule in assembly/dma-debug.
 */

export type CheckId =
  | 'UNMAP_INVALID'
  | 'UNMAP_UNKNOWN'
  | 'UNMAP_SIZE'
  | 'UNMAP_TYPE'
  | 'UNMAP_CPUADDR'
  | 'UNMAP_SGCOUNT'
  | 'UNMAP_DIR'
  | 'UNMAP_UNCHECKED'
  | 'SYNC_UNKNOWN'
  | 'SYNC_RANGE'
  | 'SYNC_DIR'
  | 'SYNC_RO_FOR_CPU'
  | 'SYNC_WO_FOR_DEV'
  | 'SYNC_SGCOUNT'
  | 'MAP_STACK'
  | 'MAP_TEXT'
  | 'MAP_INVALID'
  | 'MAP_VMALLOC'
  | 'SEG_LEN'
  | 'SEG_BOUNDARY'
  | 'CACHELINE_OVERLAP'
  | 'CACHELINE_OVERFLOW'
  | 'CPU_TOUCH'
  | 'LEAK_ON_UNBIND'
  | 'OOM_DISABLED'
  | 'CACHELINE_ENOMEM'
  | 'POOL_GROWN'
  | 'REJECT_VMALLOC'
  | 'DOUBLE_MAP'
  | 'ADDRESS_OVERWRITTEN'
  | 'FREED_WHILE_MAPPED'
  | 'OBJECT_GONE'
  | 'STALE_PTE'
  | 'UNMAP_MAPPED_COUNT'
  | 'LINK_OVERLAP'
  | 'LINK_OUTSIDE'
  | 'LINKS_LEFT'
  | 'RANGE_LEFT';

/** Values of a verdict, by name: addresses and sizes as numbers, directions and types by their names. */
export type CheckData = Readonly<Record<string, unknown>>;

export interface Check {
  id: CheckId;
  /** The core's number for it. */
  number: number;
  /** The kernel's checker has it too (kernel/dma/debug.c). */
  kernel: boolean;
  /** DMA API call at which it is found, the `syscall` of a strict error. */
  call: string;
  /** Reads its payload; null for a check without one. */
  view: PayloadView | null;
  data(verdict: VerdictRecord): CheckData;
  /** One sentence: what the driver did wrong. */
  say(data: CheckData, verdict: VerdictRecord): string;
}

export function hex(value: unknown): string {
  return value === -1 ? 'DMA_MAPPING_ERROR' : `0x${(value as number).toString(16)}`;
}

const dir = (code: number): string => DIRECTIONS[code] ?? `direction ${code}`;
const type = (code: number): string => MAPPING_TYPES[code] ?? `type ${code}`;
const nothing = (): CheckData => ({});
const range = ({ address, size }: VerdictRecord): CheckData => ({ deviceAddress: address, size });
const place = (_: VerdictRecord, { phys, length }: ReturnType<MappedMemoryView['payload']>): CheckData => ({
  address: phys,
  size: length,
});
const synced = (
  { address, mapping }: VerdictRecord,
  { mapped, synced }: ReturnType<SyncDirectionView['payload']>,
): CheckData => ({
  deviceAddress: address,
  size: mapping?.size,
  mappedDir: dir(mapped),
  syncedDir: dir(synced),
});
const overMapping = ({ address, size, mapping }: VerdictRecord): CheckData => ({
  deviceAddress: address,
  size,
  liveAddress: mapping?.address,
  liveSize: mapping?.size,
  object: mapping?.by.object,
});

function check<P extends object>(
  id: CheckId,
  call: string,
  view: PayloadView<P> | null,
  data: (verdict: VerdictRecord, payload: P) => CheckData,
  say: (data: CheckData, payload: P) => string,
): Check {
  const number = NUMBERS[id];
  // drain gave the record what this view reads.
  const payloadOf = (verdict: VerdictRecord): P => verdict.payload as P;
  return {
    ...{ id, number, kernel: number < FIRST_OWN_CHECK, call, view },
    data: (verdict) => data(verdict, payloadOf(verdict)),
    say: (told, verdict) => say(told, payloadOf(verdict)),
  };
}

export const CHECKS: readonly Check[] = [
  check(
    'UNMAP_INVALID',
    'dma_unmap',
    null,
    nothing,
    () => 'unmaps DMA_MAPPING_ERROR: the mapping had failed and was not checked',
  ),
  check(
    'UNMAP_UNKNOWN',
    'dma_unmap',
    null,
    range,
    (x) => `unmaps ${x.size} bytes at ${hex(x.deviceAddress)}, where this device has no mapping`,
  ),
  check(
    'UNMAP_SIZE',
    'dma_unmap',
    null,
    ({ address, size, mapping }) => ({ deviceAddress: address, mapSize: mapping?.size, unmapSize: size }),
    (x) => `unmaps ${x.unmapSize} bytes at ${hex(x.deviceAddress)}, mapped were ${x.mapSize}`,
  ),
  check(
    'UNMAP_TYPE',
    'dma_unmap',
    UnmapTypeView,
    ({ address, size }, { mappedAs, unmappedAs }) => ({
      deviceAddress: address,
      size,
      mappedAs: type(mappedAs),
      unmappedAs: type(unmappedAs),
    }),
    (x) => `unmaps ${hex(x.deviceAddress)} as ${x.unmappedAs}, it was mapped as ${x.mappedAs}`,
  ),
  check(
    'UNMAP_CPUADDR',
    'dma_free_coherent',
    UnmapCpuAddressView,
    ({ address, size }, { allocated, freed }) => ({
      deviceAddress: address,
      size,
      cpuAllocAddress: allocated,
      cpuFreeAddress: freed,
    }),
    (x) =>
      `frees ${hex(x.deviceAddress)} with the CPU address of ${hex(x.cpuFreeAddress)}, allocated was ${hex(x.cpuAllocAddress)}`,
  ),
  check(
    'UNMAP_SGCOUNT',
    'dma_unmap_sg',
    UnmapCountView,
    (_, counts) => counts,
    (x) => `unmaps a list of ${x.mapCount} entries as ${x.unmapCount}`,
  ),
  check(
    'UNMAP_DIR',
    'dma_unmap',
    UnmapDirectionView,
    ({ address, size }, { mapped, unmapped }) => ({
      deviceAddress: address,
      size,
      mappedDir: dir(mapped),
      unmappedDir: dir(unmapped),
    }),
    (x) => `unmaps ${hex(x.deviceAddress)} as ${x.unmappedDir}, it was mapped ${x.mappedDir}`,
  ),
  check(
    'UNMAP_UNCHECKED',
    'dma_unmap',
    UnmapTypeView,
    ({ address, size }, { mappedAs }) => ({ deviceAddress: address, size, mappedAs: type(mappedAs) }),
    (x) => `unmaps ${hex(x.deviceAddress)} without having asked dma_mapping_error about it`,
  ),
  check(
    'SYNC_UNKNOWN',
    'dma_sync',
    null,
    range,
    (x) => `syncs ${x.size} bytes at ${hex(x.deviceAddress)}, which no mapping covers`,
  ),
  check(
    'SYNC_RANGE',
    'dma_sync',
    null,
    ({ size, mapping }) => ({ deviceAddress: mapping?.address, size: mapping?.size, syncSize: size }),
    (x) => `syncs ${x.syncSize} bytes of the ${x.size} at ${hex(x.deviceAddress)}`,
  ),
  check(
    'SYNC_DIR',
    'dma_sync',
    SyncDirectionView,
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} as ${x.syncedDir}, it is mapped ${x.mappedDir}`,
  ),
  check(
    'SYNC_RO_FOR_CPU',
    'dma_sync_for_cpu',
    SyncDirectionView,
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} for the CPU, but the device only reads it (${x.mappedDir})`,
  ),
  check(
    'SYNC_WO_FOR_DEV',
    'dma_sync_for_device',
    SyncDirectionView,
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} for the device, which only writes it (${x.mappedDir})`,
  ),
  check(
    'SYNC_SGCOUNT',
    'dma_sync_sg',
    SyncCountView,
    (_, counts) => counts,
    (x) => `syncs a list of ${x.mapCount} entries as ${x.syncCount}`,
  ),
  check(
    'MAP_STACK',
    'dma_map',
    MappedMemoryView,
    place,
    (x) => `maps memory of the kernel stack, physical ${hex(x.address)}`,
  ),
  check(
    'MAP_TEXT',
    'dma_map',
    MappedMemoryView,
    place,
    (x) => `maps ${x.size} bytes of kernel text or read-only data, physical ${hex(x.address)}`,
  ),
  check(
    'MAP_INVALID',
    'dma_map_single',
    MappedMemoryView,
    place,
    (x) => `maps ${x.size} bytes at physical ${hex(x.address)}, which is no memory`,
  ),
  check(
    'MAP_VMALLOC',
    'dma_map_single',
    MappedMemoryView,
    place,
    (x) => `maps ${x.size} bytes of vmalloc memory, physical ${hex(x.address)}`,
  ),
  check(
    'SEG_LEN',
    'dma_map_sg',
    SegmentLengthView,
    (_, { length, most }) => ({ len: length, max: most }),
    (x) => `maps a segment of ${x.len} bytes, the device says it can take ${x.max}`,
  ),
  check(
    'SEG_BOUNDARY',
    'dma_map_sg',
    SegmentBoundaryView,
    ({ address }, { last, boundary }) => ({ start: address, end: last, boundary }),
    (x) => `maps a segment ${hex(x.start)}-${hex(x.end)} across the device's boundary ${hex(x.boundary)}`,
  ),
  check(
    'CACHELINE_OVERLAP',
    'dma_map',
    CachelineView,
    ({ address, size }, { cacheline }) => ({ deviceAddress: address, size, cacheline }),
    (x) => `maps at ${hex(x.deviceAddress)} a cacheline (${hex(x.cacheline)}) that another mapping lets a device write`,
  ),
  check(
    'CACHELINE_OVERFLOW',
    'dma_map',
    CachelineView,
    (_, { cacheline, limit }) => ({ limit, cacheline }),
    (x) => `more than ${x.limit} mappings overlap in cacheline ${hex(x.cacheline)}`,
  ),
  check(
    'CPU_TOUCH',
    'debug_dma_assert_idle',
    CachelineView,
    ({ address }, { cacheline }) => ({ deviceAddress: address, cacheline }),
    (x) => `the CPU writes to cacheline ${hex(x.cacheline)} while it is mapped at ${hex(x.deviceAddress)}`,
  ),
  check(
    'LEAK_ON_UNBIND',
    'driver_unbind',
    LeakCountView,
    ({ mapping }, { count }) => ({
      count,
      example: {
        deviceAddress: mapping?.address,
        size: mapping?.size,
        mappedDir: mapping?.direction,
        mappedAs: mapping?.type,
      },
    }),
    (x) => `the driver is gone and leaves ${x.count} mappings behind`,
  ),
  check(
    'OOM_DISABLED',
    'dma_map',
    PoolSizeView,
    nothing,
    (_, { total }) => `the kernel's checker is out of entries (${total}) and disabled for good`,
  ),
  check(
    'CACHELINE_ENOMEM',
    'dma_map',
    PoolSizeView,
    nothing,
    () => 'no memory to track a cacheline: the kernel disables its checker',
  ),
  check(
    'POOL_GROWN',
    'dma_map',
    PoolSizeView,
    (_, { total }) => ({ total }),
    (x) => `the kernel's pool has grown to ${x.total} entries`,
  ),
  check(
    'REJECT_VMALLOC',
    'dma_map_single',
    null,
    nothing,
    () => 'vmalloc memory or a stack is refused before it is mapped',
  ),
  check(
    'DOUBLE_MAP',
    'dma_map_sg',
    null,
    overMapping,
    (x) =>
      `maps a table again, to ${hex(x.deviceAddress)} (${x.size} bytes), that is still mapped at ${hex(x.liveAddress)} (${x.liveSize} bytes)`,
  ),
  check(
    'ADDRESS_OVERWRITTEN',
    'dma_map_sg',
    null,
    overMapping,
    (x) =>
      `overwrites the table's address ${hex(x.liveAddress)} with ${hex(x.deviceAddress)}: ${x.liveSize} bytes there can never be unmapped`,
  ),
  check(
    'FREED_WHILE_MAPPED',
    'free_pages',
    FreedFrameView,
    ({ size, mapping }, { phys }) => ({
      address: phys,
      size,
      liveAddress: mapping?.address,
      liveSize: mapping?.size,
      object: mapping?.by.object,
    }),
    (x) => `frees physical ${hex(x.address)} while the device reaches it through ${hex(x.liveAddress)}`,
  ),
  check(
    'OBJECT_GONE',
    'sg_free_table',
    ObjectMappingsView,
    ({ address, size }, { owner, mappings }) => ({ deviceAddress: address, size, object: owner, mappings }),
    (x) =>
      `drops the table of object ${x.object} with ${x.mappings} live mappings, the newest at ${hex(x.deviceAddress)}`,
  ),
  check(
    'STALE_PTE',
    'dma_unmap',
    StalePteView,
    ({ address, size }, { bindings }) => ({ deviceAddress: address, size, bindings }),
    (x) => `unmaps ${hex(x.deviceAddress)} while ${x.bindings} GPU bindings have PTEs that point there`,
  ),
  check(
    'UNMAP_MAPPED_COUNT',
    'dma_unmap_sg',
    MappedCountView,
    (_, counts) => counts,
    (x) =>
      `unmaps with the ${x.mappedCount} segments that dma_map_sg returned, due are the ${x.mapCount} entries given`,
  ),
  check(
    'LINK_OVERLAP',
    'dma_iova_link',
    null,
    overMapping,
    (x) =>
      `links ${x.size} bytes at ${hex(x.deviceAddress)}, where ${hex(x.liveAddress)} is linked: the tables keep that`,
  ),
  check(
    'LINK_OUTSIDE',
    'dma_iova_link',
    null,
    range,
    (x) => `links ${x.size} bytes at ${hex(x.deviceAddress)}, which are not all in address space that it reserved`,
  ),
  check(
    'LINKS_LEFT',
    'dma_iova_free',
    LinksLeftView,
    ({ address, size }, { links }) => ({ deviceAddress: address, size, links }),
    (x) => `gives ${x.size} bytes of address space at ${hex(x.deviceAddress)} back with ${x.links} live links in them`,
  ),
  check(
    'RANGE_LEFT',
    'device_unbind',
    RangesLeftView,
    (_, { reservations, links, bytes }) => ({ reservations, size: bytes, links }),
    (x) =>
      `leaves ${x.reservations} reservations of ${x.size} bytes of address space behind, ${x.links} live links in them`,
  ),
];

const byNumber = new Map(CHECKS.map((item) => [item.number, item]));
const byId = new Map(CHECKS.map((item) => [item.id, item]));

/** Reads the payload of a check, for DmaDebugRecords.drain. */
export function viewOf(number: number): PayloadView | null {
  return checkOf(number).view;
}

/** The check of a verdict record. */
export function checkOf(number: number): Check {
  const found = byNumber.get(number);
  if (!found) throw new Error(`verdict of a check without a name: ${number}`);
  return found;
}

export function checkById(id: CheckId): Check {
  return byId.get(id)!;
}
