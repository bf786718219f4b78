import { MAX_DEVICE_ADDRESS } from '../core/address.js';
import { checkFunction, checkOptions, checkSynchronous, hostTimeline } from '../core/arguments.js';
import { checkInteger, type ErrnoName, errnoName, GemDmaError, invalidReturn } from '../core/errors.js';
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from '../core/generated/constants.js';
import type { IommuDomainHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { Life } from '../core/life.js';
import { reasonName } from '../core/reasons.js';
import { formatOf, type IommuLevels, readShape } from '../iommu-formats/index.js';
import type { DmaDevice } from './device.js';
import { type DmaHost, ScatterTable } from './sg-table.js';
import { StreamingDevice } from './streaming-device.js';
import { PHYSICAL_LIMIT } from './transfer.js';

/** A domain that a driver fills by hand (IOMMU_DOMAIN_UNMANAGED; include/linux/iommu.h). */

/** Permission of a mapping: the device may read. To be OR-ed. */
export const IOMMU_READ = PROT_READ;
/** Permission of a mapping: the device may write. To be OR-ed. */
export const IOMMU_WRITE = PROT_WRITE;
/** IOMMU_CACHE, NOEXEC, MMIO and PRIV are accepted; they leave no trace in the tables. */
const PROT_BITS = 0x3f;

/**
 * Handles a blocked access of a device (iommu_fault_handler_t).
 * @returns 0: handled, the kernel prints nothing; any other number: it prints its line
 */
export type FaultHandler = (device: DmaDevice, address: number, access: 'read' | 'write') => number;

/** Options of a domain that a driver fills. */
export interface UnmanagedOptions {
  /** Levels of the tables. Default VT-d 4, AMD 3, which grow. */
  levels?: IommuLevels;
  /** Bits of an IOVA, from 21. Default all that the levels give, at most 53. */
  width?: number;
  /** Page sizes, as iommu_domain.pgsize_bitmap. Default all that the format has. */
  pageSizes?: number;
}

/** An I/O address space without an allocator: `iommu_map` and `iommu_unmap` at addresses of the driver's choice. */
export class UnmanagedDomain {
  static {
    guard(UnmanagedDomain, (one) => #record in one);
  }

  readonly #host: DmaHost;
  readonly #record: IommuDomainHandle;
  readonly #life: Life;
  private readonly attached: DmaDevice[] = [];
  private handler: FaultHandler | null = null;

  /**
   * Makes an empty domain (iommu_paging_domain_alloc).
   * @throws TypeError or RangeError if the format does not have the shape; GemDmaError ENOMEM
   */
  constructor(host: DmaHost, options: UnmanagedOptions = {}) {
    const call = 'iommu_domain_alloc';
    const given = checkOptions('options', options, ['levels', 'width', 'pageSizes']);
    const timeline = hostTimeline(host, call);
    const format = formatOf(host.core.exports.iommuFormat(host.context));
    const { levels, width, pageSizes } = readShape(format, given);
    const flags = format.domainFlags(format.options, false);
    const record = host.core.exports.domainCreate(host.context, levels, width, pageSizes, flags);
    if (record === 0) throw new GemDmaError('ENOMEM', call, 'no memory for an IOMMU domain');
    this.#host = host;
    this.#record = record;
    this.#life = new Life(timeline, 'domain');
  }

  #enter(call: string): IommuDomainHandle {
    this.#life.enter(call);
    return this.#record;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(value: unknown): value is UnmanagedDomain {
    return typeof value === 'object' && value !== null && #record in value;
  }

  /** @internal For calls of a machine's own objects. @throws GemDmaError EXDEV, ESTALE, ENODEV */
  static recordIn(host: DmaHost, domain: UnmanagedDomain, call: string): IommuDomainHandle {
    domain.#life.enterIn(hostTimeline(host, call), call);
    return domain.#record;
  }

  /** Whether it can be used: it was not destroyed, and no restore went back to a time before it was made. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** Devices that it translates for. */
  get devices(): readonly DmaDevice[] {
    this.#enter('iommu_domain');
    return this.attached.slice();
  }

  /**
   * Maps a range, in the largest pages that fit (iommu_map).
   * @param prot IOMMU_READ, IOMMU_WRITE, OR-ed
   * @throws GemDmaError EINVAL if a value is not a multiple of 4 KiB or `prot` allows nothing, EFAULT beyond the domain's width,
   *   ENOMEM; the range is unchanged then
   */
  map(iova: number, physical: number, size: number, prot: number): void {
    const call = 'iommu_map';
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
    checkInteger('size', size, 0, PHYSICAL_LIMIT);
    checkInteger('prot', prot, 0, PROT_BITS);
    const { exports } = this.#host.core;
    this.#check(call, exports.domainMap(this.#enter(call), iova, physical, size, prot & (IOMMU_READ | IOMMU_WRITE)));
  }

  /**
   * Maps the entries of a table side by side (iommu_map_sg).
   * @returns bytes that are mapped
   * @throws GemDmaError as map; what was mapped before the entry at fault is unmapped again
   */
  mapSg(iova: number, table: ScatterTable, prot: number): number {
    const call = 'iommu_map_sg';
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    checkInteger('prot', prot, 0, PROT_BITS);
    const record = this.#enter(call);
    ScatterTable.recordIn(this.#host, table, call);
    const { domainMap, domainUnmap } = this.#host.core.exports;
    let mapped = 0;
    for (const { physical, length } of runsOf(table)) {
      const rc = domainMap(record, iova + mapped, physical, length, prot & (IOMMU_READ | IOMMU_WRITE));
      if (rc < 0) {
        if (mapped > 0) domainUnmap(record, iova, mapped);
        this.#check(call, rc);
      }
      mapped += length;
    }
    return mapped;
  }

  /**
   * Unmaps a range and flushes the IOTLB (iommu_unmap). Part of a large page takes the whole page.
   * @returns bytes unmapped, as the kernel counts them; 0 if a value is not a multiple of 4 KiB
   */
  unmap(iova: number, size: number): number {
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    checkInteger('size', size, 0, PHYSICAL_LIMIT);
    const record = this.#enter('iommu_unmap');
    const { domainFlushPages, domainUnmap } = this.#host.core.exports;
    const unmapped = domainUnmap(record, iova, size);
    domainFlushPages(record, iova, unmapped);
    return unmapped;
  }

  /** The physical address of an IOVA (iommu_iova_to_phys); null if it is not mapped. */
  iovaToPhys(iova: number): number | null {
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    const record = this.#enter('iommu_iova_to_phys');
    const { domainIovaToPhys, domainMapped } = this.#host.core.exports;
    return domainMapped(record, iova) ? domainIovaToPhys(record, iova) : null;
  }

  /**
   * Lets the domain translate for a device (iommu_attach_device). The device's DMA API goes on using its own domain, whose addresses
   * the device does not reach meanwhile.
   * @throws GemDmaError EINVAL if its group has several devices, EBUSY if it is attached to such a domain, ENODEV if no IOMMU serves it
   */
  attach(device: DmaDevice): void {
    const call = 'iommu_attach_device';
    this.#admit(device, call);
    if (groupOf(this.#host, device).length > 1) {
      throw new GemDmaError('EINVAL', call, `device ${device.id} is not alone in its group`, {
        reason: 'GROUP_NOT_SINGLETON',
      });
    }
    this.#take([device], call);
  }

  /** The same for all devices of a group (iommu_attach_group), that of one of them. */
  attachGroup(device: DmaDevice): void {
    const call = 'iommu_attach_group';
    this.#admit(device, call);
    this.#take(groupOf(this.#host, device), call);
  }

  /** Returns a device, and its group, to its own domain (iommu_detach_device). No effect on a device of another domain. */
  detach(device: DmaDevice): void {
    const call = 'iommu_detach_device';
    this.#admit(device, call);
    if (!this.attached.includes(device)) return;
    for (const one of groupOf(this.#host, device)) this.#leave(one);
  }

  #admit(device: DmaDevice, call: string): void {
    this.#enter(call);
    StreamingDevice.recordFor(device, this.#life, call);
  }

  #take(devices: readonly DmaDevice[], call: string): void {
    for (const device of devices) {
      if (device.domain === undefined) throw new GemDmaError('ENODEV', call, `no IOMMU serves device ${device.id}`);
      if (device.unmanaged === null) continue;
      throw new GemDmaError('EBUSY', call, `device ${device.id} is attached to a domain that is filled by hand`);
    }
    for (const device of devices) {
      this.#host.core.exports.deviceRedirect(device.handle, 0, this.#record);
      device.setUnmanaged(this);
      this.attached.push(device);
    }
  }

  #leave(device: DmaDevice): void {
    this.#host.core.exports.deviceRedirect(device.handle, this.#record, 0);
    device.setUnmanaged(null);
    this.attached.splice(this.attached.indexOf(device), 1);
  }

  /** @internal The device goes. */
  leave(device: DmaDevice): void {
    this.#enter('iommu_detach_device');
    if (this.attached.includes(device)) this.#leave(device);
  }

  /**
   * Sets the handler of blocked accesses, or removes it (iommu_set_fault_handler). Intel's driver calls no handler; AMD's does before
   * it prints.
   */
  setFaultHandler(handler?: FaultHandler): void {
    if (handler !== undefined) checkFunction('handler', handler);
    this.#enter('iommu_set_fault_handler');
    this.handler = handler ?? null;
  }

  /** @internal report_iommu_fault: whether the fault was handled. */
  report(device: DmaDevice, address: number, write: boolean): boolean {
    const { handler } = this;
    if (handler === null) return false;
    const { calls } = this.#host.core;
    calls.checkLevel('report_iommu_fault');
    const ask = (): number => handler(device, address, write ? 'write' : 'read');
    const rc: unknown = calls.hold(() => calls.hook(() => device.held(ask)));
    checkSynchronous('handler', rc);
    if (typeof rc !== 'number') throw invalidReturn('handler', 'a number', rc);
    return rc === 0;
  }

  /** Frees the domain with its tables (iommu_domain_free). Throws EBUSY while a device is attached. A second call does nothing. */
  destroy(): void {
    if (!this.#life.ending('iommu_domain_free')) return;
    if (!this.#host.core.exports.domainDestroy(this.#record)) {
      throw new GemDmaError('EBUSY', 'iommu_domain_free', 'devices are still attached to the domain');
    }
    this.#life.end();
  }

  #check(call: string, rc: number): void {
    if (rc >= 0) return;
    const { core, context } = this.#host;
    const reason = reasonName(core.exports.lastReason(context));
    throw new GemDmaError(errnoName(rc) as ErrnoName, call, `the range cannot be mapped: ${reason}`, { reason });
  }
}

/** Entries of a table, neighbours in memory joined, as iommu_map_sg joins them. */
function runsOf(table: ScatterTable): { physical: number; length: number }[] {
  const runs: { physical: number; length: number }[] = [];
  for (const { pfn, offset, length } of table.entries()) {
    const physical = pfn * PAGE_SIZE + offset;
    const last = runs.at(-1);
    if (last !== undefined && last.physical + last.length === physical) last.length += length;
    else runs.push({ physical, length });
  }
  return runs;
}

/** Devices that an IOMMU cannot tell apart, or that share a domain: they move together. */
export function groupOf(host: DmaHost, device: DmaDevice): readonly DmaDevice[] {
  const { domain } = device;
  if (domain === undefined || domain === 'passthrough') return [device];
  return (host.devices ?? [device]).filter((other) => other.domain === domain);
}
