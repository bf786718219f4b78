import { checkBoolean, checkOptions, checkString, frozen, oneOf, readList } from '../core/arguments.js';
import type { BouncePool } from '../core/bounce-pool.js';
import { checkInteger, invalidValue, outOfRange } from '../core/errors.js';
import { MAX_RANGES, PAGE_SIZE, PROT_READ, PROT_WRITE } from '../core/generated/constants.js';
import type { DmaDomain } from './dma-domain.js';
import { PHYSICAL_LIMIT } from './transfer.js';

/** What a device can be made with: its name, its addresses and the limits of what it maps. */

/** A range of addresses that a domain keeps for a device, as options give it. */
export interface ReservedRegionOptions {
  /** First address. */
  start: number;
  /** Bytes. */
  length: number;
  /** `direct`: mapped to itself; `reserved`: just kept free. Default `direct`. */
  type?: 'direct' | 'reserved';
  /** IOMMU_READ, IOMMU_WRITE, OR-ed, of a direct one. Default both. */
  prot?: number;
}

/** The same, with everything given. */
export type ReservedRegion = Readonly<Required<ReservedRegionOptions>>;

/** A window of a bus: `size` bytes at `cpu` are at `bus` for the device (struct bus_dma_region). */
export interface BusWindow {
  /** Physical address, as a CPU sees it. */
  cpu: number;
  /** The device's address of the same byte. */
  bus: number;
  /** Bytes. */
  size: number;
}

/** The addresses that a device reaches, and the limits that its driver has set. */
export interface DeviceOptions {
  /** As findings and reports name it. Default its PCI address, such as `0000:00:02.0`. */
  name?: string;
  /** Name of the bound driver, for dma-debug's driver filter. */
  driver?: string;
  /** Number that events, findings and faults carry. Default 1. */
  id?: number;
  /** PCI requester id, bus << 8 | device << 3 | function. Default id << 3. */
  sourceId?: number;
  /** Bits of address that the device has (dma_set_mask), 0 for no mask at all (coerceMask gives it one). Default 32. */
  maskBits?: number;
  /** The same for coherent memory (dma_set_coherent_mask). Default maskBits. */
  coherentMaskBits?: number;
  /** Bits of address that the buses before it let through (bus_dma_limit). Default 0: as many as it has. */
  busLimitBits?: number;
  /** The same as the last address that they let through, where that is no mask of ones, such as 0xbfffffff. Default none. */
  busLimit?: number;
  /**
   * Windows through which its bus reaches memory, at other addresses than the CPU's (dma_range_map). Addresses outside of them are
   * not reachable. Addresses and sizes are multiples of 4 KiB. Of no effect behind an IOMMU. Default none.
   */
  ranges?: readonly BusWindow[];
  /**
   * IOVA ranges that firmware reserves (iommu_get_resv_regions, RMRR): the allocator never returns them; `direct` ones are mapped to
   * the same physical addresses from the start. Multiples of 4 KiB. Default none.
   */
  reservedRegions?: readonly ReservedRegionOptions[];
  /** A device with more than 32 bits does not try below 4 GiB first (iommu.forcedac=1). Default false. */
  forcedac?: boolean;
  /** Name of the PCIe switch that it is below: devices of one reach each other's BARs there. Default at the root. */
  switch?: string;
  /** Its accesses snoop the CPU's caches (dev_is_dma_coherent). Default true. */
  coherent?: boolean;
  /** External device (pci_dev.untrusted): behind an IOMMU, partial pages bounce, so that it reaches only its buffers. Default false. */
  untrusted?: boolean;
  /** Longest segment in bytes (dma_set_max_seg_size). Default 64 KiB. */
  maxSegment?: number;
  /** No segment crosses a multiple of 2^this (dma_set_seg_boundary). Default 32. */
  segmentBoundaryBits?: number;
  /** Low bits of an address that bouncing preserves (dma_set_min_align_mask). Default 0. */
  minAlignMask?: number;
  /** Bounce every streaming mapping (swiotlb=force). Default false. */
  forceBounce?: boolean;
  /** A pool of `machine.createRestrictedPool` that all its mappings and coherent memory go through. Of no effect behind an IOMMU. */
  restrictedPool?: BouncePool;
  /** The domain that translates, `passthrough` for an identity domain, nothing for no IOMMU. */
  domain?: DmaDomain | 'passthrough';
}

/** Records of dma-debug have 15 bits for a device's number (assembly/dma-debug). */
const MAX_ID = 0x7fff;

const MAX_U32 = 0xffffffff;

/** Names of the options. */
export const DEVICE_OPTION_NAMES: readonly (keyof DeviceOptions)[] = [
  'name',
  'driver',
  'id',
  'sourceId',
  'maskBits',
  'coherentMaskBits',
  'busLimitBits',
  'busLimit',
  'ranges',
  'reservedRegions',
  'forcedac',
  'switch',
  'coherent',
  'untrusted',
  'maxSegment',
  'segmentBoundaryBits',
  'minAlignMask',
  'forceBounce',
  'restrictedPool',
  'domain',
];
/** The options of a device, all of them given. */
export type DeviceConfig = Required<
  Omit<
    DeviceOptions,
    'busLimit' | 'busLimitBits' | 'driver' | 'domain' | 'reservedRegions' | 'restrictedPool' | 'switch'
  >
> & {
  reservedRegions: readonly ReservedRegion[];
  /** The first address that its buses do not let through, 0 for none. */
  busReach: number;
} & Pick<DeviceOptions, 'driver' | 'domain' | 'restrictedPool' | 'switch'>;

/** @throws TypeErrors and RangeErrors naming the option at fault; the domain is looked at by the device */
export function deviceConfig(given: DeviceOptions): DeviceConfig {
  const options = checkOptions('options', given, DEVICE_OPTION_NAMES);
  const id = checkInteger('id', options.id ?? 1, 1, MAX_ID);
  const sourceId = checkInteger('sourceId', options.sourceId ?? (id << 3) & 0xffff, 0, 0xffff);
  const maskBits = checkMaskBits('maskBits', options.maskBits ?? 32);
  return {
    id,
    sourceId,
    maskBits,
    coherentMaskBits: checkMaskBits('coherentMaskBits', options.coherentMaskBits ?? maskBits),
    busReach: busReach(options),
    ranges: readList('ranges', options.ranges ?? [], [0, MAX_RANGES], readWindow),
    reservedRegions: readList(
      'reservedRegions',
      options.reservedRegions ?? [],
      [0, 256],
      readRegion,
    ) as ReservedRegion[],
    forcedac: checkBoolean('forcedac', options.forcedac, false),
    coherent: checkBoolean('coherent', options.coherent, true),
    untrusted: checkBoolean('untrusted', options.untrusted, false),
    maxSegment: checkInteger('maxSegment', options.maxSegment ?? 65536, 1, MAX_U32),
    segmentBoundaryBits: checkInteger('segmentBoundaryBits', options.segmentBoundaryBits ?? 32, 1, 64),
    minAlignMask: checkInteger('minAlignMask', options.minAlignMask ?? 0, 0, MAX_U32),
    forceBounce: checkBoolean('forceBounce', options.forceBounce, false),
    name: checkString('name', options.name) ?? pciName(sourceId),
    driver: checkString('driver', options.driver),
    switch: checkString('switch', options.switch),
    restrictedPool: options.restrictedPool,
    domain: options.domain,
  };
}

function busReach({ busLimitBits = 0, busLimit }: DeviceOptions): number {
  const bits = checkMaskBits('busLimitBits', busLimitBits);
  if (busLimit === undefined) return bits === 0 ? 0 : 2 ** bits;
  if (bits !== 0) throw invalidValue('busLimit', 'left out with busLimitBits', busLimit);
  return checkInteger('busLimit', busLimit, PAGE_SIZE - 1, PHYSICAL_LIMIT) + 1;
}

/** 0, or 12 to 64. */
function checkMaskBits(name: string, bits: number): number {
  return bits === 0 ? 0 : checkInteger(name, bits, 12, 64);
}

function readRegion(region: ReservedRegionOptions): ReservedRegion {
  const given = checkOptions('reservedRegions', region, ['start', 'length', 'type', 'prot']);
  const { start, length } = given;
  checkInteger('reservedRegions.start', start, 0, PHYSICAL_LIMIT - PAGE_SIZE);
  checkInteger('reservedRegions.length', length, PAGE_SIZE, PHYSICAL_LIMIT - start);
  for (const value of [start, length]) {
    if (value % PAGE_SIZE !== 0) throw outOfRange('reservedRegions', 'multiples of 4096', value);
  }
  const type = oneOf('reservedRegions.type', given.type ?? 'direct', ['direct', 'reserved']);
  const prot = checkInteger('reservedRegions.prot', given.prot ?? PROT_READ | PROT_WRITE, 1, PROT_READ | PROT_WRITE);
  return frozen({ start, length, type, prot });
}

function readWindow(window: BusWindow): BusWindow {
  const { cpu, bus, size } = checkOptions('ranges', window, ['cpu', 'bus', 'size']);
  for (const [name, value] of Object.entries({ cpu, bus, size })) {
    checkInteger(`ranges.${name}`, value, name === 'size' ? PAGE_SIZE : 0, PHYSICAL_LIMIT);
    if (value % PAGE_SIZE !== 0) throw outOfRange(`ranges.${name}`, 'a multiple of 4096', value);
  }
  return { cpu, bus, size };
}

/** `0000:bus:device.function` of a requester id. */
function pciName(sourceId: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `0000:${hex(sourceId >>> 8)}:${hex((sourceId >>> 3) & 31)}.${sourceId & 7}`;
}
