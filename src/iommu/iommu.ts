import { MAX_DEVICE_ADDRESS } from '../core/address.js';
import { checkBytes, hostTimeline } from '../core/arguments.js';
import { checkInteger, GemDmaError } from '../core/errors.js';
import { ENOMEM, PAGE_SIZE } from '../core/generated/constants.js';
import type { DmaDeviceHandle, IommuDomainHandle } from '../core/generated/exports.js';
import type { IommuStatsView } from '../core/generated/records.js';
import { guard } from '../core/guard.js';
import {
  deviceReadBytes,
  deviceWriteBytes,
  type LogRecord,
  readFaultLog,
  readIommuStats,
  readLeaves,
  readTables,
  type TableEntry,
} from '../core/iommu.js';
import { reasonName } from '../core/reasons.js';
import { DmaDevice } from '../dma/device.js';
import { DmaDomain } from '../dma/dma-domain.js';
import { peerAt } from '../dma/p2p.js';
import type { BusRegion, DmaHost } from '../dma/sg-table.js';
import { DMA_FROM_DEVICE, DMA_MAPPING_ERROR } from '../dma/transfer.js';
import { groupOf, UnmanagedDomain } from '../dma/unmanaged-domain.js';
import type { AlreadySet, IommuFault } from '../iommu-formats/fault.js';
import type { IommuFormat } from '../iommu-formats/format.js';
import { formatOf, type IommuFormatName } from '../iommu-formats/index.js';
import { dumpTables } from './dump.js';

/**
 * The IOMMU of a machine, seen from outside: blocked accesses, stale accesses, the work of its IOTLB, and the contents of
 * the tables (assembly/iommu).
 */

/** An access that a cached translation let through after its page had been unmapped. */
export interface StaleAccess {
  /** Virtual time in nanoseconds. */
  time: number;
  /** Number of the device, `DmaDevice.id`. */
  device: number;
  /** PCI requester id, bus << 8 | devfn. */
  sourceId: number;
  /** The address that the device used. */
  address: number;
  /** A write; otherwise a read. */
  write: boolean;
  /** Nanoseconds between the unmap and this access. */
  age: number;
  /** Number of the domain. */
  domain: number;
  /** The GEM object that the unmapping call was attributed to; 0 for none. */
  object: number;
  /** The vma that it was attributed to; 0 for none. */
  vma: number;
  /** The hook in which it was made; 0 for none. */
  hook: number;
}

/** State and counters of the IOTLB, over all units of the machine. */
export interface IotlbStats {
  /** Sets of the cache. */
  sets: number;
  /** Entries of a set. */
  ways: number;
  /** Translations cached now. */
  entries: number;
  /** Accesses that found their translation cached. */
  hits: number;
  /** Accesses that had to walk the table. */
  misses: number;
  /** Hits on translations whose page is unmapped. */
  staleHits: number;
  /** Translations that were dropped to make room. */
  evictions: number;
  /** Invalidations so far. */
  invalidations: {
    /** Of one range of a domain. */
    page: number;
    /** Of a whole domain. */
    domain: number;
    /** Of everything. */
    global: number;
    /** Entries that all of these dropped. */
    dropped: number;
  };
}

/** Counters of an IOMMU. Counters of events only rise; `clearLog` does not reset them. */
export interface IommuStats {
  /** Accesses that were blocked. */
  faults: number;
  /** Live entries that were mapped over. */
  alreadySet: number;
  /** Records that the log had no room for. */
  logLost: number;
  /** Accesses that went through the IOTLB to what was unmapped. */
  staleAccesses: {
    /** How many. */
    count: number;
    /** Mean time from unmap to access in nanoseconds; 0 for none. */
    meanAge: number;
    /** Longest such time in nanoseconds; 0 for none. */
    maxAge: number;
  };
  /** Domains that live now. */
  domains: number;
  /** Pages in use for tables of all domains, root and context tables. */
  tablePages: number;
  /** Pages that wait for their next use. */
  pooledPages: number;
}

/** The IOMMU of a machine: faults, stale accesses, tables and counters. Read it as `machine.iommu`. */
export class Iommu {
  static {
    guard(Iommu, (one) => #host in one);
  }

  readonly #host: DmaHost;

  constructor(host: DmaHost) {
    hostTimeline(host, 'iommu');
    this.#host = host;
  }

  #log<T>(kinds: readonly LogRecord['kind'][], shape: (record: LogRecord) => T): T[] {
    const { core, context } = this.#host;
    core.timeline.enter('iommu');
    return readFaultLog(core, context)
      .filter(({ kind }) => kinds.includes(kind))
      .map(shape);
  }

  /** Accesses that the unit blocked and recorded, oldest first. */
  faults(): IommuFault[] {
    const format = this.#format();
    return this.#log(['fault'], ({ reason, read, time, device, sourceId, address, domain, object, vma, hook }) => ({
      time,
      device,
      sourceId,
      address,
      write: !read,
      unit: format.name as IommuFormatName,
      reason,
      message: format.faultMessage(reason),
      domain,
      object,
      vma,
      hook,
    }));
  }

  /** Accesses that should have been blocked and were not, oldest first. */
  staleAccesses(): StaleAccess[] {
    return this.#log(['stale-read', 'stale-write'], (record) => {
      const { kind, time, device, sourceId, address, value, domain, object, vma, hook } = record;
      const write = kind === 'stale-write';
      return { time, device, sourceId, address, write, age: value, domain, object, vma, hook };
    });
  }

  /** Live entries that were mapped over, oldest first. */
  alreadySet(): AlreadySet[] {
    const unit = this.#format().name as IommuFormatName;
    return this.#log(['already-set'], ({ time, address, kept, value, domain, object, vma, hook }) => ({
      time,
      domain,
      unit,
      pfn: address,
      kept,
      entry: value,
      object,
      vma,
      hook,
    }));
  }

  /** Empties the log of faults, stale accesses and entries already set. Totals in `stats` stay. */
  clearLog(): void {
    this.#host.core.timeline.enter('iommu');
    this.#host.core.exports.faultLogClear(this.#host.context);
  }

  /** Counters of the IOTLB: hits, misses, entries, and invalidations by kind. */
  get iotlb(): IotlbStats {
    const stats = this.#stats();
    const { sets, ways, entries, hits, misses, staleHits, evictions } = stats;
    return {
      sets,
      ways,
      entries,
      hits,
      misses,
      staleHits,
      evictions,
      invalidations: {
        page: stats.pageInvalidations,
        domain: stats.domainInvalidations,
        global: stats.globalInvalidations,
        dropped: stats.invalidated,
      },
    };
  }

  /** Faults, accesses by stale entries, domains and table pages, so far or now. */
  get stats(): IommuStats {
    const stats = this.#stats();
    const { faults, alreadySet, logLost, domains, tablePages, tablesPooled } = stats;
    const count = stats.staleAccesses;
    const meanAge = count === 0 ? 0 : stats.staleAgeTotal / count;
    const staleAccesses = { count, meanAge, maxAge: stats.staleAgeMax };
    return { faults, alreadySet, logLost, staleAccesses, domains, tablePages, pooledPages: tablesPooled };
  }

  #stats(): IommuStatsView {
    this.#host.core.timeline.enter('iommu');
    return readIommuStats(this.#host.core, this.#host.context);
  }

  /** Drops every cached translation (global invalidation). */
  flushAll(): void {
    this.#host.core.timeline.enter('iommu');
    this.#host.core.exports.iotlbFlushGlobal(this.#host.context);
  }

  #format(): IommuFormat {
    const { core, context } = this.#host;
    core.timeline.enter('iommu');
    return formatOf(core.exports.iommuFormat(context));
  }

  #tables(domain: DmaDomain | UnmanagedDomain): IommuDomainHandle {
    if (UnmanagedDomain.is(domain)) return UnmanagedDomain.recordIn(this.#host, domain, 'iommu');
    DmaDomain.check(domain, this.#host.core.timeline, 'iommu');
    return domain.handle;
  }

  /** Every entry of a domain's tables, depth first. */
  tables(domain: DmaDomain | UnmanagedDomain): TableEntry[] {
    return readTables(this.#host.core, this.#host.context, this.#tables(domain));
  }

  /**
   * Leaves and holes (level 0) of `size` bytes from `iova`, in runs.
   * @throws RangeError for a range beyond 2^53; GemDmaError for a domain of another machine
   */
  leaves(domain: DmaDomain | UnmanagedDomain, iova: number, size: number): TableEntry[] {
    const tables = this.#tables(domain);
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    checkInteger('size', size, 1, MAX_DEVICE_ADDRESS + 1 - iova);
    const last = Math.floor((iova + size - 1) / PAGE_SIZE);
    return readLeaves(this.#host.core, this.#host.context, tables, Math.floor(iova / PAGE_SIZE), last);
  }

  /**
   * The physical address of an IOVA (iommu_iova_to_phys); null if it is not mapped.
   * @throws RangeError beyond 2^53; GemDmaError for a domain of another machine
   */
  iovaToPhys(domain: DmaDomain | UnmanagedDomain, iova: number): number | null {
    const tables = this.#tables(domain);
    checkInteger('iova', iova, 0, MAX_DEVICE_ADDRESS);
    const { domainIovaToPhys, domainMapped } = this.#host.core.exports;
    return domainMapped(tables, iova) ? domainIovaToPhys(tables, iova) : null;
  }

  /** The devices that an IOMMU serves as one (struct iommu_group): those that share a domain, the device among them. */
  group(device: DmaDevice): readonly DmaDevice[] {
    DmaDevice.recordIn(this.#host, device, 'iommu_group_get');
    return groupOf(this.#host, device);
  }

  /** A domain's tables as text, one entry or run a line. */
  dump(domain: DmaDomain | UnmanagedDomain): string {
    const { domainId, domainLevels, domainTablePages } = this.#host.core.tools;
    const tables = this.#tables(domain);
    return dumpTables(this.#format(), this.tables(domain), {
      id: domainId(tables),
      levels: domainLevels(tables),
      tablePages: domainTablePages(tables),
    });
  }
}

/**
 * Reads memory as a device, at a DMA address, through its domain. An access at DMA_MAPPING_ERROR faults.
 * @throws GemDmaError EFAULT with reason IOMMU_FAULT where the unit blocked it (Iommu.faults says why), IOMMU_NO_RAM
 */
export function deviceRead(host: DmaHost, device: DmaDevice, address: number, length: number): Uint8Array {
  const record = DmaDevice.recordIn(host, device, 'device_access');
  checkInteger('address', address, DMA_MAPPING_ERROR, MAX_DEVICE_ADDRESS);
  checkInteger('length', length, 0, 2 ** 30);
  const far = busPart(host, record, device, address, length, false);
  if (far !== null) return far.region.read(far.offset, length);
  const bytes = deviceReadBytes(host.core, host.context, record, address, length);
  if (bytes === null)
    throw accessError(host, device, address, false, 'EFAULT', `read ${length} bytes at ${at(address)}`);
  checkRead(host, record, device, address, length);
  return bytes;
}

/**
 * Writes memory as a device, at a DMA address, through its domain. Bytes before a fault are written.
 * @throws GemDmaError EFAULT as deviceRead; ENOMEM when no linear memory is left for the bytes of a frame
 */
export function deviceWrite(host: DmaHost, device: DmaDevice, address: number, bytes: Uint8Array): void {
  const record = DmaDevice.recordIn(host, device, 'device_access');
  checkInteger('address', address, DMA_MAPPING_ERROR, MAX_DEVICE_ADDRESS);
  bytes = checkBytes('bytes', bytes);
  const far = busPart(host, record, device, address, bytes.length, true);
  if (far !== null) {
    far.region.write(far.offset, bytes);
    return;
  }
  const rc = deviceWriteBytes(host.core, host.context, record, address, bytes);
  if (rc === 0) return;
  const code = rc === ENOMEM ? 'ENOMEM' : 'EFAULT';
  throw accessError(host, device, address, true, code, `write ${bytes.length} bytes at ${at(address)}`);
}

/**
 * The part of a BAR that an access reaches, all of it in one BAR as on the bus; null for RAM, and for an access that the IOMMU
 * blocks, which the core reports.
 */
function busPart(
  host: DmaHost,
  record: DmaDeviceHandle,
  device: DmaDevice,
  address: number,
  length: number,
  write: boolean,
): { region: BusRegion; offset: number } | null {
  if (host.bars === undefined || host.bars.empty || length === 0 || address < 0) return null;
  const { exports } = host.core;
  // Memory of the device's own is not behind the unit.
  const own = device.declaredMemory?.physicalAt(address, length);
  const near = own === undefined ? undefined : host.bars.at(own);
  if (near !== undefined) return { region: near, offset: own! - near.address };
  // What a switch turns round does not come to the unit.
  const peer = peerAt(host, device, address);
  if (peer !== undefined && address + length <= peer.address + peer.size) {
    return { region: peer, offset: address - peer.address };
  }
  // Reads the tables without an access: another access would fault twice.
  const { domain } = device;
  const physical = domain instanceof DmaDomain ? exports.domainIovaToPhys(domain.handle, address) : address;
  const region = host.bars.at(physical);
  if (region === undefined || physical + length > region.address + region.size) return null;
  if (domain !== undefined && exports.deviceTranslate(record, address, write) !== physical) return null;
  return { region, offset: physical - region.address };
}

function at(address: number): string {
  return address === DMA_MAPPING_ERROR ? 'DMA_MAPPING_ERROR' : `0x${address.toString(16)}`;
}

// VT-d's tables allow reads of every mapping that may be written (6.12), and without an IOMMU every read is allowed: only the
// driver's direction forbids it.
function checkRead(host: DmaHost, record: DmaDeviceHandle, device: DmaDevice, address: number, length: number): void {
  if (!host.dmaDebugOrNull || length === 0) return;
  if (host.core.tools.debugDirectionAt(record, address) === DMA_FROM_DEVICE)
    host.tellReadOfWriteOnly?.(device, address);
}

/** A fault before it is reported: AMD's driver asks the domain's handler whether to print it (amd_iommu_report_page_fault). */
function askHandler(host: DmaHost, device: DmaDevice, address: number, write: boolean): void {
  const { core, context } = host;
  if (device.unmanaged === null || reasonName(core.exports.lastReason(context)) !== 'IOMMU_FAULT') return;
  if (!formatOf(core.exports.iommuFormat(context)).asksFaultHandler) return;
  if (device.unmanaged.report(device, address, write)) host.forgetFault?.();
}

function accessError(
  host: DmaHost,
  device: DmaDevice,
  address: number,
  write: boolean,
  code: 'EFAULT' | 'ENOMEM',
  what: string,
): GemDmaError {
  // Before the handler runs, whose own calls may fail for other reasons.
  const reason = reasonName(host.core.exports.lastReason(host.context));
  askHandler(host, device, address, write);
  // The fault is in the kernel's log.
  host.dmaDebugOrNull?.settle();
  return new GemDmaError(code, 'device_access', `device ${device.id} could not ${what}: ${reason}`, { reason });
}
