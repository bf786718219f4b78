import { invalidType } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { DmaDevice } from '../dma/device.js';
import { DEVICE_OPTION_NAMES, type DeviceOptions } from '../dma/device-options.js';
import { DmaDomain } from '../dma/dma-domain.js';
import { iommuFormat, optionsOf } from '../iommu-formats/index.js';
import type { BaseMachine } from './machine.js';

/** Devices of a machine: which domain translates for each, and what they are called. */

/** What `machine.addDevice()` accepts. Everything has a default. */
export interface MachineDeviceOptions extends Omit<DeviceOptions, 'id' | 'domain'> {
  /**
   * The domain that translates: `own` (the default behind an IOMMU), another device, whose domain is then shared, or `passthrough`.
   * No effect on a machine whose IOMMU is off.
   */
  domain?: 'own' | 'passthrough' | DmaDevice;
}

export const DEVICE_OPTIONS: readonly string[] = DEVICE_OPTION_NAMES.filter((name) => name !== 'id');

/** Slots of 256 buses, less the two of the host bridge. */
export const MAX_DEVICES = 256 * 32 - 2;

/** Devices sit on bus 0 from slot 2 on, function 0, then on the buses after it: bus << 8 | slot << 3. */
export function deviceSlot(id: number): number {
  const slot = id + 1;
  return ((slot >> 5) << 8) | ((slot & 31) << 3);
}

/** The domain that a new device gets, by the machine's mode and the properties of its kernel; undefined without an IOMMU. */
export function domainFor(
  machine: BaseMachine,
  { domain: wanted = 'own', untrusted = false }: MachineDeviceOptions = {},
): DmaDomain | 'passthrough' | undefined {
  const { iommu } = machine.config;
  if (wanted instanceof DmaDevice) {
    DmaDevice.recordIn(machine, wanted, 'device_add');
    return wanted.domain;
  }
  if (wanted !== 'own' && wanted !== 'passthrough') {
    throw invalidType('domain', "'own', 'passthrough' or a device", wanted);
  }
  if (iommu.mode === 'off') return undefined;
  if (wanted === 'passthrough' || iommu.mode === 'passthrough') return 'passthrough';
  const { mergeSegments, unmapsWholeRange, retriesBelow4GiB, deferredList, writeImpliesRead, minAlignMask } =
    machine.kernel;
  return new DmaDomain(machine, {
    // What came over a cable is never trusted with addresses that wait for a flush.
    ...{ mode: untrusted === true ? 'strict' : iommu.mode, levels: iommu.levels, pageSizes: iommu.pageSizes },
    ...{ allocator: iommu.allocator, reserved: iommu.reserved, minAlignMask },
    ...{
      flushQueue: iommu.flushQueue,
      magazine: iommu.magazine,
      mergeSegments,
      unmapWholeRange: unmapsWholeRange,
      deferredList,
      ...optionsOf(iommuFormat(iommu.format), { writeImpliesRead }),
    },
    retryBelow4GiB: retriesBelow4GiB,
  });
}

/** Free bytes below 4 GiB in the domains of devices; null without a domain. */
export function freeSpace(devices: readonly DmaDevice[]): number | null {
  const domains = new Set<DmaDomain>();
  for (const { domain } of devices) if (domain instanceof DmaDomain) domains.add(domain);
  if (domains.size === 0) return null;
  let pages = 0;
  for (const domain of domains) pages += domain.iovaStats().freePages;
  return pages * PAGE_SIZE;
}
