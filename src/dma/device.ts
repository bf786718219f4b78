import { checkInteger, ERRNO, type ErrnoName, errnoName, GemDmaError, invalidValue } from '../core/errors.js';
import type { CoreExports } from '../core/generated/exports.js';
import { reasonName } from '../core/reasons.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import type { DmaDomain } from './domain.js';
import { type DmaHost, ScatterTable } from './sg-table.js';

/**
 * The DMA API of a device (include/linux/dma-mapping.h): what a driver calls to let its device reach memory. Calls that
 * can fail in a driver's hands return what the kernel's return, with the cause in `reason`; the ones that throw say so.
 */

/** Which way data moves (enum dma_data_direction). */
export const DMA_BIDIRECTIONAL = 0;
export const DMA_TO_DEVICE = 1;
export const DMA_FROM_DEVICE = 2;

export type Direction = typeof DMA_BIDIRECTIONAL | typeof DMA_TO_DEVICE | typeof DMA_FROM_DEVICE;

/** What a failed single mapping returns. */
export const DMA_MAPPING_ERROR = -1;

/** Attributes of a mapping, to be OR-ed (include/linux/dma-mapping.h). */
export const DMA_ATTR = {
  WEAK_ORDERING: 1 << 1,
  WRITE_COMBINE: 1 << 2,
  NO_KERNEL_MAPPING: 1 << 4,
  SKIP_CPU_SYNC: 1 << 5,
  FORCE_CONTIGUOUS: 1 << 6,
  ALLOC_SINGLE_PAGES: 1 << 7,
  NO_WARN: 1 << 8,
  PRIVILEGED: 1 << 9,
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

const FORCE_BOUNCE = 2;
/** In place of a number of entries: all of them (assembly/dma/map.ts). */
const ALL_ENTRIES = -1;
const MAX_U32 = 0xffffffff;

export class DmaDevice {
  readonly host: DmaHost;
  readonly id: number;
  readonly name: string;
  readonly driver: string | undefined;
  private record: number;
  /** One load instead of three on the way to each call. */
  private readonly core: CoreExports;
  /** The machine's checker: asked after each call of the DMA API whether it found something, which is one load. */
  private readonly debug: DmaDebug | null;
  private attached: DmaDomain | 'passthrough' | undefined;

  /** Adds a device. Throws RangeErrors for options, GemDmaError ENOMEM. */
  constructor(host: DmaHost, options: DeviceOptions = {}) {
    this.host = host;
    this.id = checkInteger('id', options.id ?? 1, 1, MAX_U32);
    const sourceId = checkInteger('sourceId', options.sourceId ?? (this.id << 3) & 0xffff, 0, 0xffff);
    const maskBits = checkInteger('maskBits', options.maskBits ?? 32, 12, 64);
    const coherentMaskBits = checkInteger('coherentMaskBits', options.coherentMaskBits ?? maskBits, 12, 64);
    const maxSegment = checkInteger('maxSegment', options.maxSegment ?? 65536, 1, MAX_U32);
    const boundaryBits = checkInteger('segmentBoundaryBits', options.segmentBoundaryBits ?? 32, 1, 64);
    const minAlignMask = checkInteger('minAlignMask', options.minAlignMask ?? 0, 0, MAX_U32);
    const { exports } = host.core;
    this.core = exports;
    this.record = exports.deviceCreate(host.context, this.id, sourceId);
    if (this.record === 0) throw new GemDmaError('ENOMEM', 'device_add', 'no memory for a device');
    exports.deviceSetMask(this.record, maskBits, coherentMaskBits);
    exports.deviceSetSegments(this.record, maxSegment, boundaryBits, minAlignMask);
    if (options.forceBounce) exports.deviceSetFlags(this.record, FORCE_BOUNCE, 0);
    this.name = options.name ?? pciName(sourceId);
    this.driver = options.driver;
    this.debug = host.checker ?? null;
    try {
      if (options.domain !== undefined) this.attach(options.domain);
    } catch (error) {
      this.destroy();
      throw error;
    }
    this.debug?.addDevice(this);
  }

  /** Handle in the core; 0 after destroy. */
  get handle(): number {
    return this.record;
  }

  /** The domain that translates for the device. */
  get domain(): DmaDomain | 'passthrough' | undefined {
    return this.attached;
  }

  /** Gives the device a domain. Throws EEXIST when it has one, ENOMEM. */
  attach(domain: DmaDomain | 'passthrough'): void {
    if (domain === 'passthrough') {
      const rc = this.core.deviceAttachPassthrough(this.record);
      if (rc < 0) {
        throw new GemDmaError(
          errnoName(rc) as ErrnoName,
          'iommu_attach_device',
          `device ${this.id} cannot get an identity domain`,
        );
      }
    } else domain.attach(this);
    this.attached = domain;
  }

  /** Takes the device out of its domain. */
  detach(): void {
    if (this.attached === undefined) return;
    this.core.cookieDetach(this.record);
    this.attached = undefined;
  }

  /** Widths of what the device can address, in bits (dma_set_mask_and_coherent). */
  setMask(bits: number, coherentBits = bits): void {
    checkInteger('bits', bits, 12, 64);
    checkInteger('coherentBits', coherentBits, 12, 64);
    this.core.deviceSetMask(this.record, bits, coherentBits);
  }

  /** What a segment may be: longest length, boundary width in bits, alignment kept by bouncing. */
  setSegments(maxSegment: number, boundaryBits = 32, minAlignMask = 0): void {
    checkInteger('maxSegment', maxSegment, 1, MAX_U32);
    checkInteger('boundaryBits', boundaryBits, 1, 64);
    checkInteger('minAlignMask', minAlignMask, 0, MAX_U32);
    this.core.deviceSetSegments(this.record, maxSegment, boundaryBits, minAlignMask);
  }

  /** Why the last call that failed did, as a stable identifier. */
  get reason(): string | undefined {
    return reasonName(this.core.lastReason(this.host.context));
  }

  /**
   * Calls that mapped and unmapped, a list counting once, and the pages over all of them. Reserved address space is one
   * mapping from allocIova to free, whatever is linked into it.
   */
  get counts(): { maps: number; unmaps: number; pagesMapped: number; pagesUnmapped: number } {
    const { deviceMaps, devicePagesMapped, devicePagesUnmapped, deviceUnmaps } = this.host.core.tools;
    return {
      maps: deviceMaps(this.record) >>> 0,
      unmaps: deviceUnmaps(this.record) >>> 0,
      pagesMapped: devicePagesMapped(this.record),
      pagesUnmapped: devicePagesUnmapped(this.record),
    };
  }

  /**
   * What a driver may ask before it maps: the mask below which entries are merged whatever their addresses
   * (dma_get_merge_boundary, 0 for no merging), the longest single mapping and the longest one that is fast, in bytes, 2^64
   * where nothing limits it (dma_max_mapping_size, dma_opt_mapping_size).
   */
  get limits(): { mergeBoundary: number; maxMapping: number; optMapping: number } {
    const { dmaMaxMapping, dmaMergeBoundary, dmaOptMapping } = this.core;
    return {
      mergeBoundary: dmaMergeBoundary(this.record),
      maxMapping: dmaMaxMapping(this.record),
      optMapping: dmaOptMapping(this.record),
    };
  }

  /**
   * Maps `length` bytes from `offset` on in page `pfn` (dma_map_page_attrs).
   * Returns the device's address, DMA_MAPPING_ERROR with the cause in `reason`.
   */
  mapPage(pfn: number, offset: number, length: number, dir: Direction, attrs = 0): number {
    if (pfn >>> 0 !== pfn || offset >>> 0 !== offset || length >>> 0 !== length) badPage(pfn, offset, length);
    const debug = this.debug;
    if (debug === null) return this.core.dmaMapPage(this.record, pfn, offset, length, dir, attrs);
    if (debug.callSites) debug.enter();
    const address = this.core.dmaMapPage(this.record, pfn, offset, length, dir, attrs);
    debug.settle();
    return address;
  }

  /** Ends a mapping of mapPage or mapSingle, with the length and direction that it was made with (dma_unmap_page_attrs). */
  unmapPage(address: number, length: number, dir: Direction, attrs = 0): void {
    if (length >>> 0 !== length) badPage(0, 0, length);
    this.core.dmaUnmapPage(this.record, address, length, dir, attrs);
    if (this.debug !== null) this.debug.settle();
  }

  /**
   * mapPage for a buffer's address (dma_map_single_attrs): `physical` is what virt_to_phys gives. A buffer in vmalloc space, or on
   * a virtually mapped stack, has no one physical address: `vmalloc` says so, and the call is refused.
   */
  mapSingle(physical: number, length: number, dir: Direction, attrs = 0, vmalloc = false): number {
    checkInteger('physical', physical, 0, MAX_U32 * 4096);
    checkInteger('length', length, 0, MAX_U32);
    this.enter();
    return this.settled(this.core.dmaMapSingle(this.record, physical, length, dir, attrs, vmalloc));
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
    const debug = this.debug;
    if (debug === null) return this.core.dmaMapSg(this.record, table.handle, dir, attrs);
    if (debug.callSites) debug.enter();
    const rc = this.core.dmaMapSg(this.record, table.handle, dir, attrs);
    debug.settle();
    return rc;
  }

  /** Ends a table's mapping (dma_unmap_sg_attrs). `nents` is what map was given; the kernel looks at no more segments. */
  unmapSg(table: ScatterTable, dir: Direction, attrs = 0, nents?: number): void {
    this.core.dmaUnmapSg(this.record, table.handle, nents ?? ALL_ENTRIES, dir, attrs);
    if (this.debug !== null) this.debug.settle();
  }

  /** Maps registers of another device (dma_map_resource). Returns the address, or DMA_MAPPING_ERROR. */
  mapResource(physical: number, length: number, dir: Direction, attrs = 0): number {
    checkInteger('physical', physical, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('length', length, 0, MAX_U32);
    this.enter();
    return this.settled(this.core.dmaMapResource(this.record, physical, length, dir, attrs));
  }

  /** Ends a mapping of mapResource (dma_unmap_resource). */
  unmapResource(address: number, length: number, dir: Direction, attrs = 0): void {
    checkInteger('length', length, 0, MAX_U32);
    this.core.dmaUnmapResource(this.record, address, length, dir, attrs);
    this.debug?.settle();
  }

  /** Whether an address says that mapping failed (dma_mapping_error); dma-debug notes that the driver has asked. */
  mappingError(address: number): boolean {
    return Boolean(this.core.dmaMappingError(this.record, address));
  }

  /** Hands part of a mapping to the CPU (dma_sync_single_for_cpu). */
  syncForCpu(address: number, length: number, dir: Direction): void {
    checkInteger('length', length, 0, MAX_U32);
    this.core.dmaSyncSingle(this.record, address, length, dir, false);
    this.debug?.settle();
  }

  /** Hands part of a mapping to the device (dma_sync_single_for_device). */
  syncForDevice(address: number, length: number, dir: Direction): void {
    checkInteger('length', length, 0, MAX_U32);
    this.core.dmaSyncSingle(this.record, address, length, dir, true);
    this.debug?.settle();
  }

  /** Hands a mapped table to the CPU (dma_sync_sg_for_cpu). */
  syncSgForCpu(table: ScatterTable, dir: Direction, nents?: number): void {
    this.core.dmaSyncSg(this.record, table.handle, nents ?? table.origNents, dir, false);
    this.debug?.settle();
  }

  /** Hands a mapped table to the device (dma_sync_sg_for_device). */
  syncSgForDevice(table: ScatterTable, dir: Direction, nents?: number): void {
    this.core.dmaSyncSg(this.record, table.handle, nents ?? table.origNents, dir, true);
    this.debug?.settle();
  }

  /**
   * Memory that device and CPU share (dma_alloc_attrs), zeroed, at one address for the device.
   * Throws GemDmaError ENOMEM with the cause as its reason.
   */
  allocCoherent(length: number, attrs = 0): CoherentBuffer {
    checkInteger('length', length, 1, MAX_U32);
    this.enter();
    const handle = this.core.dmaAllocCoherent(this.record, length, attrs);
    if (handle === 0) throw this.failure('dma_alloc_coherent', -ERRNO.ENOMEM, `${length} bytes of coherent memory`);
    return this.settled(new CoherentBuffer(this, length, ScatterTable.adopt(this.host, handle)));
  }

  /**
   * Frees a coherent buffer (dma_free_attrs). Length and address are what the driver claims; they are unmapped, whatever the
   * buffer is.
   */
  freeCoherent(buffer: CoherentBuffer, length = buffer.length, address = buffer.address): void {
    checkInteger('length', length, 0, MAX_U32);
    if (buffer.table.handle === 0) return;
    this.core.dmaFreeCoherent(this.record, buffer.table.handle, length, address);
    buffer.table.forget();
    this.debug?.settle();
  }

  /**
   * Reserves address space for `size` bytes to be linked into later (dma_iova_try_alloc); `physical` tells where in its page the
   * first byte will be. Throws ENOMEM with the cause as its reason, EINVAL for a device without a domain.
   */
  allocIova(size: number, physical = 0): LinkedRange {
    checkInteger('size', size, 1, Number.MAX_SAFE_INTEGER);
    checkInteger('physical', physical, 0, Number.MAX_SAFE_INTEGER);
    this.enter();
    const address = this.core.dmaIovaTryAlloc(this.record, physical, size);
    if (address < 0) {
      const code = this.reason === 'DMA_NO_IOMMU' ? ERRNO.EINVAL : ERRNO.ENOMEM;
      throw this.failure('dma_iova_try_alloc', -code, `${size} bytes of address space`);
    }
    return new LinkedRange(this, address, size);
  }

  /** Before a call that may map: its call site, where the checker is to take it. */
  private enter(): void {
    if (this.debug?.callSites) this.debug.enter();
  }

  /** After a call: what the checker found in it is said now. */
  private settled<T>(value: T): T {
    this.debug?.settle();
    return value;
  }

  /** Frees the device. Its domain is left first. */
  destroy(): void {
    if (this.record === 0) return;
    this.debug?.removeDevice(this);
    this.detach();
    this.core.deviceDestroy(this.record);
    this.record = 0;
  }

  /** The error of a call that returned a negative errno; what it was to map is said in `what`. */
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

  constructor(device: DmaDevice, length: number, table: ScatterTable) {
    this.device = device;
    this.length = length;
    this.table = table;
    this.address = table.dmaAddress(0);
  }

  /** Frees the buffer as a correct driver does. */
  free(): void {
    this.device.freeCoherent(this);
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

/** Address space that memory is linked into piece by piece (struct dma_iova_state). */
export class LinkedRange {
  readonly device: DmaDevice;
  /** The device's address of the first byte. */
  readonly address: number;
  readonly size: number;

  constructor(device: DmaDevice, address: number, size: number) {
    this.device = device;
    this.address = address;
    this.size = size;
  }

  /** Links memory at an offset (dma_iova_link). Throws EIO where the offsets in the page disagree, ENOMEM, EINVAL. */
  link(offset: number, physical: number, length: number, dir: Direction, attrs = 0): void {
    checkInteger('offset', offset, 0, this.size - 1);
    checkInteger('length', length, 1, this.size - offset);
    checkInteger('physical', physical, 0, Number.MAX_SAFE_INTEGER);
    const { device, address } = this;
    const { checker, core } = device.host;
    if (checker?.callSites) checker.enter();
    const rc = core.exports.dmaIovaLink(device.handle, address, offset, physical, length, dir, attrs);
    checker?.settle();
    if (rc < 0) throw device.failure('dma_iova_link', rc, `${length} bytes at offset ${offset}`);
  }

  /** Makes what was linked visible to the device (dma_iova_sync). */
  sync(offset = 0, length = this.size - offset): void {
    checkInteger('offset', offset, 0, this.size - 1);
    checkInteger('length', length, 1, this.size - offset);
    const rc = this.device.host.core.exports.dmaIovaSync(this.device.handle, this.address, offset, length);
    if (rc < 0) throw this.device.failure('dma_iova_sync', rc, `${length} bytes at offset ${offset}`);
  }

  /** Unlinks what was linked at an offset; the space stays reserved (dma_iova_unlink). */
  unlink(offset: number, length: number, dir: Direction, attrs = 0): void {
    checkInteger('offset', offset, 0, this.size - 1);
    checkInteger('length', length, 1, this.size - offset);
    const { checker, core } = this.device.host;
    core.exports.dmaIovaUnlink(this.device.handle, this.address, offset, length, dir, attrs);
    checker?.settle();
  }

  /** Gives the space back: with nothing linked (dma_iova_free), or after unlinking the first `linked` bytes (dma_iova_destroy). */
  free(linked = 0, dir: Direction = DMA_BIDIRECTIONAL, attrs = 0): void {
    checkInteger('linked', linked, 0, this.size);
    const { checker, core } = this.device.host;
    core.exports.dmaIovaDestroy(this.device.handle, this.address, linked, this.size, dir, attrs);
    checker?.settle();
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
