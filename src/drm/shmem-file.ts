import { checkInteger, GemDmaError, outOfRange } from '../core/errors.js';
import { PAGE_SIZE, SG_MAX_PAGES } from '../core/generated/constants.js';
import type { SgTableHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { held } from '../core/handle.js';
import { notMade } from '../core/life.js';
import { pfnOf } from '../core/sg-vectors.js';
import { DrmDevice } from './device.js';
import { ENOMEM } from './errno.js';
import { ListLink } from './list.js';
import type { Swappable } from './reclaim.js';

/**
 * A shmem file (mm/shmem.c): memory of the page cache that the system may swap out while no object holds it. The file's
 * pages are kept as the scatter-gather table that the object gets, so that holding them again costs nothing. Under pressure
 * idle files are written to swap, and come back with the same contents.
 */
export class ShmemFile implements Swappable {
  static {
    guard(ShmemFile, (one) => #made in one, ['get', 'put', 'truncate']);
  }

  private static made(one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  private readonly device: DrmDevice;
  private readonly pages: number;
  /** Place among the idle files of the machine. */
  private readonly idle: ListLink<Swappable> = new ListLink<Swappable>(this);
  /** The table of resident pages, 0 when none are. */
  private table: SgTableHandle | 0 = 0;
  /** Contents in swap by page number: only pages that were ever written. */
  private swap: Map<number, Uint8Array> | undefined;

  /** @param size bytes, whole pages */
  constructor(device: DrmDevice, size: number) {
    DrmDevice.lifeOf(DrmDevice.deviceOf('device', device), 'shmem_file_setup').enter('shmem_file_setup');
    if (checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER) % PAGE_SIZE !== 0) {
      throw outOfRange('size', 'whole pages', size);
    }
    this.device = device;
    this.pages = size / PAGE_SIZE;
  }

  /** Makes the pages resident and keeps them so until `put`. Returns the table of them, 0 without memory. */
  get(): SgTableHandle | 0 {
    if (!ShmemFile.made(this)) throw notMade('ShmemFile.get');
    if (this.table === 0 && this.populate() !== 0) return 0;
    this.idle.remove();
    return this.table;
  }

  /** No object holds the pages any more. */
  put(): void {
    if (!ShmemFile.made(this)) throw notMade('ShmemFile.put');
    this.device.reclaim.idleFiles.moveTail(this.idle);
  }

  /** Throws the contents away (shmem_truncate_range). */
  truncate(): void {
    if (!ShmemFile.made(this)) throw notMade('ShmemFile.truncate');
    this.swap = undefined;
    if (this.table === 0) return;
    this.idle.remove();
    this.device.core.exports.sgDestroy(this.table);
    this.table = 0;
  }

  /** Copies the file's pages into those of another table of the same size, or back. Returns 0 or -ENOMEM. */
  copy(other: SgTableHandle, direction: 'from file' | 'to file'): number {
    if (this.table === 0) {
      const rc = this.populate();
      if (rc !== 0) return rc;
      this.put();
    }
    const { core, ram } = this.device;
    const table = held(this.table);
    try {
      for (let page = 0; page < this.pages; ++page) {
        const here = pfnOf(core, table, page) * PAGE_SIZE;
        const there = pfnOf(core, other, page) * PAGE_SIZE;
        if (direction === 'from file') ram.write(there, ram.read(here, PAGE_SIZE));
        else ram.write(here, ram.read(there, PAGE_SIZE));
      }
    } catch (error) {
      if (!GemDmaError.is(error, 'ENOMEM')) throw error;
      return -ENOMEM;
    }
    return 0;
  }

  /**
   * n bytes as a CPU mapping of the file finds them.
   * @param held an object holds the pages
   * @throws GemDmaError ENOMEM
   */
  read(offset: number, n: number, held: boolean): Uint8Array {
    const bytes = new Uint8Array(n);
    this.access(offset, n, held, (at, done, part) => bytes.set(this.device.ram.read(at, part), done));
    return bytes;
  }

  /** Writes bytes as a CPU mapping of the file does. Errors as read. */
  write(offset: number, bytes: Uint8Array, held: boolean): void {
    this.access(offset, bytes.length, held, (at, done, part) =>
      this.device.ram.write(at, bytes.subarray(done, done + part)),
    );
  }

  private access(
    offset: number,
    n: number,
    inUse: boolean,
    move: (address: number, done: number, part: number) => void,
  ): void {
    if (this.table === 0 && this.populate() !== 0) {
      throw new GemDmaError('ENOMEM', 'page_fault', `no memory for ${this.pages} pages of a file`);
    }
    if (!inUse) this.put();
    for (let done = 0; done < n; ) {
      const page = Math.floor((offset + done) / PAGE_SIZE);
      const at = (offset + done) % PAGE_SIZE;
      const part = Math.min(n - done, PAGE_SIZE - at);
      move(pfnOf(this.device.core, held(this.table), page) * PAGE_SIZE + at, done, part);
      done += part;
    }
  }

  swapOut(): number {
    const { core, ram } = this.device;
    const { sgNextWritten } = core.exports;
    const swap = new Map<number, Uint8Array>();
    const table = held(this.table);
    for (let page = sgNextWritten(table, 0); page < this.pages; page = sgNextWritten(table, page + 1)) {
      swap.set(page, ram.read(pfnOf(core, table, page) * PAGE_SIZE, PAGE_SIZE));
    }
    this.truncate();
    this.swap = swap;
    return this.pages;
  }

  // One attempt; one after each step that the driver takes to relieve the pressure; then with the system reclaiming:
  // every driver's shrinker, and swapping one idle file after the other.
  private populate(): number {
    const { device, pages } = this;
    if (pages > SG_MAX_PAGES) return -ENOMEM;
    if (this.allocate()) return 0;
    for (const relieve of device.reliefs) {
      relieve(pages);
      if (this.allocate()) return 0;
    }
    device.hooks.guard(() => device.reclaim.shrink(pages));
    while (!this.allocate()) {
      if (device.reclaim.swapOut() === 0) return -ENOMEM;
    }
    return 0;
  }

  private allocate(): boolean {
    const { core, context, ram } = this.device;
    const table = core.exports.sgAllocPages(context, this.pages, this.device.sgFlags, this.device.maxEntry);
    this.table = table;
    if (table === 0) return false;
    if (this.swap === undefined) return true;
    try {
      for (const [page, bytes] of this.swap) ram.write(pfnOf(core, table, page) * PAGE_SIZE, bytes);
    } catch (error) {
      // What is in swap stays there until all of it is back.
      core.exports.sgDestroy(table);
      this.table = 0;
      if (!GemDmaError.is(error, 'ENOMEM')) throw error;
      return false;
    }
    this.swap = undefined;
    return true;
  }
}
