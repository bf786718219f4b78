import { MAX_DEVICE_ADDRESS } from '../core/address.js';
import {
  ATTRIBUTE_BITS,
  badAddress,
  badTransfer,
  checkBoolean,
  checkFunction,
  checkTransfer,
  DIRECTION_BITS,
  hostTimeline,
  isAddress,
  isTransfer,
} from '../core/arguments.js';
import { BouncePool } from '../core/bounce-pool.js';
import { checkInteger, ERRNO, GemDmaError, invalidType } from '../core/errors.js';
import {
  ALL_ENTRIES,
  DEVICE_FORCE_BOUNCE,
  DEVICE_TRY_32BIT,
  DEVICE_UNTRUSTED,
  PAGE_SIZE,
  REASON_DMA_MASK_TOO_SMALL,
} from '../core/generated/constants.js';
import type { CoreExports, DmaDeviceHandle, SgTableHandle } from '../core/generated/exports.js';
import { guard, refusal } from '../core/guard.js';
import { made } from '../core/handle.js';
import { Life, notMade } from '../core/life.js';
import { reasonName } from '../core/reasons.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import type { DmaDevice } from './device.js';
import { type DeviceOptions, deviceConfig, type ReservedRegion } from './device-options.js';
import { DmaDomain, reserveRegions } from './dma-domain.js';
import { PeerLists } from './p2p.js';
import { callFailed, maskRefused, reachOf, X86_LEAST_REACH } from './refusals.js';
import { type DmaHost, ScatterTable } from './sg-table.js';
import { badPage, type Direction, PHYSICAL_LIMIT } from './transfer.js';
import type { UnmanagedDomain } from './unmanaged-domain.js';

/**
 * The streaming half of a device's DMA API, and the device's life. The other half, which is called less often, is in device.ts.
 * Calls whose result a driver must check return it as in the kernel, with the cause in `reason`; the others have @throws.
 */

const EVERY_ENTRY = ALL_ENTRIES | 0; // a small integer
const MAX_NENTS = 0x7fffffff;
const MAX_U32 = 0xffffffff;

/** Members that look at `this` themselves (guard.ts), or that only the library calls. */
const HOT = [
  ...['mapPage', 'unmapPage', 'mapSingle', 'mapSg', 'unmapSg'],
  ...['handle', 'enter', 'begin', 'tableRecord', 'settle', 'mapTable', 'forgetCore', 'setDriven', 'failure'],
];

/** A device and its streaming mappings: what a driver calls most. */
export class StreamingDevice {
  static {
    guard(StreamingDevice, StreamingDevice.is, HOT);
  }

  /** @internal */
  readonly host: DmaHost;
  /** Counts from 1 over the devices of a machine; records of dma-debug, faults and events name the device by it. */
  readonly id: number;
  /** As reports and the kernel's log print it, such as `0000:00:02.0`. */
  readonly name: string;
  /** Name of the driver, which dma-debug's filter compares; undefined for none. */
  readonly driver: string | undefined;
  /** Name of the PCIe switch that it is below; undefined at the root. */
  readonly switch: string | undefined;
  readonly #record: DmaDeviceHandle;
  readonly #life: Life;
  /** One load instead of three in each call. @internal */
  protected core: CoreExports;
  /** The machine's dma-debug: each call of the DMA API ends with one load, which tells whether there is a finding. */
  protected readonly dmaDebug: DmaDebug | null;
  private readonly gone: (() => void) | undefined;
  private attached: DmaDomain | 'passthrough' | undefined;
  /** The domain filled by hand that translates in place of its own. */
  private byHand: UnmanagedDomain | null = null;
  /** Maps lists of other devices' memory; null while the machine has no BAR. */
  private peers: PeerLists | null = null;
  private driven = false;
  /** Calls that are in the middle of mapping for it. */
  private holders = 0;
  /** First addresses that the masks do not reach, as they were set; 0 for a device without one. */
  protected streamingReach = 0;
  protected coherentReach = 0;
  private readonly busReach: number;
  private readonly regions: readonly ReservedRegion[];

  /** @internal The machine is disposed: see Core.release. */
  forgetCore(): void {
    this.core = {} as CoreExports;
  }

  /**
   * Adds a device.
   * @param gone for the machine: called once the device is destroyed
   * @throws TypeErrors and RangeErrors naming the option at fault; GemDmaError EIO for a mask that reaches too little; ENOMEM,
   *   EBUSY, EXDEV, ENODEV, ESTALE
   */
  constructor(host: DmaHost, options: DeviceOptions = {}, gone?: () => void) {
    const config = deviceConfig(options);
    const timeline = hostTimeline(host, 'device_add');
    const { domain } = config;
    if (domain !== undefined && domain !== 'passthrough') DmaDomain.check(domain, timeline, 'device_add');
    const pool = config.restrictedPool && BouncePool.recordIn(timeline, config.restrictedPool, 'device_add');
    this.host = host;
    this.id = config.id;
    this.name = config.name;
    this.driver = config.driver;
    this.switch = config.switch;
    if (gone !== undefined) checkFunction('gone', gone);
    this.gone = gone;
    this.dmaDebug = host.dmaDebugOrNull ?? null;
    const { exports } = host.core;
    this.core = exports;
    this.#record = made(
      exports.deviceCreate(host.context, this.id, config.sourceId),
      'device_add',
      'memory for a device',
    );
    this.#life = new Life(timeline, 'device');
    this.busReach = config.busReach;
    this.regions = config.reservedRegions;
    exports.deviceSetSegments(this.#record, config.maxSegment, config.segmentBoundaryBits, config.minAlignMask);
    const flags = (config.forceBounce ? DEVICE_FORCE_BOUNCE : 0) | (config.untrusted ? DEVICE_UNTRUSTED : 0);
    exports.deviceSetFlags(this.#record, flags, 0);
    try {
      for (const { cpu, bus, size } of config.ranges) {
        if (!exports.deviceAddRange(this.#record, cpu, bus, size)) {
          throw new GemDmaError('ENOMEM', 'device_add', 'no memory for the ranges of a device');
        }
      }
      if (domain !== undefined) this.attach(domain);
      else if (pool !== undefined) exports.swiotlbAssign(this.#record, pool);
      if (config.forcedac) exports.deviceSetFlags(this.#record, 0, DEVICE_TRY_32BIT);
      if (config.maskBits !== 0) this.checkMask('dma_set_mask', reachOf(config.maskBits));
      if (config.coherentMaskBits !== 0) this.checkMask('dma_set_coherent_mask', reachOf(config.coherentMaskBits));
      this.applyMask(reachOf(config.maskBits), reachOf(config.coherentMaskBits));
    } catch (error) {
      if (this.attached !== undefined) exports.detachDevice(this.#record);
      this.#life.end();
      exports.deviceDestroy(this.#record);
      throw error;
    }
    timeline.members.add(this);
    this.dmaDebug?.addDevice(this);
  }

  /** @internal Handle in the core. Throws for a device that is dead. */
  get handle(): DmaDeviceHandle {
    this.#life.enter('device');
    return this.#record;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #life in one;
  }

  /** @internal Every call begins here: the record. Throws for a device that is dead. */
  enter(call: string): DmaDeviceHandle {
    this.#life.enter(call);
    return this.#record;
  }

  /** @internal The same for a call that may map: its call site is taken where dma-debug is to have it. */
  begin(call: string): DmaDeviceHandle {
    this.#life.enter(call);
    if (this.dmaDebug?.callSites) this.dmaDebug.enter();
    return this.#record;
  }

  /** @internal The record of a table that a call takes. Errors as recordFor. */
  tableRecord(table: ScatterTable, call: string): SgTableHandle {
    return ScatterTable.recordFor(table, this.#life, call);
  }

  /** @internal Every call ends here, which reports findings of dma-debug. */
  settle(result?: unknown): void {
    this.dmaDebug?.settle(result);
  }

  /**
   * @internal The record of a device that a call takes beside an object that has entered.
   * @throws ERR_INVALID_ARG_TYPE if the argument is not a device; GemDmaError EXDEV, ESTALE, ENODEV
   */
  static recordFor(device: DmaDevice, user: Life, call: string): DmaDeviceHandle {
    user.join(StreamingDevice.lifeOf(device), call);
    return device.#record;
  }

  /** @internal For calls of a machine's own objects, such as its IOMMU. Errors as recordFor. */
  static recordIn(host: DmaHost, device: DmaDevice, call: string): DmaDeviceHandle {
    StreamingDevice.lifeOf(device).enterIn(hostTimeline(host, call), call);
    return device.#record;
  }

  private static lifeOf(device: DmaDevice): Life {
    if (typeof device !== 'object' || device === null || !(#life in device)) {
      throw invalidType('device', 'a DmaDevice', device);
    }
    return device.#life;
  }

  /** @internal */
  get unmanaged(): UnmanagedDomain | null {
    return this.byHand;
  }

  /** @internal */
  setUnmanaged(domain: UnmanagedDomain | null): void {
    this.byHand = domain;
  }

  /** @internal There are BARs: lists may have pages of theirs. */
  setPeers(): void {
    this.peers ??= new PeerLists();
  }

  /** @internal A driver has taken the device, or let it go. */
  setDriven(driven: boolean): void {
    this.driven = driven;
  }

  /** @internal A call that hooks run in and that needs the device until its end. */
  held<T>(work: () => T): T {
    ++this.holders;
    try {
      return work();
    } finally {
      --this.holders;
    }
  }

  /** Whether it can be used: it was not destroyed, and no restore went back to a time before it was added. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** The domain that translates for the device. */
  get domain(): DmaDomain | 'passthrough' | undefined {
    return this.attached;
  }

  /** Gives the device a domain. Throws EEXIST when it has one, EBUSY when its requester id is another's, ENOMEM. */
  attach(domain: DmaDomain | 'passthrough'): void {
    const call = 'iommu_attach_device';
    const record = this.enter(call);
    const target = domain === 'passthrough' ? 0 : DmaDomain.recordFor(domain, this.#life, call);
    if (this.attached !== undefined) throw new GemDmaError('EEXIST', call, `device ${this.id} has a domain already`);
    const rc = this.core.attachDevice(record, target);
    if (rc === -ERRNO.EBUSY) {
      throw new GemDmaError('EBUSY', call, `the requester id of device ${this.id} is another's`);
    }
    if (rc < 0) throw this.failure(call, rc, 'anything: it cannot be attached');
    this.attached = domain;
    if (domain !== 'passthrough') reserveRegions(domain, this.regions);
  }

  /** Ranges of addresses that its domains keep for it (iommu_get_resv_regions). */
  get reservedRegions(): readonly ReservedRegion[] {
    this.enter('iommu_get_resv_regions');
    return this.regions;
  }

  /** Takes the device out of its domain. EBUSY while a domain that is filled by hand translates for it. */
  detach(): void {
    const record = this.enter('iommu_detach_device');
    if (this.attached === undefined) return;
    if (this.byHand !== null) {
      throw new GemDmaError('EBUSY', 'iommu_detach_device', `device ${this.id} is attached to another domain by hand`);
    }
    this.core.detachDevice(record);
    this.attached = undefined;
  }

  /** Throws EIO for a mask that reaches too little (dma_supported). */
  protected checkMask(call: string, reach: number): void {
    const checked = this.host.kernel?.checksMasks ?? false;
    const translated = this.attached instanceof DmaDomain;
    if (checked ? reach >= X86_LEAST_REACH : translated || this.core.dmaMaskSupported(this.#record, reach)) return;
    this.core.deviceRefuse(this.#record, REASON_DMA_MASK_TOO_SMALL);
    throw maskRefused(call, this.id, reach);
  }

  // The bus limit restricts the device's reach; the masks are reported as they were set.
  protected applyMask(reach: number, coherentReach: number): void {
    this.streamingReach = reach;
    this.coherentReach = coherentReach;
    const limit = this.busReach || 2 ** 64;
    this.core.deviceSetReach(this.#record, Math.min(reach, limit), Math.min(coherentReach, limit));
    this.core.deviceAccept(this.#record);
  }

  /** dev->dma_mask and dev->bus_dma_limit, for the kernel's log; no limit is 0. @internal */
  get masks(): { mask: bigint; busLimit: bigint } {
    const last = (reach: number): bigint => (reach === 0 ? 0n : BigInt(reach) - 1n);
    return { mask: last(this.streamingReach), busLimit: last(this.busReach) };
  }

  /** Whether its accesses snoop the CPU's caches (dev_is_dma_coherent). */
  get coherent(): boolean {
    return true;
  }

  /** The cause of the last call's failure, as a stable identifier; undefined after a call that succeeded. */
  get reason(): string | undefined {
    return reasonName(this.core.deviceReason(this.enter('device')));
  }

  /**
   * Calls that mapped and unmapped, a list counting once, and the pages over all of them. Reserved address space is one
   * mapping from allocIova to free, whatever is linked into it.
   */
  get counts(): {
    /** Mappings made; a list counts once. */
    maps: number;
    /** Mappings ended. */
    unmaps: number;
    /** Pages of 4 KiB that these mapped. */
    pagesMapped: number;
    /** Pages of 4 KiB that these ended. */
    pagesUnmapped: number;
  } {
    const record = this.enter('device');
    const { deviceMaps, devicePagesMapped, devicePagesUnmapped, deviceUnmaps } = this.host.core.tools;
    return {
      maps: deviceMaps(record) >>> 0,
      unmaps: deviceUnmaps(record) >>> 0,
      pagesMapped: devicePagesMapped(record),
      pagesUnmapped: devicePagesUnmapped(record),
    };
  }

  /**
   * Maps `length` bytes from `offset` on in page `pfn` (dma_map_page_attrs).
   * Returns the device's address, DMA_MAPPING_ERROR with the cause in `reason`.
   */
  mapPage(pfn: number, offset: number, length: number, dir: Direction, attrs = 0): number {
    // Written out: a shared function would have the types of all its callers.
    if (typeof pfn !== 'number' || pfn >>> 0 !== pfn) badPage(pfn, offset, length);
    if (typeof offset !== 'number' || offset >>> 0 !== offset) badPage(pfn, offset, length);
    if (typeof length !== 'number' || length >>> 0 !== length) badPage(pfn, offset, length);
    if (typeof dir !== 'number' || (dir & DIRECTION_BITS) !== dir) badTransfer(dir, attrs);
    if (typeof attrs !== 'number' || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    try {
      this.#life.enter('dma_map_page');
    } catch (error) {
      throw refusal(StreamingDevice.is, this, error, 'dma_map_page');
    }
    const debug = this.dmaDebug;
    if (debug === null) return this.core.dmaMapPage(this.#record, pfn, offset, length, dir, attrs);
    if (debug.callSites) debug.enter();
    const address = this.core.dmaMapPage(this.#record, pfn, offset, length, dir, attrs);
    debug.settle(address);
    return address;
  }

  /** Ends a mapping of mapPage or mapSingle, with the length and direction that it was made with (dma_unmap_page_attrs). */
  unmapPage(address: number, length: number, dir: Direction, attrs = 0): void {
    if (typeof length !== 'number' || length >>> 0 !== length) badPage(0, 0, length);
    if (typeof address !== 'number' || !(address >= -1 && address <= MAX_DEVICE_ADDRESS)) badAddress(address);
    if (Math.floor(address) !== address) badAddress(address);
    if (typeof dir !== 'number' || (dir & DIRECTION_BITS) !== dir) badTransfer(dir, attrs);
    if (typeof attrs !== 'number' || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    try {
      this.#life.enter('dma_unmap_page');
    } catch (error) {
      throw refusal(StreamingDevice.is, this, error, 'dma_unmap_page');
    }
    this.core.dmaUnmapPage(this.#record, address, length, dir, attrs);
    if (this.dmaDebug !== null) this.dmaDebug.settle();
  }

  /**
   * mapPage for a buffer's address (dma_map_single_attrs): `physical` is what virt_to_phys gives. A buffer in vmalloc
   * space, or on a virtually mapped stack, has no one physical address: `vmalloc` says so, and the call is refused.
   */
  mapSingle(physical: number, length: number, dir: Direction, attrs = 0, vmalloc = false): number {
    checkInteger('physical', physical, 0, MAX_U32 * PAGE_SIZE);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir, attrs);
    checkBoolean('vmalloc', vmalloc, false);
    if (!StreamingDevice.is(this)) throw notMade('dma_map_single');
    const address = this.core.dmaMapSingle(this.begin('dma_map_single'), physical, length, dir, attrs, vmalloc);
    this.settle(address);
    return address;
  }

  /** Ends a mapping of mapSingle (dma_unmap_single_attrs). */
  unmapSingle(address: number, length: number, dir: Direction, attrs = 0): void {
    this.unmapPage(address, length, dir, attrs);
  }

  /**
   * Maps a table (dma_map_sg_attrs). Returns its segments, 0 with the cause in `reason`. A mapping that the table already has is
   * leaked, not undone (the bug of commit e227330223a7).
   */
  mapSg(table: ScatterTable, dir: Direction, attrs = 0): number {
    // Written out, as mapPage.
    if (typeof dir !== 'number' || (dir & DIRECTION_BITS) !== dir) badTransfer(dir, attrs);
    if (typeof attrs !== 'number' || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    let life: Life;
    try {
      life = this.#life;
      life.enter('dma_map_sg');
    } catch (error) {
      throw refusal(StreamingDevice.is, this, error, 'dma_map_sg');
    }
    const list = ScatterTable.recordFor(table, life, 'dma_map_sg');
    const debug = this.dmaDebug;
    if (debug?.callSites) debug.enter();
    const rc =
      this.peers?.map(this as unknown as DmaDevice, table, dir, attrs) ??
      this.core.dmaMapSg(this.#record, list, dir, attrs);
    const segments = rc > 0 ? rc : 0;
    if (debug !== null) debug.settle(segments);
    return segments;
  }

  /** Maps a table (dma_map_sgtable). Throws GemDmaError ENOMEM, EINVAL or EIO with the cause as its reason. */
  mapSgTable(table: ScatterTable, dir: Direction, attrs = 0): void {
    const rc = this.mapTable(table, dir, attrs);
    if (rc <= 0) throw this.failed('dma_map_sg', rc, `a list of ${table.origNents} entries, ${table.bytes} bytes`);
    if (this.dmaDebug !== null) this.dmaDebug.settle();
  }

  private mapTable(table: ScatterTable, dir: Direction, attrs: number): number {
    if (!isTransfer(dir, attrs)) badTransfer(dir, attrs);
    this.#life.enter('dma_map_sg');
    const list = ScatterTable.recordFor(table, this.#life, 'dma_map_sg');
    if (this.dmaDebug?.callSites) this.dmaDebug.enter();
    if (this.peers !== null) {
      const rc = this.peers.map(this as unknown as DmaDevice, table, dir, attrs);
      if (rc !== undefined) return rc;
    }
    return this.core.dmaMapSg(this.#record, list, dir, attrs);
  }

  /**
   * Ends a table's mapping (dma_unmap_sg_attrs). `nents` is what map was given; the kernel looks at no more segments.
   * @throws TypeError or RangeError for a direction, attributes or `nents` that cannot be; GemDmaError for a table of
   *   another machine, or freed
   */
  unmapSg(table: ScatterTable, dir: Direction, attrs = 0, nents?: number): void {
    if (typeof dir !== 'number' || (dir & DIRECTION_BITS) !== dir) badTransfer(dir, attrs);
    if (typeof attrs !== 'number' || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    let count = EVERY_ENTRY;
    if (nents !== undefined) count = checkInteger('nents', nents, 0, MAX_NENTS);
    let life: Life;
    try {
      life = this.#life;
      life.enter('dma_unmap_sg');
    } catch (error) {
      throw refusal(StreamingDevice.is, this, error, 'dma_unmap_sg');
    }
    const list = ScatterTable.recordFor(table, life, 'dma_unmap_sg');
    if (this.peers === null || !this.peers.unmap(this as unknown as DmaDevice, table, count, dir, attrs)) {
      this.core.dmaUnmapSg(this.#record, list, count, dir, attrs);
    }
    const debug = this.dmaDebug;
    if (debug !== null) debug.settle();
  }

  /**
   * Maps registers of another device (dma_map_resource). Returns the address, or DMA_MAPPING_ERROR.
   * @param physical below 2^52, which is where the host's addresses end
   * @throws TypeError or RangeError for an address, a length, a direction or attributes that cannot be
   */
  mapResource(physical: number, length: number, dir: Direction, attrs = 0): number {
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
    checkInteger('length', length, 0, Math.min(MAX_U32, PHYSICAL_LIMIT - physical));
    checkTransfer(dir, attrs);
    const address = this.core.dmaMapResource(this.begin('dma_map_resource'), physical, length, dir, attrs);
    this.settle(address);
    return address;
  }

  /**
   * Ends a mapping of mapResource (dma_unmap_resource).
   * @throws TypeError or RangeError for an address, a length, a direction or attributes that cannot be
   */
  unmapResource(address: number, length: number, dir: Direction, attrs = 0): void {
    if (!isAddress(address)) badAddress(address);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir, attrs);
    this.core.dmaUnmapResource(this.enter('dma_unmap_resource'), address, length, dir, attrs);
    this.settle();
  }

  /**
   * What mapPage, mapSingle and mapResource return when they fail: DMA_MAPPING_ERROR, but 0 on kernels that had no error value of
   * their own (DMA_ERROR_CODE of x86). A driver asks `mappingError`.
   */
  get errorAddress(): number {
    return this.core.deviceErrorAddress(this.enter('device'));
  }

  /** Whether an address says that mapping failed (dma_mapping_error); dma-debug notes that the driver has asked. */
  mappingError(address: number): boolean {
    if (typeof address !== 'number' || !(address >= -1 && address <= MAX_DEVICE_ADDRESS)) badAddress(address);
    if (Math.floor(address) !== address) badAddress(address);
    return Boolean(this.core.dmaMappingError(this.enter('dma_mapping_error'), address));
  }

  /** Hands part of a mapping to the CPU (dma_sync_single_for_cpu). @throws TypeError, RangeError for what cannot be */
  syncForCpu(address: number, length: number, dir: Direction): void {
    this.syncSingle(address, length, dir, false);
  }

  /** Hands part of a mapping to the device (dma_sync_single_for_device). @throws TypeError, RangeError for what cannot be */
  syncForDevice(address: number, length: number, dir: Direction): void {
    this.syncSingle(address, length, dir, true);
  }

  private syncSingle(address: number, length: number, dir: Direction, forDevice: boolean): void {
    if (!isAddress(address)) badAddress(address);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir);
    this.core.dmaSyncSingle(this.enter('dma_sync_single'), address, length, dir, forDevice);
    this.settle();
  }

  /**
   * Hands a mapped table to the CPU (dma_sync_sg_for_cpu).
   * @throws TypeError or RangeError for a direction or `nents` that cannot be; GemDmaError for a table of another
   *   machine, or freed
   */
  syncSgForCpu(table: ScatterTable, dir: Direction, nents?: number): void {
    this.syncTable(table, dir, nents, false);
  }

  /**
   * Hands a mapped table to the device (dma_sync_sg_for_device).
   * @throws TypeError or RangeError for a direction or `nents` that cannot be; GemDmaError for a table of another
   *   machine, or freed
   */
  syncSgForDevice(table: ScatterTable, dir: Direction, nents?: number): void {
    this.syncTable(table, dir, nents, true);
  }

  private syncTable(table: ScatterTable, dir: Direction, nents: number | undefined, forDevice: boolean): void {
    checkTransfer(dir);
    if (nents !== undefined) checkInteger('nents', nents, 0, MAX_NENTS);
    const record = this.enter('dma_sync_sg');
    const list = this.tableRecord(table, 'dma_sync_sg');
    this.core.dmaSyncSg(record, list, nents ?? table.origNents, dir, forDevice);
    this.settle();
  }

  /** @internal The driver was unbound: devres is released, the newest first. */
  releaseManaged(): void {}

  /**
   * Frees the device, which first leaves its domain. A domain that `addDevice` made is freed with its last device. A second call does
   * nothing. EBUSY while a driver is bound to it, and from within an exporter that maps for it.
   */
  destroy(): void {
    if (!this.#life.ending('device_del')) return;
    if (this.driven) {
      const message = `the driver of device ${this.id} is bound to it: remove that first`;
      throw new GemDmaError('EBUSY', 'device_del', message, { reason: 'DRIVER_BOUND' });
    }
    if (this.holders > 0) {
      const message = `a call works with device ${this.id}: not from within a hook of that call`;
      throw new GemDmaError('EBUSY', 'device_del', message, { reason: 'OBJECT_BUSY' });
    }
    const { calls, timeline } = this.host.core;
    calls.run(() => {
      this.releaseManaged();
      this.dmaDebug?.removeDevice(this);
      this.byHand?.leave(this as unknown as DmaDevice);
      if (this.attached !== undefined) this.core.detachDevice(this.#record);
      this.core.deviceDestroy(this.#record);
      this.#life.end();
      timeline.members.delete(this);
      this.gone?.();
      this.attached = undefined;
    });
  }

  /** Removes the device, as `destroy()`. */
  [Symbol.dispose](): void {
    if (this.alive) this.destroy();
  }

  /** @internal The error of a failed call. Findings of dma-debug in it are reported, not thrown instead. */
  failed(syscall: string, rc: number, what: string): GemDmaError {
    const error = this.failure(syscall, rc, what);
    this.host.core.calls.failed();
    return error;
  }

  /** @internal The error of a call that returned a negative errno; `what` is what it was to map. */
  failure(syscall: string, rc: number, what: string): GemDmaError {
    return callFailed(this.core, this.host.context, this.id, syscall, rc, what);
  }
}
