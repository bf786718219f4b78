import { PAGE_SIZE } from '../../core/generated/constants.js';
import { held } from '../../core/handle.js';
import { bugOn, EAGAIN, ENOMEM } from '../../drm/errno.js';
import type { MmuNotifier, Process } from '../../drm/process.js';
import type { I915Device } from '../device.js';
import type { GemObject } from '../object.js';
import { putPages } from '../pages.js';
import { askPolicy, tellPolicy } from '../policy/run.js';
import { retireDone } from '../retire.js';
import { vmaUnbind } from '../unbind.js';
import type { Backing } from './backing.js';

/** userptr.workers has four bits. */
export const MAX_WORKERS = 15;

/** One run of the worker that faults pages in (struct get_pages_work): only which one it is matters. */
class Work {}

/**
 * A process's own memory (i915_gem_userptr.c). Pages that are there are taken at once; if some are missing, getPages
 * says EAGAIN and a worker, which may sleep, faults them in. When the process changes the range, the pages are dropped.
 *
 * `work` says what is going on: null, nothing; a Work, that worker's result counts; a number, the errno of the last one,
 * to be reported once.
 */
export class UserptrBacking implements Backing {
  readonly kind = 'userptr';
  readonly mapping = 'sg';
  readonly filp = false;
  readonly process: Process;
  readonly address: number;
  private readonly size: number;
  private readonly pages: number;
  private readonly notifiers: UserptrNotifiers;
  /** Objects that have a notifier; false: the user promised to keep the range as it is (UNSYNCHRONIZED). */
  synchronized: boolean;
  work: Work | number | null = null;
  /** Workers on their way, at most 15, superseded ones included. */
  workers = 0;
  private pfns: Uint32Array | null = null;

  constructor(notifiers: UserptrNotifiers, process: Process, address: number, size: number, synchronized: boolean) {
    this.notifiers = notifiers;
    this.process = process;
    this.address = address;
    this.size = size;
    this.pages = size / PAGE_SIZE;
    this.synchronized = synchronized;
  }

  /** i915_gem_userptr_get_pages. */
  getPages(object: GemObject): number {
    const { device } = object;
    const pfns = new Uint32Array(this.pages);
    let got = 0;
    // Only in the process itself can its pages be had without sleeping.
    if (device.currentProcess === undefined || device.currentProcess === this.process) {
      got = this.process.getUserPages(this.address, pfns, false);
    }
    if (got === this.pages) {
      const rc = this.attach(object, pfns);
      if (rc === 0) this.work = null;
      return rc;
    }
    let rc = -EAGAIN;
    if (this.work === null && this.workers < MAX_WORKERS) {
      this.schedule(object);
    } else if (typeof this.work === 'number') {
      rc = this.work;
      this.work = null;
    }
    this.process.putUserPages(pfns.subarray(0, got));
    return rc;
  }

  /** i915_gem_userptr_put_pages. */
  putPages(object: GemObject): void {
    bugOn(this.work !== null, 'pages of a userptr put while a worker is under way');
    tellPolicy('putPages', object);
    if (object.device.config.defects.userptrCursor) object.cursor?.dangle(object);
    object.device.core.exports.sgDestroy(held(object.pages));
    this.process.putUserPages(this.pfns!);
    this.pfns = null;
    object.dirty = false;
  }

  truncate(): void {}

  /** An object that others will see needs the notifier (i915_gem_userptr_dmabuf_export). */
  beforeExport(object: GemObject): number {
    if (!this.synchronized) {
      this.synchronized = true;
      this.notifiers.add(object, this);
    }
    return 0;
  }

  release(object: GemObject): void {
    this.notifiers.remove(object, this);
  }

  /** The range is about to change: whatever is under way is void, and the pages go. The object is not busy. */
  invalidate(object: GemObject): void {
    const { device } = object;
    this.work = null;
    if (object.pages === 0) return;
    tellPolicy('invalidate', object);
    for (const vma of object.vmas) {
      if (vmaUnbind(vma) !== 0) device.warn(`${vma} cannot be unbound though its memory is being changed`);
    }
    if (putPages(object) !== 0) device.warn(`${object} keeps pages that its process is giving up`);
  }

  // st_set_pages and, by policy, the mapping. On failure the pages are dropped.
  private attach(object: GemObject, pfns: Uint32Array): number {
    const { device } = object;
    const table = device.tableOf(pfns);
    let rc = -ENOMEM;
    if (table !== 0) {
      object.pages = table;
      this.pfns = pfns;
      rc = askPolicy('getPages', object);
      if (rc === 0) return 0;
      object.pages = 0;
      this.pfns = null;
      device.core.exports.sgDestroy(table);
    }
    this.process.putUserPages(pfns);
    return rc;
  }

  private schedule(object: GemObject): void {
    ++this.workers;
    object.get();
    const work = new Work();
    this.work = work;
    const { clock, hooks } = object.device;
    clock.schedule(0, () => hooks.call(() => this.run(object, work)));
  }

  // __i915_gem_userptr_get_pages_worker.
  private run(object: GemObject, work: Work): void {
    const { device } = object;
    const pfns = new Uint32Array(this.pages);
    let got = 0;
    let rc = 0;
    if (object.busy) rc = -EAGAIN; // A hook lets time pass while another call is in the middle of it.
    while (got < this.pages && rc === 0) {
      const more = this.process.getUserPages(this.address + got * PAGE_SIZE, pfns.subarray(got), true);
      if (more < 0) rc = more;
      else got += more;
    }
    if (this.work !== work) {
      // Cancelled or superseded: the pages are not needed any more.
      this.process.putUserPages(pfns.subarray(0, got));
      rc = 0;
    } else if (rc === 0) {
      rc = object.work(() => this.attach(object, pfns));
      if (rc === 0) {
        device.unboundList.moveTail(object.globalLink);
        if (!device.config.defects.userptrCursor) object.cursor?.reset(object.pages);
      }
    } else {
      this.process.putUserPages(pfns.subarray(0, got));
    }
    // A superseded worker also clears the work of its successor, as in the kernel.
    this.work = rc === 0 ? null : rc;
    --this.workers;
    object.put();
  }

  /** Whether this range has a byte in [first, last]. */
  overlaps(first: number, last: number): boolean {
    return this.address <= last && this.address + this.size - 1 >= first;
  }
}

/** The device's notifiers, one per process (struct i915_mm_struct and i915_mmu_notifier). */
export class UserptrNotifiers {
  private readonly device: I915Device;
  private readonly byProcess = new Map<Process, UserptrNotifier>();

  constructor(device: I915Device) {
    this.device = device;
  }

  /** Whether an object of the process whose range overlaps has workers: a new object must wait for them (EAGAIN). */
  busy(process: Process, address: number, size: number): boolean {
    return this.byProcess.get(process)?.faulting(address, address + size - 1) ?? false;
  }

  add(object: GemObject, backing: UserptrBacking): void {
    let notifier = this.byProcess.get(backing.process);
    if (notifier === undefined) {
      notifier = new UserptrNotifier(this.device);
      this.byProcess.set(backing.process, notifier);
      backing.process.registerNotifier(notifier);
    }
    notifier.objects.set(object, backing);
  }

  remove(object: GemObject, backing: UserptrBacking): void {
    const notifier = this.byProcess.get(backing.process);
    if (notifier === undefined || !notifier.objects.delete(object) || notifier.objects.size > 0) return;
    this.byProcess.delete(backing.process);
    backing.process.unregisterNotifier(notifier);
  }
}

class UserptrNotifier implements MmuNotifier {
  private readonly device: I915Device;
  readonly objects = new Map<GemObject, UserptrBacking>();

  constructor(device: I915Device) {
    this.device = device;
  }

  /** Whether a worker faults in pages of the range. */
  faulting(first: number, last: number): boolean {
    for (const backing of this.objects.values()) {
      if (backing.workers > 0 && backing.overlaps(first, last)) return true;
    }
    return false;
  }

  /** Whether a call is in the middle of an object of the range, and has led to the hook that runs now. */
  busy(first: number, last: number): boolean {
    for (const [object, backing] of this.objects) {
      if (object.busy && backing.overlaps(first, last)) return true;
    }
    return false;
  }

  /** i915_gem_userptr_mn_invalidate_range_start. */
  invalidate(first: number, last: number): void {
    this.device.hooks.call(() => {
      retireDone(this.device);
      for (const [object, backing] of [...this.objects]) {
        if (!backing.overlaps(first, last) || object.refcount <= 0) continue;
        object.get();
        object.work(() => backing.invalidate(object));
        object.put();
      }
    });
  }
}
