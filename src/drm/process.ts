import { checkBoolean, checkBytes, checkFunction, checkOptions, checkSynchronous } from '../core/arguments.js';
import type { Calls } from '../core/calls.js';
import { checkInteger, GemDmaError, outOfRange, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { Living } from '../core/living.js';
import { PhysicalMemory } from '../core/physical-memory.js';

/** Where the first mapping goes: below it lie text and heap, of no interest here. */
const MMAP_BASE = 0x7f0000000000;
const TASK_SIZE = 0x7ffffffff000;

/** Notified before pages of a range change (struct mmu_notifier, invalidate_range_start). `last` is inclusive. */
export interface MmuNotifier {
  /** Pages from the byte `first` to the byte `last` are about to change or go (invalidate_range_start). */
  invalidate(first: number, last: number): void;
  /** Whether pages of the range are in use in the middle of a call: then the range may not change now. */
  busy?(first: number, last: number): boolean;
}

interface Area {
  start: number;
  end: number;
  /** pfn of each page, 0 while it was never touched. */
  pfns: Uint32Array;
}

/**
 * A user process's memory (struct mm_struct), as a driver sees it that borrows its pages: anonymous mappings
 * whose pages appear when they are touched and are freed when they are unmapped or discarded, unless another user
 * holds them.
 */
export class Process extends Living {
  static {
    Living.guard(Process);
  }

  private readonly ram: PhysicalMemory;
  private readonly members: Set<object>;
  private readonly calls: Calls;
  private readonly areas: Area[] = [];
  /** Holders of each frame: its mapping and each caller of getUserPages. */
  private readonly references = new Map<number, number>();
  private readonly notifiers = new Set<MmuNotifier>();
  private next = MMAP_BASE;

  /** @param ram the machine's */
  constructor(ram: PhysicalMemory) {
    const { timeline, calls } = PhysicalMemory.machineOf(ram, 'fork');
    super(timeline, 'process');
    this.ram = ram;
    this.calls = calls;
    this.members = timeline.members;
    this.members.add(this);
  }

  /**
   * Maps anonymous memory.
   * @param size bytes, rounded up to whole pages
   * @param options.populate touch all of it at once (MAP_POPULATE). Throws ENOMEM when RAM runs out, and then maps nothing
   * @returns its address
   * @throws GemDmaError EEXIST, ENOMEM
   */
  mmap(
    size: number | string,
    options: {
      /** Fault all pages in at once (MAP_POPULATE). Default false: at the first access. */
      populate?: boolean;
      /** Where it shall be, a multiple of the page size (MAP_FIXED_NOREPLACE). EEXIST where something is mapped. */
      address?: number;
    } = {},
  ): number {
    const pages = Math.ceil(parseSize('size', size) / PAGE_SIZE);
    checkInteger('size', pages, 1, 2 ** 24);
    const given = checkOptions('options', options, ['populate', 'address']);
    const populate = checkBoolean('populate', given.populate, false);
    const { address } = given;
    if (address !== undefined) checkInteger('address', address, PAGE_SIZE, TASK_SIZE - pages * PAGE_SIZE);
    if (address !== undefined && address % PAGE_SIZE !== 0) {
      throw outOfRange('address', 'a multiple of the page size', address);
    }
    this.enterIdle('mmap');
    const length = pages * PAGE_SIZE;
    let start = address ?? this.next;
    for (let other = this.overlap(start, length); other !== undefined; other = this.overlap(start, length)) {
      if (address !== undefined) {
        throw new GemDmaError('EEXIST', 'mmap', `something is mapped at 0x${other.start.toString(16)}`);
      }
      start = other.end + PAGE_SIZE;
    }
    const area = { start, end: start + length, pfns: new Uint32Array(pages) };
    if (populate) {
      area.pfns.set(this.ram.take(pages));
      for (const pfn of area.pfns) this.references.set(pfn, 1);
    }
    // A page is left out after each mapping, so that running past an end is always an error.
    if (address === undefined) this.next = area.end + PAGE_SIZE;
    this.areas.push(area);
    return start;
  }

  /**
   * Unmaps whole pages.
   * @throws GemDmaError EINVAL unless the range is page-aligned and within one mapping; EBUSY from within a hook of a call that
   *   changes the process's mappings, or of one that works on a userptr object of the range
   */
  munmap(address: number, size: number): void {
    this.enter('munmap');
    const area = this.range('munmap', address, size);
    this.checkUnused('munmap', [{ start: address, end: address + size }]);
    this.changing(() => this.unmap(area, address, address + size));
  }

  private unmap(area: Area, start: number, end: number): void {
    this.zap(area, start, end - start);
    this.areas.splice(this.areas.indexOf(area), 1);
    this.keep(area, area.start, start);
    this.keep(area, end, area.end);
  }

  private changing(work: () => void): void {
    this.calls.run(() => this.work(work));
  }

  private checkUnused(call: string, spans: readonly { start: number; end: number }[]): void {
    this.checkIdle(call);
    for (const notifier of this.notifiers) {
      for (const { start, end } of spans) {
        if (!notifier.busy?.(start, end - 1)) continue;
        const message = `a call works with pages at 0x${start.toString(16)}: not from within a hook of that call`;
        throw new GemDmaError('EBUSY', call, message, { reason: 'OBJECT_BUSY' });
      }
    }
  }

  /** Discards pages; the next access reads zeros (madvise MADV_DONTNEED). Errors as munmap. */
  discard(address: number, size: number): void {
    this.enter('madvise');
    const area = this.range('madvise', address, size);
    this.checkUnused('madvise', [{ start: address, end: address + size }]);
    this.changing(() => this.zap(area, address, size));
  }

  /**
   * Writes bytes, touching pages as needed. EFAULT where nothing is mapped, ENOMEM.
   * @throws GemDmaError EFAULT where nothing is mapped, ENOMEM without a free frame: bytes before that place are
   *   written; RangeError beyond user addresses
   */
  write(address: number, bytes: Uint8Array): void {
    this.enter('process_write');
    checkInteger('address', address, 0, TASK_SIZE);
    bytes = checkBytes('bytes', bytes);
    for (let done = 0; done < bytes.length; ) {
      const at = address + done;
      const part = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      this.ram.write(this.touch(at) * PAGE_SIZE + (at % PAGE_SIZE), bytes.subarray(done, done + part));
      done += part;
    }
  }

  /**
   * Reads n bytes, touching pages as needed. Errors as write.
   * @throws GemDmaError EFAULT where nothing is mapped, ENOMEM without a free frame; RangeError beyond user addresses
   */
  read(address: number, n: number): Uint8Array {
    this.enter('process_read');
    checkInteger('address', address, 0, TASK_SIZE);
    const bytes = new Uint8Array(checkInteger('n', n, 0, 2 ** 31));
    for (let done = 0; done < n; ) {
      const at = address + done;
      const part = Math.min(n - done, PAGE_SIZE - (at % PAGE_SIZE));
      bytes.set(this.ram.read(this.touch(at) * PAGE_SIZE + (at % PAGE_SIZE), part), done);
      done += part;
    }
    return bytes;
  }

  /**
   * Whether the range could be a user's at all (access_ok): says nothing about mappings.
   * @throws RangeError for a negative number, or one beyond 2^53
   */
  accessOk(address: number, size: number): boolean {
    this.enter('access_ok');
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
    return address >= 0 && address + size <= TASK_SIZE;
  }

  /**
   * @internal Holds pages from an address on, as far as they are there; with `fault`, touching those that are not
   * (get_user_pages; without, __get_user_pages_fast).
   * @param pfns receives them; its length is how many are wanted
   * @returns how many were got, or -EFAULT or -ENOMEM when `fault` got none further and none at all
   */
  getUserPages(address: number, pfns: Uint32Array, fault: boolean): number {
    for (let n = 0; n < pfns.length; ++n) {
      let pfn = this.lookup(address + n * PAGE_SIZE);
      if (!pfn) {
        if (!fault) return n;
        try {
          pfn = this.touch(address + n * PAGE_SIZE);
        } catch (error) {
          if (!GemDmaError.is(error)) throw error;
          return n > 0 ? n : error.errno;
        }
      }
      pfns[n] = pfn;
      this.references.set(pfn, this.references.get(pfn)! + 1);
    }
    return pfns.length;
  }

  /** @internal Releases pages of getUserPages. Frames without a reference are freed. */
  putUserPages(pfns: Uint32Array): void {
    const free: number[] = [];
    for (const pfn of pfns) {
      const left = this.references.get(pfn)! - 1;
      if (left > 0) {
        this.references.set(pfn, left);
      } else {
        this.references.delete(pfn);
        free.push(pfn);
      }
    }
    if (free.length > 0) this.ram.put(Uint32Array.from(free));
  }

  /** pfn of the page at an address, or undefined where nothing was touched. @internal */
  pfn(address: number): number | undefined {
    this.enter('pagemap');
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    return this.lookup(address) || undefined;
  }

  /** @internal */
  registerNotifier(notifier: MmuNotifier): void {
    this.enter('mmu_notifier_register');
    checkFunction('notifier.invalidate', notifier?.invalidate);
    this.notifiers.add(notifier);
  }

  /** @internal */
  unregisterNotifier(notifier: MmuNotifier): void {
    this.notifiers.delete(notifier);
  }

  /** The process ends: everything is unmapped (exit_mmap). A second call does nothing. EBUSY as munmap. */
  exit(): void {
    if (!this.ending('exit')) return;
    this.checkUnused('exit', this.areas);
    this.changing(() => {
      for (const area of this.areas.slice()) this.unmap(area, area.start, area.end);
      this.end();
      this.members.delete(this);
    });
  }

  /** Unmaps everything and ends the process. */
  [Symbol.dispose](): void {
    if (this.alive) this.exit();
  }

  private overlap(start: number, length: number): Area | undefined {
    return this.areas.find((area) => area.start < start + length && area.end > start);
  }

  private area(address: number): Area | undefined {
    return this.areas.find(({ start, end }) => address >= start && address < end);
  }

  private lookup(address: number): number {
    const area = this.area(address);
    return area === undefined ? 0 : area.pfns[Math.floor((address - area.start) / PAGE_SIZE)];
  }

  private touch(address: number): number {
    const area = this.area(address);
    if (area === undefined) {
      throw new GemDmaError('EFAULT', 'page_fault', `nothing is mapped at 0x${address.toString(16)}`);
    }
    const page = Math.floor((address - area.start) / PAGE_SIZE);
    if (area.pfns[page] === 0) {
      area.pfns[page] = this.ram.take(1)[0];
      this.references.set(area.pfns[page], 1);
    }
    return area.pfns[page];
  }

  private range(syscall: string, address: number, size: number): Area {
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
    const area = this.area(address);
    if (address % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || size <= 0 || !area || address + size > area.end) {
      throw new GemDmaError(
        'EINVAL',
        syscall,
        `${size} bytes at 0x${address.toString(16)} are not whole pages of one mapping`,
      );
    }
    return area;
  }

  // Notifiers first: users must have dropped the pages, or hold their own references, before the process loses the pages.
  private zap(area: Area, address: number, size: number): void {
    for (const notifier of [...this.notifiers]) {
      checkSynchronous(
        'notifier.invalidate',
        this.calls.hook(() => notifier.invalidate(address, address + size - 1)),
      );
    }
    const first = (address - area.start) / PAGE_SIZE;
    const pages = area.pfns.subarray(first, first + size / PAGE_SIZE);
    this.putUserPages(pages.filter((pfn) => pfn !== 0));
    pages.fill(0);
  }

  private keep(area: Area, start: number, end: number): void {
    if (start === end) return;
    const first = (start - area.start) / PAGE_SIZE;
    this.areas.push({ start, end, pfns: area.pfns.slice(first, first + (end - start) / PAGE_SIZE) });
  }
}
