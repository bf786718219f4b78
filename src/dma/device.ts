import {
  ATTRIBUTE_BITS,
  badAddress,
  badTransfer,
  checkBoolean,
  checkOptions,
  checkString,
  checkTransfer,
  DIRECTION_BITS,
  hostTimeline,
  isAddress,
} from '../core/arguments.js';
import {
  checkInteger,
  ERRNO,
  type ErrnoName,
  errnoName,
  GemDmaError,
  invalidType,
  invalidValue,
} from '../core/errors.js';
import {
  ALL_ENTRIES,
  DEVICE_FORCE_BOUNCE,
  DMA_ATTR_ALLOC_SINGLE_PAGES,
  DMA_ATTR_FORCE_CONTIGUOUS,
  DMA_ATTR_NO_KERNEL_MAPPING,
  DMA_ATTR_NO_WARN,
  DMA_ATTR_PRIVILEGED,
  DMA_ATTR_SKIP_CPU_SYNC,
  DMA_ATTR_WEAK_ORDERING,
  DMA_ATTR_WRITE_COMBINE,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  PROT_READ,
  PROT_WRITE,
  TYPE_PAGE,
} from '../core/generated/constants.js';
import type { CoreExports } from '../core/generated/exports.js';
import { Life } from '../core/life.js';
import { reasonName } from '../core/reasons.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import { DmaDomain } from './domain.js';
import { type DmaHost, ScatterTable } from './sg-table.js';

/**
 * The DMA API of a device (include/linux/dma-mapping.h): what a driver calls to let its device reach memory. Calls that
 * can fail in a driver's hands return what the kernel's return, with the cause in `reason`; the ones that throw say so.
 */

/** Which way data moves (enum dma_data_direction). */
export { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE };

export type Direction = typeof DMA_BIDIRECTIONAL | typeof DMA_TO_DEVICE | typeof DMA_FROM_DEVICE;

/** What a failed single mapping returns. */
export const DMA_MAPPING_ERROR = -1;

/** Attributes of a mapping, to be OR-ed (include/linux/dma-mapping.h). */
export const DMA_ATTR = {
  WEAK_ORDERING: DMA_ATTR_WEAK_ORDERING,
  WRITE_COMBINE: DMA_ATTR_WRITE_COMBINE,
  NO_KERNEL_MAPPING: DMA_ATTR_NO_KERNEL_MAPPING,
  SKIP_CPU_SYNC: DMA_ATTR_SKIP_CPU_SYNC,
  FORCE_CONTIGUOUS: DMA_ATTR_FORCE_CONTIGUOUS,
  ALLOC_SINGLE_PAGES: DMA_ATTR_ALLOC_SINGLE_PAGES,
  NO_WARN: DMA_ATTR_NO_WARN,
  PRIVILEGED: DMA_ATTR_PRIVILEGED,
} as const;

export interface DeviceOptions {
  /** As findings and reports name it. Default its PCI address, such as `0000:00:02.0`. */
  name?: string;
  /** Name of the bound driver, for dma-debug's driver filter. */
  driver?: string;
  /** Number that events, findings and faults carry. Default 1. */
  id?: number;
  /** PCI requester id, bus << 8 | device << 3 | function. Default id << 3. */
  sourceId?: number;
  /** Bits of address that the device has (dma_set_mask). Default 32. */
  maskBits?: number;
  /** The same for coherent memory (dma_set_coherent_mask). Default maskBits. */
  coherentMaskBits?: number;
  /** Longest segment in bytes (dma_set_max_seg_size). Default 64 KiB. */
  maxSegment?: number;
  /** No segment crosses a multiple of 2^this (dma_set_seg_boundary). Default 32. */
  segmentBoundaryBits?: number;
  /** Low bits of an address that bouncing preserves (dma_set_min_align_mask). Default 0. */
  minAlignMask?: number;
  /** Bounce every streaming mapping (swiotlb=force). Default false. */
  forceBounce?: boolean;
  /** The domain that translates, `passthrough` for an identity domain, nothing for no IOMMU. */
  domain?: DmaDomain | 'passthrough';
}

/** As a small integer. */
const EVERY_ENTRY = ALL_ENTRIES | 0;
const MAX_NENTS = 0x7fffffff;
const MAX_U32 = 0xffffffff;
/** Records of dma-debug have 15 bits for a device's number (assembly/dma-debug/log.ts). */
const MAX_ID = 0x7fff;

const OPTIONS: readonly (keyof DeviceOptions)[] = [
  'name',
  'driver',
  'id',
  'sourceId',
  'maskBits',
  'coherentMaskBits',
  'maxSegment',
  'segmentBoundaryBits',
  'minAlignMask',
  'forceBounce',
  'domain',
];
/** Addresses of the host bus are that wide (x86 with four or five levels of its own tables). */
const PHYSICAL_LIMIT = 2 ** 52;

export class DmaDevice {
  /** @internal */
  readonly host: DmaHost;
  readonly id: number;
  readonly name: string;
  readonly driver: string | undefined;
  readonly #record: number;
  readonly #life: Life;
  /** One load instead of three on the way to each call. */
  private readonly core: CoreExports;
  /** The machine's dma-debug: asked after each call of the DMA API whether it found something, which is one load. */
  private readonly dmaDebug: DmaDebug | null;
  private readonly gone: (() => void) | undefined;
  private attached: DmaDomain | 'passthrough' | undefined;
  private driven = false;

  /** The machine is disposed: nothing of the core is reached for any more. @internal */
  forgetCore(): void {
    (this as unknown as { core: unknown }).core = {};
  }

  /**
   * Adds a device.
   * @param gone for the machine: called once the device is destroyed
   * @throws TypeErrors and RangeErrors naming the option at fault; GemDmaError ENOMEM, EBUSY, EXDEV, ENODEV, ESTALE
   */
  constructor(host: DmaHost, options: DeviceOptions = {}, gone?: () => void) {
    const timeline = hostTimeline(host, 'device_add');
    checkOptions('options', options, OPTIONS);
    this.host = host;
    this.id = checkInteger('id', options.id ?? 1, 1, MAX_ID);
    const sourceId = checkInteger('sourceId', options.sourceId ?? (this.id << 3) & 0xffff, 0, 0xffff);
    const maskBits = checkInteger('maskBits', options.maskBits ?? 32, 12, 64);
    const coherentMaskBits = checkInteger('coherentMaskBits', options.coherentMaskBits ?? maskBits, 12, 64);
    const maxSegment = checkInteger('maxSegment', options.maxSegment ?? 65536, 1, MAX_U32);
    const boundaryBits = checkInteger('segmentBoundaryBits', options.segmentBoundaryBits ?? 32, 1, 64);
    const minAlignMask = checkInteger('minAlignMask', options.minAlignMask ?? 0, 0, MAX_U32);
    const forceBounce = checkBoolean('forceBounce', options.forceBounce, false);
    const { domain } = options;
    if (domain !== undefined && domain !== 'passthrough') DmaDomain.check(domain, timeline, 'device_add');
    this.name = checkString('name', options.name) ?? pciName(sourceId);
    this.driver = checkString('driver', options.driver);
    this.gone = gone;
    this.dmaDebug = host.dmaDebugOrNull ?? null;
    const { exports } = host.core;
    this.core = exports;
    this.#record = exports.deviceCreate(host.context, this.id, sourceId);
    if (this.#record === 0) throw new GemDmaError('ENOMEM', 'device_add', 'no memory for a device');
    this.#life = new Life(timeline, 'device');
    exports.deviceSetMask(this.#record, maskBits, coherentMaskBits);
    exports.deviceSetSegments(this.#record, maxSegment, boundaryBits, minAlignMask);
    if (forceBounce) exports.deviceSetFlags(this.#record, DEVICE_FORCE_BOUNCE, 0);
    try {
      if (domain !== undefined) this.attach(domain);
    } catch (error) {
      this.#life.end();
      exports.deviceDestroy(this.#record);
      throw error;
    }
    timeline.members.add(this);
    this.dmaDebug?.addDevice(this);
  }

  /** @internal Handle in the core. Throws for a device that is dead. */
  get handle(): number {
    return this.#enter('device');
  }

  #enter(call: string): number {
    this.#life.enter(call);
    return this.#record;
  }

  /**
   * @internal The record of a device that a call takes beside an object that has entered.
   * @throws ERR_INVALID_ARG_TYPE for what is no device; GemDmaError EXDEV, ESTALE, ENODEV
   */
  static recordFor(device: DmaDevice, user: Life, call: string): number {
    user.join(DmaDevice.lifeOf(device), call);
    return device.#record;
  }

  /** @internal For calls of a machine's own objects, such as its IOMMU. Errors as recordFor. */
  static recordIn(host: DmaHost, device: DmaDevice, call: string): number {
    DmaDevice.lifeOf(device).enterIn(hostTimeline(host, call), call);
    return device.#record;
  }

  private static lifeOf(device: DmaDevice): Life {
    if (typeof device !== 'object' || device === null || !(#life in device)) {
      throw invalidType('device', 'a DmaDevice', device);
    }
    return device.#life;
  }

  /** @internal A driver has taken the device, or let it go. */
  setDriven(driven: boolean): void {
    this.driven = driven;
  }

  /** Whether it can be used: it was not destroyed, and the machine did not go back to before it was added. */
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
    const record = this.#enter(call);
    const target = domain === 'passthrough' ? 0 : DmaDomain.recordFor(domain, this.#life, call);
    if (this.attached !== undefined) throw new GemDmaError('EEXIST', call, `device ${this.id} has a domain already`);
    const rc = this.core.attachDevice(record, target);
    if (rc === -ERRNO.EBUSY) {
      throw new GemDmaError('EBUSY', call, `the requester id of device ${this.id} is another's`);
    }
    if (rc < 0) throw this.failure(call, rc, 'anything: it cannot be attached');
    this.attached = domain;
  }

  /** Takes the device out of its domain. */
  detach(): void {
    const record = this.#enter('iommu_detach_device');
    if (this.attached === undefined) return;
    this.core.detachDevice(record);
    this.attached = undefined;
  }

  /** Widths of what the device can address, in bits (dma_set_mask_and_coherent). */
  setMask(bits: number, coherentBits = bits): void {
    checkInteger('bits', bits, 12, 64);
    checkInteger('coherentBits', coherentBits, 12, 64);
    this.core.deviceSetMask(this.#enter('dma_set_mask'), bits, coherentBits);
  }

  /** What a segment may be: longest length, boundary width in bits, alignment kept by bouncing. */
  setSegments(maxSegment: number, boundaryBits = 32, minAlignMask = 0): void {
    checkInteger('maxSegment', maxSegment, 1, MAX_U32);
    checkInteger('boundaryBits', boundaryBits, 1, 64);
    checkInteger('minAlignMask', minAlignMask, 0, MAX_U32);
    this.core.deviceSetSegments(this.#enter('dma_set_max_seg_size'), maxSegment, boundaryBits, minAlignMask);
  }

  /** Why the last call that failed did, as a stable identifier. */
  get reason(): string | undefined {
    this.#enter('device');
    return reasonName(this.core.lastReason(this.host.context));
  }

  /**
   * Calls that mapped and unmapped, a list counting once, and the pages over all of them. Reserved address space is one
   * mapping from allocIova to free, whatever is linked into it.
   */
  get counts(): { maps: number; unmaps: number; pagesMapped: number; pagesUnmapped: number } {
    const record = this.#enter('device');
    const { deviceMaps, devicePagesMapped, devicePagesUnmapped, deviceUnmaps } = this.host.core.tools;
    return {
      maps: deviceMaps(record) >>> 0,
      unmaps: deviceUnmaps(record) >>> 0,
      pagesMapped: devicePagesMapped(record),
      pagesUnmapped: devicePagesUnmapped(record),
    };
  }

  /**
   * What a driver may ask before it maps: the mask below which entries are merged whatever their addresses
   * (dma_get_merge_boundary, 0 for no merging), the longest single mapping and the longest one that is fast, in bytes, 2^64
   * where nothing limits it (dma_max_mapping_size, dma_opt_mapping_size).
   */
  get limits(): { mergeBoundary: number; maxMapping: number; optMapping: number } {
    const record = this.#enter('dma_max_mapping_size');
    const { dmaMaxMapping, dmaMergeBoundary, dmaOptMapping } = this.core;
    return {
      mergeBoundary: dmaMergeBoundary(record),
      maxMapping: dmaMaxMapping(record),
      optMapping: dmaOptMapping(record),
    };
  }

  /**
   * Maps `length` bytes from `offset` on in page `pfn` (dma_map_page_attrs).
   * Returns the device's address, DMA_MAPPING_ERROR with the cause in `reason`.
   */
  mapPage(pfn: number, offset: number, length: number, dir: Direction, attrs = 0): number {
    if (pfn >>> 0 !== pfn || offset >>> 0 !== offset || length >>> 0 !== length) badPage(pfn, offset, length);
    if ((dir & DIRECTION_BITS) !== dir || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    this.#life.enter('dma_map_page');
    const debug = this.dmaDebug;
    if (debug === null) return this.core.dmaMapPage(this.#record, pfn, offset, length, dir, attrs);
    if (debug.callSites) debug.enter();
    const address = this.core.dmaMapPage(this.#record, pfn, offset, length, dir, attrs);
    debug.settle();
    return address;
  }

  /**
   * Makes a mapping that is known to exist, at its address: table entries, range and entry of dma-debug are then as if
   * mapPage had returned that address. For replays of traces that begin in the middle; it counts in no statistics.
   * @param address what the device uses, with the same offset in its page as the memory
   * @param physical of the first byte
   * @throws GemDmaError EEXIST when a part of the range is taken, ENOMEM, EINVAL where the device's ops cannot give that
   *   address; RangeErrors
   */
  mapPageAt(address: number, physical: number, length: number, dir: Direction, attrs = 0): void {
    const call = 'dma_map_page';
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
    checkInteger('length', length, 1, MAX_U32);
    checkTransfer(dir, attrs);
    const record = this.#enter(call);
    const offset = address % 4096;
    const { attached } = this;
    if (attached instanceof DmaDomain) {
      if (physical % 4096 !== offset) throw new GemDmaError('EINVAL', call, 'an IOMMU keeps the offset in the page');
      const bytes = Math.ceil((offset + length) / 4096) * 4096;
      attached.claimRange((address - offset) / 4096, bytes / 4096, call);
      const prot = dir === DMA_TO_DEVICE ? PROT_READ : dir === DMA_FROM_DEVICE ? PROT_WRITE : PROT_READ | PROT_WRITE;
      const rc = this.core.domainMap(attached.handle, address - offset, physical - offset, bytes, prot);
      if (rc < 0) {
        this.core.iovaRelease(attached.iova, (address - offset) / 4096);
        throw this.failure(call, rc, `${length} bytes at 0x${address.toString(16)}`);
      }
    } else if (address !== physical) {
      throw new GemDmaError('EINVAL', call, 'without translation an address is that of the memory');
    }
    if (this.dmaDebug !== null) {
      this.enter();
      this.core.debugFeedMap(record, physical, length, dir, address, attrs, TYPE_PAGE);
      // The driver that has it has asked whether it is one.
      this.core.debugFeedMappingError(record, address);
      this.dmaDebug.settle();
    }
  }

  /** Ends a mapping of mapPage or mapSingle, with the length and direction that it was made with (dma_unmap_page_attrs). */
  unmapPage(address: number, length: number, dir: Direction, attrs = 0): void {
    if (length >>> 0 !== length) badPage(0, 0, length);
    if (!isAddress(address)) badAddress(address);
    if ((dir & DIRECTION_BITS) !== dir || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    this.#life.enter('dma_unmap_page');
    this.core.dmaUnmapPage(this.#record, address, length, dir, attrs);
    if (this.dmaDebug !== null) this.dmaDebug.settle();
  }

  /**
   * mapPage for a buffer's address (dma_map_single_attrs): `physical` is what virt_to_phys gives. A buffer in vmalloc space, or on
   * a virtually mapped stack, has no one physical address: `vmalloc` says so, and the call is refused.
   */
  mapSingle(physical: number, length: number, dir: Direction, attrs = 0, vmalloc = false): number {
    checkInteger('physical', physical, 0, MAX_U32 * 4096);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir, attrs);
    checkBoolean('vmalloc', vmalloc, false);
    const record = this.#enter('dma_map_single');
    this.enter();
    return this.settled(this.core.dmaMapSingle(record, physical, length, dir, attrs, vmalloc));
  }

  /** Ends a mapping of mapSingle (dma_unmap_single_attrs). */
  unmapSingle(address: number, length: number, dir: Direction, attrs = 0): void {
    this.unmapPage(address, length, dir, attrs);
  }

  /**
   * Maps a table (dma_map_sg_attrs). Returns its segments, 0 with the cause in `reason`.
   * A mapping that the table already has is forgotten, not undone: that is the bug this project began with.
   */
  mapSg(table: ScatterTable, dir: Direction, attrs = 0): number {
    const rc = this.mapTable(table, dir, attrs);
    return Math.max(rc, 0);
  }

  /** Maps a table (dma_map_sgtable). Throws GemDmaError ENOMEM, EINVAL or EIO with the cause as its reason. */
  mapSgTable(table: ScatterTable, dir: Direction, attrs = 0): void {
    const rc = this.mapTable(table, dir, attrs);
    if (rc <= 0) throw this.failure('dma_map_sg', rc, `a list of ${table.origNents} entries, ${table.bytes} bytes`);
  }

  private mapTable(table: ScatterTable, dir: Direction, attrs: number): number {
    if ((dir & DIRECTION_BITS) !== dir || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    this.#life.enter('dma_map_sg');
    const list = ScatterTable.recordFor(table, this.#life, 'dma_map_sg');
    const debug = this.dmaDebug;
    if (debug === null) return this.core.dmaMapSg(this.#record, list, dir, attrs);
    if (debug.callSites) debug.enter();
    const rc = this.core.dmaMapSg(this.#record, list, dir, attrs);
    debug.settle();
    return rc;
  }

  /** Ends a table's mapping (dma_unmap_sg_attrs). `nents` is what map was given; the kernel looks at no more segments. */
  unmapSg(table: ScatterTable, dir: Direction, attrs = 0, nents?: number): void {
    if ((dir & DIRECTION_BITS) !== dir || (attrs & ATTRIBUTE_BITS) !== attrs) badTransfer(dir, attrs);
    if (nents !== undefined) checkInteger('nents', nents, 0, MAX_NENTS);
    this.#life.enter('dma_unmap_sg');
    const list = ScatterTable.recordFor(table, this.#life, 'dma_unmap_sg');
    this.core.dmaUnmapSg(this.#record, list, nents ?? EVERY_ENTRY, dir, attrs);
    if (this.dmaDebug !== null) this.dmaDebug.settle();
  }

  /**
   * Maps registers of another device (dma_map_resource). Returns the address, or DMA_MAPPING_ERROR.
   * @param physical below 2^52, which is where the host's addresses end
   */
  mapResource(physical: number, length: number, dir: Direction, attrs = 0): number {
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
    checkInteger('length', length, 0, Math.min(MAX_U32, PHYSICAL_LIMIT - physical));
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_map_resource');
    this.enter();
    return this.settled(this.core.dmaMapResource(record, physical, length, dir, attrs));
  }

  /** Ends a mapping of mapResource (dma_unmap_resource). */
  unmapResource(address: number, length: number, dir: Direction, attrs = 0): void {
    if (!isAddress(address)) badAddress(address);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir, attrs);
    this.core.dmaUnmapResource(this.#enter('dma_unmap_resource'), address, length, dir, attrs);
    this.dmaDebug?.settle();
  }

  /** Whether an address says that mapping failed (dma_mapping_error); dma-debug notes that the driver has asked. */
  mappingError(address: number): boolean {
    if (!isAddress(address)) badAddress(address);
    return Boolean(this.core.dmaMappingError(this.#enter('dma_mapping_error'), address));
  }

  /** Hands part of a mapping to the CPU (dma_sync_single_for_cpu). */
  syncForCpu(address: number, length: number, dir: Direction): void {
    this.syncSingle(address, length, dir, false);
  }

  /** Hands part of a mapping to the device (dma_sync_single_for_device). */
  syncForDevice(address: number, length: number, dir: Direction): void {
    this.syncSingle(address, length, dir, true);
  }

  private syncSingle(address: number, length: number, dir: Direction, forDevice: boolean): void {
    if (!isAddress(address)) badAddress(address);
    checkInteger('length', length, 0, MAX_U32);
    checkTransfer(dir);
    this.core.dmaSyncSingle(this.#enter('dma_sync_single'), address, length, dir, forDevice);
    this.dmaDebug?.settle();
  }

  /** Hands a mapped table to the CPU (dma_sync_sg_for_cpu). */
  syncSgForCpu(table: ScatterTable, dir: Direction, nents?: number): void {
    this.syncTable(table, dir, nents, false);
  }

  /** Hands a mapped table to the device (dma_sync_sg_for_device). */
  syncSgForDevice(table: ScatterTable, dir: Direction, nents?: number): void {
    this.syncTable(table, dir, nents, true);
  }

  private syncTable(table: ScatterTable, dir: Direction, nents: number | undefined, forDevice: boolean): void {
    checkTransfer(dir);
    if (nents !== undefined) checkInteger('nents', nents, 0, MAX_NENTS);
    const record = this.#enter('dma_sync_sg');
    const list = ScatterTable.recordFor(table, this.#life, 'dma_sync_sg');
    this.core.dmaSyncSg(record, list, nents ?? table.origNents, dir, forDevice);
    this.dmaDebug?.settle();
  }

  /**
   * Memory that device and CPU share (dma_alloc_attrs), zeroed, at one address for the device.
   * Throws GemDmaError ENOMEM with the cause as its reason.
   */
  allocCoherent(length: number, attrs = 0): CoherentBuffer {
    checkInteger('length', length, 1, MAX_U32);
    checkTransfer(DMA_BIDIRECTIONAL, attrs);
    const record = this.#enter('dma_alloc_coherent');
    this.enter();
    const handle = this.core.dmaAllocCoherent(record, length, attrs);
    if (handle === 0) throw this.failure('dma_alloc_coherent', -ERRNO.ENOMEM, `${length} bytes of coherent memory`);
    const buffer = new CoherentBuffer(this, length, ScatterTable.lend(this.host, handle));
    try {
      this.dmaDebug?.settle();
    } catch (error) {
      // A finding that is thrown, or a callback's error: nobody gets the buffer.
      this.core.dmaFreeCoherent(record, handle, length, buffer.address);
      buffer.table.forget();
      throw error;
    }
    return buffer;
  }

  /**
   * Frees a coherent buffer (dma_free_attrs). Length and address are what the driver claims; they are unmapped, whatever the
   * buffer is.
   * @throws GemDmaError ENODEV for a buffer that was freed
   */
  freeCoherent(buffer: CoherentBuffer, length?: number, address?: number): void {
    const record = this.#enter('dma_free_coherent');
    if (!(buffer instanceof CoherentBuffer)) throw invalidType('buffer', 'a CoherentBuffer', buffer);
    const list = ScatterTable.recordFor(buffer.table, this.#life, 'dma_free_coherent');
    checkInteger('length', length ?? buffer.length, 0, MAX_U32);
    if (!isAddress(address ?? buffer.address)) badAddress(address);
    this.core.dmaFreeCoherent(record, list, length ?? buffer.length, address ?? buffer.address);
    buffer.table.forget();
    this.dmaDebug?.settle();
  }

  /**
   * Reserves address space for `size` bytes to be linked into later (dma_iova_try_alloc); `physical` tells where in its page the
   * first byte will be. Throws ENOMEM with the cause as its reason, EINVAL for a device without a domain.
   */
  allocIova(size: number, physical = 0): LinkedRange {
    checkInteger('size', size, 1, PHYSICAL_LIMIT);
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - 1);
    const record = this.#enter('dma_iova_try_alloc');
    this.enter();
    const address = this.core.dmaIovaTryAlloc(record, physical, size);
    if (address < 0) {
      const code = this.reason === 'DMA_NO_IOMMU' ? ERRNO.EINVAL : ERRNO.ENOMEM;
      throw this.failure('dma_iova_try_alloc', -code, `${size} bytes of address space`);
    }
    return new LinkedRange(this, address, size);
  }

  /** Before a call that may map: its call site, where dma-debug is to take it. */
  private enter(): void {
    if (this.dmaDebug?.callSites) this.dmaDebug.enter();
  }

  /** After a call: what dma-debug found in it is said now. */
  private settled<T>(value: T): T {
    this.dmaDebug?.settle();
    return value;
  }

  /**
   * Frees the device. Its domain is left first; one that `addDevice` made goes with its last device. A second call does
   * nothing. EBUSY while a driver is bound to it.
   */
  destroy(): void {
    if (!this.#life.ending('device_del')) return;
    if (this.driven) {
      const message = `the driver of device ${this.id} is bound to it: remove that first`;
      throw new GemDmaError('EBUSY', 'device_del', message, { reason: 'DRIVER_BOUND' });
    }
    const { dmaDebugOrNull: dmaDebug, core } = this.host;
    try {
      // With strict checks what the device leaves behind is thrown; it is gone all the same.
      dmaDebug?.removeDevice(this);
    } finally {
      if (this.attached !== undefined) this.core.detachDevice(this.#record);
      this.core.deviceDestroy(this.#record);
      this.#life.end();
      core.timeline.members.delete(this);
      this.gone?.();
      this.attached = undefined;
    }
  }

  [Symbol.dispose](): void {
    if (this.alive) this.destroy();
  }

  /** @internal The error of a call that returned a negative errno; what it was to map is said in `what`. */
  failure(syscall: string, rc: number, what: string): GemDmaError {
    const { reason } = this;
    const code = errnoName(rc) in ERRNO ? (errnoName(rc) as ErrnoName) : 'EINVAL';
    return new GemDmaError(code, syscall, `device ${this.id} cannot map ${what}${reason ? `: ${reason}` : ''}`, {
      reason,
      details: { device: this.id },
    });
  }
}

/** Coherent memory of a device; `table` has its frames. */
export class CoherentBuffer {
  readonly device: DmaDevice;
  /** Bytes asked for; whole pages are there. */
  readonly length: number;
  /** The device's address of the first byte. */
  readonly address: number;
  readonly table: ScatterTable;

  /** @internal `device.allocCoherent` makes them. */
  constructor(device: DmaDevice, length: number, table: ScatterTable) {
    this.device = device;
    this.length = length;
    this.table = table;
    this.address = table.dmaAddress(0);
    Object.freeze(this);
  }

  /** Whether it can be used: it was not freed, and the machine did not go back to before it was allocated. */
  get alive(): boolean {
    return this.table.alive;
  }

  /** Frees the buffer as a correct driver does. A second call does nothing. */
  free(): void {
    if (this.table.ending('dma_free_coherent')) this.device.freeCoherent(this);
  }

  [Symbol.dispose](): void {
    if (this.alive && this.device.alive) this.free();
  }
}

/** Address space that memory is linked into piece by piece (struct dma_iova_state). */
export class LinkedRange {
  readonly device: DmaDevice;
  /** The device's address of the first byte. */
  readonly address: number;
  readonly size: number;
  readonly #life: Life;

  /** @internal `device.allocIova` makes them. */
  constructor(device: DmaDevice, address: number, size: number) {
    this.device = device;
    this.address = address;
    this.size = size;
    this.#life = new Life(device.host.core.timeline, 'linked range');
    Object.freeze(this);
  }

  /** Links memory at an offset (dma_iova_link). Throws EIO where the offsets in the page disagree, ENOMEM, EINVAL. */
  link(offset: number, physical: number, length: number, dir: Direction, attrs = 0): void {
    this.checkPiece(offset, length);
    checkInteger('physical', physical, 0, PHYSICAL_LIMIT - length);
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_iova_link');
    const { dmaDebugOrNull: dmaDebug, core } = this.device.host;
    if (dmaDebug?.callSites) dmaDebug.enter();
    const rc = core.exports.dmaIovaLink(record, this.address, offset, physical, length, dir, attrs);
    dmaDebug?.settle();
    if (rc < 0) throw this.device.failure('dma_iova_link', rc, `${length} bytes at offset ${offset}`);
  }

  /** Makes what was linked visible to the device (dma_iova_sync). */
  sync(offset = 0, length = this.size - offset): void {
    this.checkPiece(offset, length);
    const rc = this.device.host.core.exports.dmaIovaSync(this.#enter('dma_iova_sync'), this.address, offset, length);
    if (rc < 0) throw this.device.failure('dma_iova_sync', rc, `${length} bytes at offset ${offset}`);
  }

  /** Unlinks what was linked at an offset; the space stays reserved (dma_iova_unlink). */
  unlink(offset: number, length: number, dir: Direction, attrs = 0): void {
    this.checkPiece(offset, length);
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_iova_unlink');
    const { dmaDebugOrNull: dmaDebug, core } = this.device.host;
    core.exports.dmaIovaUnlink(record, this.address, offset, length, dir, attrs);
    dmaDebug?.settle();
  }

  /** Gives the space back: with nothing linked (dma_iova_free), or after unlinking the first `linked` bytes (dma_iova_destroy). */
  free(linked = 0, dir: Direction = DMA_BIDIRECTIONAL, attrs = 0): void {
    checkInteger('linked', linked, 0, this.size);
    checkTransfer(dir, attrs);
    const record = this.#enter('dma_iova_destroy');
    const { dmaDebugOrNull: dmaDebug, core } = this.device.host;
    core.exports.dmaIovaDestroy(record, this.address, linked, this.size, dir, attrs);
    dmaDebug?.settle();
  }

  #enter(call: string): number {
    this.#life.enter(call);
    return DmaDevice.recordFor(this.device, this.#life, call);
  }

  private checkPiece(offset: number, length: number): void {
    checkInteger('offset', offset, 0, this.size - 1);
    checkInteger('length', length, 1, this.size - offset);
  }
}

/** `0000:bus:device.function` of a requester id. */
function pciName(sourceId: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `0000:${hex(sourceId >>> 8)}:${hex((sourceId >>> 3) & 31)}.${sourceId & 7}`;
}

function badPage(pfn: number, offset: number, length: number): never {
  checkInteger('pfn', pfn, 0, MAX_U32);
  checkInteger('offset', offset, 0, MAX_U32);
  checkInteger('length', length, 0, MAX_U32);
  throw invalidValue('length', 'a number', length);
}
