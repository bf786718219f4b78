import { checkTransfer, isAddress, isTransfer, isU32 } from '../core/arguments.js';
import { checkInteger } from '../core/errors.js';
import { DEVICE_NONCOHERENT, DMA_ATTR_SKIP_CPU_SYNC, PAGE_SIZE } from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import type { CpuCache } from './cpu-cache.js';
import { DmaDevice } from './device.js';
import type { DeviceOptions } from './device-options.js';
import { DmaDomain } from './dma-domain.js';
import type { DmaHost, ScatterTable } from './sg-table.js';
import { type Direction, DMA_TO_DEVICE } from './transfer.js';

/**
 * A device that does not snoop the CPU's caches (dev_is_dma_coherent is false), as on many arm64 systems: mapping and syncing
 * maintain the cache, and a missing sync shows in the bytes. Calls of drivers in C, and copies by the core, bypass the cache.
 */
export class NonCoherentDevice extends DmaDevice {
  static {
    guard(NonCoherentDevice, (one) => #cache in one);
  }

  readonly #cache: CpuCache;

  /** @internal */
  constructor(host: DmaHost, cache: CpuCache, options: DeviceOptions, gone?: () => void) {
    super(host, options, gone);
    this.#cache = cache;
    this.core.deviceSetFlags(this.handle, DEVICE_NONCOHERENT, 0);
  }

  override get coherent(): boolean {
    return false;
  }

  override mapPage(pfn: number, offset: number, length: number, dir: Direction, attrs = 0): number {
    // What is wrong is refused by the call itself, before the cache is touched.
    if (isU32(pfn) && isU32(offset) && this.#looked(length, dir, attrs)) {
      this.beforeBounce(pfn * PAGE_SIZE + offset, length);
    }
    const address = super.mapPage(pfn, offset, length, dir, attrs);
    if (address !== this.errorAddress && (attrs & DMA_ATTR_SKIP_CPU_SYNC) === 0) {
      this.#cache.forDevice(this.memoryAt(address), length);
    }
    return address;
  }

  override unmapPage(address: number, length: number, dir: Direction, attrs = 0): void {
    if (isAddress(address) && this.#looked(length, dir, attrs)) this.forCpu(address, length, dir, attrs);
    super.unmapPage(address, length, dir, attrs);
  }

  override mapSingle(physical: number, length: number, dir: Direction, attrs = 0, vmalloc = false): number {
    if (isPhysical(physical) && this.#looked(length, dir, attrs)) this.beforeBounce(physical, length);
    const address = super.mapSingle(physical, length, dir, attrs, vmalloc);
    if (address !== this.errorAddress && (attrs & DMA_ATTR_SKIP_CPU_SYNC) === 0) {
      this.#cache.forDevice(this.memoryAt(address), length);
    }
    return address;
  }

  override mapSg(table: ScatterTable, dir: Direction, attrs = 0): number {
    this.#look('dma_map_sg', table, dir, attrs);
    this.beforeBounceSg(table);
    const nents = super.mapSg(table, dir, attrs);
    if (nents > 0) this.sgForDevice(table, attrs);
    return nents;
  }

  override mapSgTable(table: ScatterTable, dir: Direction, attrs = 0): void {
    this.#look('dma_map_sgtable', table, dir, attrs);
    this.beforeBounceSg(table);
    super.mapSgTable(table, dir, attrs);
    this.sgForDevice(table, attrs);
  }

  override unmapSg(table: ScatterTable, dir: Direction, attrs = 0, nents?: number): void {
    this.#look('dma_unmap_sg', table, dir, attrs);
    if (nents !== undefined) checkInteger('nents', nents, 0, 0x7fffffff);
    if (table.mapped)
      for (const { address, length } of table.segments()) this.segmentForCpu(address, length, dir, attrs);
    super.unmapSg(table, dir, attrs, nents);
  }

  override syncForCpu(address: number, length: number, dir: Direction): void {
    if (isAddress(address) && this.#looked(length, dir, 0)) this.forCpu(address, length, dir, 0);
    super.syncForCpu(address, length, dir);
  }

  override syncForDevice(address: number, length: number, dir: Direction): void {
    super.syncForDevice(address, length, dir);
    this.#cache.forDevice(this.memoryAt(address), length);
  }

  override syncSgForCpu(table: ScatterTable, dir: Direction, nents?: number): void {
    this.#look('dma_sync_sg', table, dir, 0);
    if (nents !== undefined) checkInteger('nents', nents, 0, 0x7fffffff);
    for (const { address, length } of table.segments()) this.segmentForCpu(address, length, dir, 0);
    super.syncSgForCpu(table, dir, nents);
  }

  override syncSgForDevice(table: ScatterTable, dir: Direction, nents?: number): void {
    super.syncSgForDevice(table, dir, nents);
    this.sgForDevice(table, 0);
  }

  override cached(table: ScatterTable): void {
    for (const { pfn, offset, length } of table.entries()) this.#cache.forDevice(pfn * PAGE_SIZE + offset, length);
  }

  /** Whether the device may be used, and the arguments are such as the call accepts. */
  #looked(length: number, dir: Direction, attrs: number): boolean {
    return this.alive && isU32(length) && isTransfer(dir, attrs);
  }

  /** Refuses a call with a table as DmaDevice does. */
  #look(call: string, table: ScatterTable, dir: Direction, attrs: number): void {
    checkTransfer(dir, attrs);
    this.enter(call);
    this.tableRecord(table, call);
  }

  // A CPU copies what it sees to the slots.
  private beforeBounce(physical: number, length: number): void {
    if (this.host.bounces) this.#cache.flush(physical, length);
  }

  private beforeBounceSg(table: ScatterTable): void {
    if (!this.host.bounces) return;
    for (const { pfn, offset, length } of table.entries()) this.#cache.flush(pfn * PAGE_SIZE + offset, length);
  }

  private forCpu(address: number, length: number, dir: Direction, attrs: number): void {
    if (dir === DMA_TO_DEVICE || (attrs & DMA_ATTR_SKIP_CPU_SYNC) !== 0 || address < 0) return;
    this.#cache.forCpu(this.memoryAt(address), length);
  }

  // A merged segment is in pages anywhere.
  private segmentForCpu(address: number, length: number, dir: Direction, attrs: number): void {
    this.eachPage(address, length, (at, n) => this.forCpu(at, n, dir, attrs));
  }

  private sgForDevice(table: ScatterTable, attrs: number): void {
    if ((attrs & DMA_ATTR_SKIP_CPU_SYNC) !== 0) return;
    for (const { address, length } of table.segments()) {
      this.eachPage(address, length, (at, n) => this.#cache.forDevice(this.memoryAt(at), n));
    }
  }

  private eachPage(address: number, length: number, visit: (address: number, n: number) => void): void {
    for (let at = address; at < address + length; ) {
      const next = Math.min(address + length, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
      visit(at, next - at);
      at = next;
    }
  }

  /** The memory behind one of its addresses. */
  private memoryAt(address: number): number {
    const { domain } = this;
    return domain instanceof DmaDomain ? this.host.core.exports.domainIovaToPhys(domain.handle, address) : address;
  }
}

function isPhysical(physical: unknown): physical is number {
  return Number.isSafeInteger(physical) && (physical as number) >= 0;
}
