import { badAddress, checkTransfer, isAddress } from '../core/arguments.js';
import { checkInteger, GemDmaError } from '../core/errors.js';
import { PAGE_SIZE, PROT_READ, PROT_WRITE, REASON_DMA_NO_MASK, TYPE_PAGE } from '../core/generated/constants.js';
import { DmaDeviceView } from '../core/generated/records.js';
import { guard } from '../core/guard.js';
import { type AllocOptions, allocCoherent, type CoherentBuffer, freeCoherent } from './coherent.js';
import type { DeclaredMemory } from './declared.js';
import { declareMemory } from './declared.js';
import type { DeviceOptions } from './device-options.js';
import { DmaDomain } from './dma-domain.js';
import { allocIova, type LinkedRange } from './linked-range.js';
import { allocManaged, freeManaged, type Managed, releaseAll } from './managed.js';
import { allocPages, type DmaPages, freePages } from './pages.js';
import { bitsOf, reachOf } from './refusals.js';
import type { DmaHost, ScatterTable } from './sg-table.js';
import { StreamingDevice } from './streaming-device.js';
import { type Direction, DMA_FROM_DEVICE, DMA_TO_DEVICE, PHYSICAL_LIMIT } from './transfer.js';
import { mmapPages, sgTableOf } from './user-mapping.js';

const MAX_U32 = 0xffffffff;

/**
 * A device that does DMA, with the kernel's DMA API as its methods (include/linux/dma-mapping.h). Made by
 * `machine.addDevice()`. Streaming mappings are the methods of the class below it; here are masks, limits and memory.
 */
export class DmaDevice extends StreamingDevice {
  static {
    guard(DmaDevice, StreamingDevice.is);
  }

  private readonly managed: Managed[] = [];
  private declared: DeclaredMemory | null = null;

  /**
   * Adds a device.
   * @param gone for the machine: called once the device is destroyed
   * @throws TypeErrors and RangeErrors naming the option at fault; GemDmaError EIO for a mask that reaches too little; ENOMEM,
   *   EBUSY, EXDEV, ENODEV, ESTALE
   */
  constructor(host: DmaHost, options: DeviceOptions = {}, gone?: () => void) {
    super(host, options, gone);
  }

  /**
   * Widths of what the device can address, in bits (dma_set_mask_and_coherent; two widths: dma_set_mask and
   * dma_set_coherent_mask).
   * @throws GemDmaError EIO, and sets neither, for a mask that reaches too little or a device that has none
   */
  setMask(bits: number, coherentBits = bits): void {
    checkInteger('bits', bits, 12, 64);
    checkInteger('coherentBits', coherentBits, 12, 64);
    const call = 'dma_set_mask';
    this.enter(call);
    this.requireMask(call);
    this.setReach(call, reachOf(bits), reachOf(coherentBits));
  }

  /**
   * The same for masks that are not all ones: they are last addresses.
   * @param streamingMask up to 2^53 - 1
   * @throws RangeError; GemDmaError EIO as setMask
   */
  setMaskValue(streamingMask: number, coherentMask = streamingMask): void {
    checkInteger('streamingMask', streamingMask, PAGE_SIZE - 1, Number.MAX_SAFE_INTEGER);
    checkInteger('coherentMask', coherentMask, PAGE_SIZE - 1, Number.MAX_SAFE_INTEGER);
    const call = 'dma_set_mask';
    this.enter(call);
    this.requireMask(call);
    this.setReach(call, streamingMask + 1, coherentMask + 1);
  }

  /** @internal What the log said before is said with the masks of then. */
  protected override applyMask(reach: number, coherentReach: number): void {
    this.host.keepWords?.();
    super.applyMask(reach, coherentReach);
  }

  private setReach(call: string, reach: number, coherentReach: number): void {
    this.checkMask(call, reach);
    this.checkMask('dma_set_coherent_mask', coherentReach);
    this.applyMask(reach, coherentReach);
  }

  /** The width for streaming mappings alone (dma_set_mask). Throws EIO as setMask. */
  setStreamingMask(bits: number): void {
    checkInteger('bits', bits, 12, 64);
    const call = 'dma_set_mask';
    this.enter(call);
    this.requireMask(call);
    this.checkMask(call, reachOf(bits));
    this.applyMask(reachOf(bits), this.coherentReach);
  }

  /** The width for coherent memory alone (dma_set_coherent_mask). Throws EIO for one that reaches too little. */
  setCoherentMask(bits: number): void {
    checkInteger('bits', bits, 12, 64);
    const call = 'dma_set_coherent_mask';
    this.enter(call);
    this.checkMask(call, reachOf(bits));
    this.applyMask(this.streamingReach, reachOf(bits));
  }

  /** Gives a device masks, also one that has none (dma_coerce_mask_and_coherent). Throws EIO as setMask. */
  coerceMask(bits: number): void {
    checkInteger('bits', bits, 12, 64);
    const call = 'dma_coerce_mask_and_coherent';
    this.enter(call);
    this.checkMask(call, reachOf(bits));
    this.applyMask(reachOf(bits), reachOf(bits));
  }

  private requireMask(call: string): void {
    if (this.streamingReach !== 0) return;
    this.core.deviceRefuse(this.handle, REASON_DMA_NO_MASK);
    throw new GemDmaError('EIO', call, `device ${this.id} has no mask`, { reason: 'DMA_NO_MASK' });
  }

  /** Bits of address for streaming mappings (dma_get_mask): 32 of a device that has no mask. */
  get maskBits(): number {
    this.enter('dma_get_mask');
    return bitsOf(this.streamingReach) || 32;
  }

  /** Bits of address for coherent memory (dev->coherent_dma_mask), 0 of a device that has no mask. */
  get coherentMaskBits(): number {
    this.enter('dma_get_mask');
    return bitsOf(this.coherentReach);
  }

  /** Bits that would reach everything (dma_get_required_mask): behind an IOMMU 32, else all RAM's. */
  get requiredMaskBits(): number {
    const record = this.enter('dma_get_required_mask');
    const ofRam = this.host.kernel?.checksMasks === true || !(this.domain instanceof DmaDomain);
    return ofRam ? this.core.dmaRequiredBits(record) : 32;
  }

  /** Whether some memory is out of the device's reach (dma_addressing_limited). */
  get addressingLimited(): boolean {
    return Boolean(this.core.dmaAddressingLimited(this.enter('dma_addressing_limited')));
  }

  /**
   * Whether a sync of a mapping may have an effect (dma_need_sync): the device is not coherent, or a mapping of it has bounced.
   * Without translation the answer is per address.
   */
  needSync(address: number): boolean {
    if (!isAddress(address)) badAddress(address);
    const record = this.enter('dma_need_sync');
    return !this.coherent || Boolean(this.core.dmaNeedSync(record, address));
  }

  /**
   * Limits of a segment: longest length, boundary width in bits, alignment that bouncing keeps (dma_set_max_seg_size,
   * dma_set_seg_boundary, dma_set_min_align_mask at once).
   * @throws RangeError for a length of 0 or beyond 32 bits, a width outside of 1 to 64, a mask beyond 32 bits
   */
  setSegments(maxSegment: number, boundaryBits = 32, minAlignMask = 0): void {
    checkInteger('maxSegment', maxSegment, 1, MAX_U32);
    checkInteger('boundaryBits', boundaryBits, 1, 64);
    checkInteger('minAlignMask', minAlignMask, 0, MAX_U32);
    this.core.deviceSetSegments(this.enter('dma_set_max_seg_size'), maxSegment, boundaryBits, minAlignMask);
  }

  /**
   * Longest segment in bytes (dma_set_max_seg_size).
   * @throws RangeError for 0, or beyond 32 bits
   */
  setMaxSegment(maxSegment: number): void {
    checkInteger('maxSegment', maxSegment, 1, MAX_U32);
    const { boundaryBits, minAlignMask } = this.segments;
    this.setSegments(maxSegment, boundaryBits, minAlignMask);
  }

  /**
   * No segment crosses a multiple of 2^bits (dma_set_seg_boundary).
   * @throws RangeError outside of 1 to 64
   */
  setSegmentBoundary(bits: number): void {
    checkInteger('bits', bits, 1, 64);
    const { maxSegment, minAlignMask } = this.segments;
    this.setSegments(maxSegment, bits, minAlignMask);
  }

  /**
   * Low bits of an address that bouncing preserves (dma_set_min_align_mask).
   * @throws RangeError beyond 32 bits
   */
  setMinAlignMask(mask: number): void {
    checkInteger('mask', mask, 0, MAX_U32);
    const { maxSegment, boundaryBits } = this.segments;
    this.setSegments(maxSegment, boundaryBits, mask);
  }

  /** What was set (dma_get_max_seg_size, dma_get_seg_boundary as a width in bits, dma_get_min_align_mask). */
  get segments(): {
    /** Longest segment in bytes. */
    maxSegment: number;
    /** No segment crosses a multiple of 2^this. */
    boundaryBits: number;
    /** Low bits of an address that bouncing preserves. */
    minAlignMask: number;
  } {
    const record = new DmaDeviceView(this.host.core, this.enter('dma_get_max_seg_size'));
    const { maxSegment, segmentBoundary, minAlignMask } = record;
    return { maxSegment, boundaryBits: Math.round(Math.log2(segmentBoundary + 1)), minAlignMask };
  }

  /**
   * The segment boundary in pages of 2^pageShift bytes (dma_get_seg_boundary_nr_pages).
   * @param pageShift 0 to 63
   * @throws RangeError outside of 0 to 63
   */
  segmentBoundaryPages(pageShift: number): number {
    checkInteger('pageShift', pageShift, 0, 63);
    return 2 ** Math.max(this.segments.boundaryBits - pageShift, 0);
  }

  /**
   * Limits that a driver may ask for before it maps: the mask below which entries are merged whatever their addresses
   * (dma_get_merge_boundary, 0 for no merging), the longest single mapping and the longest one that is fast, in bytes, 2^64
   * where nothing limits it (dma_max_mapping_size, dma_opt_mapping_size).
   */
  get limits(): {
    /**
     * dma_get_merge_boundary: entries of a list whose inner ends are aligned to this mask become one segment; 0
     * when none do.
     */
    mergeBoundary: number;
    /** dma_max_mapping_size: the longest single mapping in bytes, 2^64 where nothing limits it. */
    maxMapping: number;
    /**
     * dma_opt_mapping_size: the longest mapping in bytes that the allocator's caches serve, 2^64 where nothing
     * limits it.
     */
    optMapping: number;
  } {
    const record = this.enter('dma_max_mapping_size');
    const { dmaMaxMapping, dmaMergeBoundary, dmaOptMapping } = this.core;
    return {
      mergeBoundary: dmaMergeBoundary(record),
      maxMapping: dmaMaxMapping(record),
      optMapping: dmaOptMapping(record),
    };
  }

  /**
   * Makes a mapping at a given address: table entries, range and entry of dma-debug are as if mapPage had returned that address. For
   * replays of traces that begin in the middle; statistics do not count it.
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
    const record = this.enter(call);
    const offset = address % PAGE_SIZE;
    const attached = this.domain;
    if (attached instanceof DmaDomain) {
      if (physical % PAGE_SIZE !== offset)
        throw new GemDmaError('EINVAL', call, 'an IOMMU keeps the offset in the page');
      const bytes = Math.ceil((offset + length) / PAGE_SIZE) * PAGE_SIZE;
      attached.claimRange((address - offset) / PAGE_SIZE, bytes / PAGE_SIZE, call);
      const prot = dir === DMA_TO_DEVICE ? PROT_READ : dir === DMA_FROM_DEVICE ? PROT_WRITE : PROT_READ | PROT_WRITE;
      const rc = this.core.domainMap(attached.handle, address - offset, physical - offset, bytes, prot);
      if (rc < 0) {
        this.core.iovaRelease(attached.iova, (address - offset) / PAGE_SIZE);
        throw this.failure(call, rc, `${length} bytes at 0x${address.toString(16)}`);
      }
    } else if (address !== physical) {
      throw new GemDmaError('EINVAL', call, 'without translation an address is that of the memory');
    }
    if (this.dmaDebug !== null) {
      if (this.dmaDebug.callSites) this.dmaDebug.enter();
      this.core.debugFeedMap(record, physical, length, dir, address, attrs, TYPE_PAGE);
      // The address counts as checked by dma_mapping_error.
      this.core.debugFeedMappingError(record, address);
      this.dmaDebug.settle();
    }
  }
  /**
   * Memory that device and CPU share (dma_alloc_attrs, dma_alloc_wc), zeroed, at one address for the device.
   * With `atomic`, memory behind an IOMMU is one block, none comes from the contiguous area, and a device that is not coherent is
   * given it from the machine's atomic pools.
   * @throws GemDmaError ENOMEM with the cause as its reason
   */
  allocCoherent(length: number, attrs = 0, options: AllocOptions = {}): CoherentBuffer {
    return allocCoherent(this, length, attrs, options);
  }

  /**
   * Frees a coherent buffer (dma_free_attrs). Length and address are the driver's; they are unmapped even where
   * the buffer has others.
   * @throws GemDmaError ENODEV for a buffer that was freed
   */
  freeCoherent(buffer: CoherentBuffer, length?: number, address?: number): void {
    freeCoherent(this, buffer, {
      ...(length !== undefined && { length }),
      ...(address !== undefined && { address }),
    });
  }

  /**
   * Memory that is freed with the driver (dmam_alloc_attrs): at unbind or destroy, managed memory is freed, the newest first, before
   * dma-debug looks for leaks. Errors as allocCoherent.
   */
  allocManaged(length: number, attrs = 0): CoherentBuffer {
    return allocManaged(this, length, attrs);
  }

  /** Frees a buffer of allocManaged early (dmam_free_coherent). Throws ENOENT for one that is not managed. */
  freeManaged(buffer: CoherentBuffer): void {
    freeManaged(this, buffer);
  }

  /**
   * Neighbouring pages, zeroed and mapped in one direction (dma_alloc_pages; dma_alloc_noncoherent is the same). The driver
   * syncs them like a streaming mapping.
   * @param length bytes; whole pages are taken
   * @throws GemDmaError ENOMEM with the cause as its reason
   */
  allocPages(length: number, dir: Direction): DmaPages {
    return allocPages(this, 'pages', length, dir, 0);
  }

  /**
   * Pages that are one segment for the device and lie anywhere in memory behind an IOMMU (dma_alloc_noncontiguous); a CPU
   * sees them in one piece after `vmap`.
   * @param attrs DMA_ATTR.ALLOC_SINGLE_PAGES or nothing
   * @throws GemDmaError ENOMEM with the cause as its reason, EINVAL for other attributes
   */
  allocNoncontiguous(length: number, dir: Direction, attrs = 0): DmaPages {
    return allocPages(this, 'noncontiguous', length, dir, attrs);
  }

  /**
   * Frees pages of allocPages or allocNoncontiguous (dma_free_pages, dma_free_noncontiguous). Length, direction and address
   * are the driver's.
   * @throws GemDmaError ENODEV for pages that were freed
   */
  freePages(memory: DmaPages, length?: number, dir?: Direction, address?: number): void {
    freePages(this, memory, {
      ...(length !== undefined && { length }),
      ...(dir !== undefined && { dir }),
      ...(address !== undefined && { address }),
    });
  }

  /**
   * The frames that a process would see (dma_mmap_attrs, dma_mmap_pages, dma_mmap_noncontiguous).
   * @param pageOffset first page of the buffer (vm_pgoff)
   * @param pages how many; default all from there on
   * @returns their pfns, in order
   * @throws GemDmaError ENXIO if the range is not within the buffer
   */
  mmap(buffer: CoherentBuffer | DmaPages, pageOffset = 0, pages?: number): Uint32Array {
    return mmapPages(this, buffer, pageOffset, pages);
  }

  /**
   * A table over a coherent buffer, not mapped (dma_get_sgtable_attrs): the caller's to release.
   * @param length bytes from the buffer's start; default all of it
   */
  sgTable(buffer: CoherentBuffer, length?: number): ScatterTable {
    return sgTableOf(this, buffer, length);
  }

  /**
   * Memory on the bus that coherent buffers of the device come from, and from nowhere else (dma_declare_coherent_memory).
   * @param physical where a CPU sees it: in a BAR of the machine
   * @param address where the device does
   * @throws GemDmaError EBUSY if the device has some already, EINVAL if the memory is not that of a BAR
   */
  declareCoherentMemory(physical: number, address: number, size: number): void {
    const memory = declareMemory(this, this.declared, physical, address, size);
    this.declared = memory;
  }

  /** Releases declared memory (dma_release_coherent_memory). Buffers in it are freed. No effect on a device without. */
  releaseCoherentMemory(): void {
    this.enter('dma_release_coherent_memory');
    this.declared?.end();
    this.declared = null;
  }

  /** @internal */
  get declaredMemory(): DeclaredMemory | null {
    return this.declared;
  }

  /** @internal The list of devres: resources that are released with the driver. */
  get devres(): Managed[] {
    return this.managed;
  }

  /** @internal */
  override releaseManaged(): void {
    releaseAll(this.managed);
  }

  /** @internal Memory that a CPU has written through its cache. */
  cached(_table: ScatterTable): void {}

  /**
   * Reserves address space for `size` bytes that are linked later (dma_iova_try_alloc); `physical` gives the offset of the first byte
   * in its page.
   * @throws GemDmaError ENOMEM with the cause as its reason, EINVAL for a device without a domain
   */
  allocIova(size: number, physical = 0): LinkedRange {
    return allocIova(this, size, physical);
  }
}
