import { DIRECTIONS, MAPPING_TYPES, type VerdictRecord } from '../core/dma-debug-records.js';
import { CHECK_OWN_FIRST } from '../core/generated/constants.js';
import { CHECKS as NUMBERS } from '../core/generated/names.js';

/**
 * Every check of dma-debug: its stable identifier, what it tells, in which words. The numbers are the core's
 * (assembly/dma-debug/checks.ts).
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

/** Values that a verdict tells, by name: addresses and sizes as numbers, directions and types by their names. */
export type CheckData = Readonly<Record<string, unknown>>;

export interface Check {
  id: CheckId;
  /** The core's number for it. */
  number: number;
  /** The kernel's checker has it too (kernel/dma/debug.c). */
  kernel: boolean;
  /** DMA API call at which it is found, the `syscall` of a strict error. */
  call: string;
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
const place = ({ address, size }: VerdictRecord): CheckData => ({ address, size });
const synced = ({ address, size, d, e }: VerdictRecord): CheckData => ({
  deviceAddress: address,
  size,
  mappedDir: dir(d),
  syncedDir: dir(e),
});
const overMapping = ({ address, size, mapping }: VerdictRecord): CheckData => ({
  deviceAddress: address,
  size,
  liveAddress: mapping?.address,
  liveSize: mapping?.size,
  object: mapping?.by.object,
});

function check(
  id: CheckId,
  call: string,
  data: (verdict: VerdictRecord) => CheckData,
  say: (data: CheckData, verdict: VerdictRecord) => string,
): Check {
  const number = NUMBERS[id];
  return { id, number, kernel: number < CHECK_OWN_FIRST, call, data, say };
}

export const CHECKS: readonly Check[] = [
  check(
    'UNMAP_INVALID',
    'dma_unmap',
    nothing,
    () => 'unmaps DMA_MAPPING_ERROR: the mapping had failed and nobody looked',
  ),
  check(
    'UNMAP_UNKNOWN',
    'dma_unmap',
    range,
    (x) => `unmaps ${x.size} bytes at ${hex(x.deviceAddress)}, where this device has no mapping`,
  ),
  check(
    'UNMAP_SIZE',
    'dma_unmap',
    ({ address, size, a }) => ({ deviceAddress: address, mapSize: size, unmapSize: a }),
    (x) => `unmaps ${x.unmapSize} bytes at ${hex(x.deviceAddress)}, mapped were ${x.mapSize}`,
  ),
  check(
    'UNMAP_TYPE',
    'dma_unmap',
    ({ address, size, d, e }) => ({ deviceAddress: address, size, mappedAs: type(d), unmappedAs: type(e) }),
    (x) => `unmaps ${hex(x.deviceAddress)} as ${x.unmappedAs}, it was mapped as ${x.mappedAs}`,
  ),
  check(
    'UNMAP_CPUADDR',
    'dma_free_coherent',
    ({ address, size, a, b }) => ({ deviceAddress: address, size, cpuAllocAddress: a, cpuFreeAddress: b }),
    (x) =>
      `frees ${hex(x.deviceAddress)} with the CPU address of ${hex(x.cpuFreeAddress)}, allocated was ${hex(x.cpuAllocAddress)}`,
  ),
  check(
    'UNMAP_SGCOUNT',
    'dma_unmap_sg',
    ({ d, e }) => ({ mapCount: d, unmapCount: e }),
    (x) => `unmaps a list of ${x.mapCount} entries as ${x.unmapCount}`,
  ),
  check(
    'UNMAP_DIR',
    'dma_unmap',
    ({ address, size, d, e }) => ({ deviceAddress: address, size, mappedDir: dir(d), unmappedDir: dir(e) }),
    (x) => `unmaps ${hex(x.deviceAddress)} as ${x.unmappedDir}, it was mapped ${x.mappedDir}`,
  ),
  check(
    'UNMAP_UNCHECKED',
    'dma_unmap',
    ({ address, size, d }) => ({ deviceAddress: address, size, mappedAs: type(d) }),
    (x) => `unmaps ${hex(x.deviceAddress)} without having asked dma_mapping_error about it`,
  ),
  check(
    'SYNC_UNKNOWN',
    'dma_sync',
    range,
    (x) => `syncs ${x.size} bytes at ${hex(x.deviceAddress)}, which no mapping covers`,
  ),
  check(
    'SYNC_RANGE',
    'dma_sync',
    ({ address, size, a }) => ({ deviceAddress: address, size, syncSize: a }),
    (x) => `syncs ${x.syncSize} bytes of the ${x.size} at ${hex(x.deviceAddress)}`,
  ),
  check(
    'SYNC_DIR',
    'dma_sync',
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} as ${x.syncedDir}, it is mapped ${x.mappedDir}`,
  ),
  check(
    'SYNC_RO_FOR_CPU',
    'dma_sync_for_cpu',
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} for the CPU, but the device only reads it (${x.mappedDir})`,
  ),
  check(
    'SYNC_WO_FOR_DEV',
    'dma_sync_for_device',
    synced,
    (x) => `syncs ${hex(x.deviceAddress)} for the device, which only writes it (${x.mappedDir})`,
  ),
  check(
    'SYNC_SGCOUNT',
    'dma_sync_sg',
    ({ d, e }) => ({ mapCount: d, syncCount: e }),
    (x) => `syncs a list of ${x.mapCount} entries as ${x.syncCount}`,
  ),
  check('MAP_STACK', 'dma_map', place, (x) => `maps memory of the kernel stack, physical ${hex(x.address)}`),
  check(
    'MAP_TEXT',
    'dma_map',
    place,
    (x) => `maps ${x.size} bytes of kernel text or read-only data, physical ${hex(x.address)}`,
  ),
  check(
    'MAP_INVALID',
    'dma_map_single',
    place,
    (x) => `maps ${x.size} bytes at physical ${hex(x.address)}, which is no memory`,
  ),
  check(
    'MAP_VMALLOC',
    'dma_map_single',
    place,
    (x) => `maps ${x.size} bytes of vmalloc memory, physical ${hex(x.address)}`,
  ),
  check(
    'SEG_LEN',
    'dma_map_sg',
    ({ size, a }) => ({ len: size, max: a }),
    (x) => `maps a segment of ${x.len} bytes, the device says it can take ${x.max}`,
  ),
  check(
    'SEG_BOUNDARY',
    'dma_map_sg',
    ({ address, a, b }) => ({ start: address, end: a, boundary: b }),
    (x) => `maps a segment ${hex(x.start)}-${hex(x.end)} across the device's boundary ${hex(x.boundary)}`,
  ),
  check(
    'CACHELINE_OVERLAP',
    'dma_map',
    ({ address, size, a }) => ({ deviceAddress: address, size, cacheline: a }),
    (x) => `maps at ${hex(x.deviceAddress)} a cacheline (${hex(x.cacheline)}) that another mapping lets a device write`,
  ),
  check(
    'CACHELINE_OVERFLOW',
    'dma_map',
    ({ a, d }) => ({ limit: d, cacheline: a }),
    (x) => `more than ${x.limit} mappings overlap in cacheline ${hex(x.cacheline)}`,
  ),
  check(
    'CPU_TOUCH',
    'debug_dma_assert_idle',
    ({ address, a }) => ({ deviceAddress: address, cacheline: a }),
    (x) => `the CPU writes to cacheline ${hex(x.cacheline)} while it is mapped at ${hex(x.deviceAddress)}`,
  ),
  check(
    'LEAK_ON_UNBIND',
    'driver_unbind',
    ({ d, mapping }) => ({
      count: d,
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
    nothing,
    (_, { d }) => `the kernel's checker is out of entries (${d}) and disabled for good`,
  ),
  check(
    'CACHELINE_ENOMEM',
    'dma_map',
    nothing,
    () => 'no memory to track a cacheline: the kernel disables its checker',
  ),
  check(
    'POOL_GROWN',
    'dma_map',
    ({ d }) => ({ total: d }),
    (x) => `the kernel's pool has grown to ${x.total} entries`,
  ),
  check('REJECT_VMALLOC', 'dma_map_single', nothing, () => 'vmalloc memory or a stack is refused before it is mapped'),
  check(
    'DOUBLE_MAP',
    'dma_map_sg',
    overMapping,
    (x) =>
      `maps a table again, to ${hex(x.deviceAddress)} (${x.size} bytes), that is still mapped at ${hex(x.liveAddress)} (${x.liveSize} bytes)`,
  ),
  check(
    'ADDRESS_OVERWRITTEN',
    'dma_map_sg',
    overMapping,
    (x) =>
      `overwrites the table's address ${hex(x.liveAddress)} with ${hex(x.deviceAddress)}: ${x.liveSize} bytes there can never be unmapped`,
  ),
  check(
    'FREED_WHILE_MAPPED',
    'free_pages',
    ({ address, size, mapping }) => ({
      address,
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
    ({ address, size, d, e }) => ({ deviceAddress: address, size, object: d, mappings: e }),
    (x) =>
      `drops the table of object ${x.object} with ${x.mappings} live mappings, the newest at ${hex(x.deviceAddress)}`,
  ),
  check(
    'STALE_PTE',
    'dma_unmap',
    ({ address, size, d }) => ({ deviceAddress: address, size, bindings: d }),
    (x) => `unmaps ${hex(x.deviceAddress)} while ${x.bindings} GPU bindings have PTEs that point there`,
  ),
  check(
    'UNMAP_MAPPED_COUNT',
    'dma_unmap_sg',
    ({ d, e }) => ({ mapCount: d, mappedCount: e }),
    (x) =>
      `unmaps with the ${x.mappedCount} segments that dma_map_sg returned, due are the ${x.mapCount} entries given`,
  ),
  check(
    'LINK_OVERLAP',
    'dma_iova_link',
    overMapping,
    (x) =>
      `links ${x.size} bytes at ${hex(x.deviceAddress)}, where ${hex(x.liveAddress)} is linked: the tables keep that`,
  ),
  check(
    'LINK_OUTSIDE',
    'dma_iova_link',
    range,
    (x) => `links ${x.size} bytes at ${hex(x.deviceAddress)}, which are not all in address space that it reserved`,
  ),
  check(
    'LINKS_LEFT',
    'dma_iova_free',
    ({ address, size, d }) => ({ deviceAddress: address, size, links: d }),
    (x) => `gives ${x.size} bytes of address space at ${hex(x.deviceAddress)} back with ${x.links} live links in them`,
  ),
  check(
    'RANGE_LEFT',
    'device_unbind',
    ({ size, d, e }) => ({ reservations: d, size, links: e }),
    (x) =>
      `leaves ${x.reservations} reservations of ${x.size} bytes of address space behind, ${x.links} live links in them`,
  ),
];

const byNumber = new Map(CHECKS.map((item) => [item.number, item]));
const byId = new Map(CHECKS.map((item) => [item.id, item]));

/** The check of a verdict record. */
export function checkOf(number: number): Check {
  const found = byNumber.get(number);
  if (!found) throw new Error(`verdict of a check without a name: ${number}`);
  return found;
}

export function checkById(id: CheckId): Check {
  return byId.get(id)!;
}
