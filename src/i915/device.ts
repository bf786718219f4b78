import { checkBoolean, checkOptions, frozen } from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType, invalidValue, outOfRange, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { checkMaker, LIBRARY, type Life, notMade } from '../core/life.js';
import { Living } from '../core/living.js';
import type { DmaDevice } from '../dma/device.js';
import { DrmDevice } from '../drm/device.js';
import { DmaBuf } from '../drm/dma-buf.js';
import type { DriverHost } from '../drm/driver.js';
import { E2BIG, EAGAIN, EBUSY, EFAULT, EINVAL, ENODEV, refuse } from '../drm/errno.js';
import { ownObject } from '../drm/gem-export.js';
import { ListLink } from '../drm/list.js';
import { Process } from '../drm/process.js';
import type { Shrinker } from '../drm/reclaim.js';
import { AddressSpace } from './address-space.js';
import { ImportBacking } from './backing/import.js';
import { ShmemBacking } from './backing/shmem.js';
import { StolenMemory } from './backing/stolen.js';
import { UserptrBacking, UserptrNotifiers } from './backing/userptr.js';
import { type I915Config, type I915Options, i915Config, i915Policy, readI915Options } from './config.js';
import { GpuContext } from './context.js';
import { CACHE_LEVELS, type Caching, cacheLevelOf } from './cpu-access.js';
import { TRACEPOINTS } from './events.js';
import { evictEverything, evictVm } from './evict.js';
import { type ExecObject, type ExecOptions, execbuffer, readBatch } from './execbuffer.js';
import { numFences } from './fence.js';
import { FenceRegisters } from './fence-registers.js';
import { Ggtt } from './ggtt.js';
import { GemObject } from './object.js';
import { HOOKS, type HookName, type MappingPolicy } from './policy/policy.js';
import { Ppgtt } from './ppgtt.js';
import { ENGINES, idle, type Request, retireDone } from './retire.js';
import {
  SHRINK_BOUND,
  SHRINK_PURGEABLE,
  SHRINK_UNBOUND,
  shrink,
  shrinkAll,
  shrinkerCount,
  shrinkerScan,
} from './shrinker.js';
import { type DrmFile, type OpenOptions, openFile } from './uapi/file.js';
import { ObjectNames } from './uapi/names.js';
import type { Vma } from './vma.js';

/** A userptr or import is CPU-cached memory like any other. */
const DOMAIN_CPU = 1;

/** Options of a new object. */
export interface CreateOptions {
  /** Default: `llc` on a machine with one, else `none`. */
  caching?: Caching;
}

/** Flags of DRM_IOCTL_I915_GEM_USERPTR, and the caller's right. */
export interface UserptrOptions {
  /** The user promises to keep the range as it is: no notifier. EPERM without `privileged`. */
  unsynchronized?: boolean;
  /** Refused with ENODEV: the hardware has no read-only GTT entries for it. */
  readOnly?: boolean;
  /** CAP_SYS_ADMIN. Default true. */
  privileged?: boolean;
}

/**
 * i915/ is the memory management of the driver as of 2015, under the names of the kernel.
 *
 *   object.ts         a GEM object and its methods          backing/   where its memory comes from, one file per kind
 *   pages.ts          get_pages, put_pages and pins         policy/    when its DMA mapping is made and ended
 *   bind.ts           a place in an address space           unbind.ts  and out of it
 *   vma.ts, view.ts   that place, and what it shows         ggtt.ts, ppgtt.ts  the address spaces
 *   execbuffer.ts     batches; retire.ts when they are done evict.ts, shrinker.ts  under pressure
 *   cpu-access.ts     the CPU's accesses
 *
 * What any GEM driver has is in drm/: the device and object that these extend, shmem files, dma-bufs, processes, reclaim.
 *
 * An object gets its pages (getPages), is bound in one or more address spaces (bind, which needs the pages), unbound
 * again, and some time later its pages are put. The list of pages must be mapped for the device while an entry of any
 * address space points to them; the policy decides when it is mapped, which is the difference between a leak and none.
 *
 * This class is the device: `machine.addI915({ gen: 8, policy: 'i915-4.1' })`.
 */
export class I915Device extends DrmDevice<HookName> {
  static {
    Living.guard(I915Device, ['createObject', 'execbuffer', 'retire', 'idle', 'checkVm']);
  }

  /** @throws GemDmaError ESTALE if the library did not make it */
  private static made(one: I915Device, call: string): Life {
    if (!(one instanceof I915Device)) throw notMade(call);
    return DrmDevice.lifeOf(one, call);
  }

  /** The complete configuration, plain JSON. */
  readonly config: I915Config;
  /** When it maps and unmaps. */
  readonly policy: MappingPolicy;
  /** The global GTT. */
  readonly ggtt: Ggtt;
  /** The PPGTT that shadows it, in that mode. @internal */
  readonly aliasingPpgtt: Ppgtt | undefined;
  /** All address spaces, oldest first. @internal */
  readonly vmList: AddressSpace[] = [];
  /** @internal */
  readonly stolen: StolenMemory | undefined;

  /** Objects that hold pages, by whether they are bound somewhere, least recently used first. @internal */
  readonly boundList = new ListLink<GemObject>(null);
  /** @internal */
  readonly unboundList = new ListLink<GemObject>(null);
  /** What each engine is busy with, oldest first. @internal */
  readonly engines: readonly Request[][] = ENGINES.map(() => []);
  /** The process that calls the driver; undefined: the owner of the memory. @internal */
  currentProcess: Process | undefined;
  /** Vmas made so far; the last one's number. @internal */
  vmaCount = 0;
  /** Scans of lists by the shrinker so far; the last one's number. @internal */
  scans = 0;
  /** @internal */
  readonly contexts = new Set<GpuContext>();
  /** getPages calls that found the pages there, which is where mapping with the pages saves a mapping. */
  nestedGetPages = 0;
  /** WARN_ONs that fired: something went against the driver's own expectations. */
  readonly warnings: string[] = [];

  // A light attempt; then another after dropping purgeable objects; then another after dropping all unpinned objects of the GPU.
  /**
   * Steps that are tried in order when a page cannot be allocated.
   * @internal
   */
  override readonly reliefs = [
    (pages: number) => void shrink(this, pages, SHRINK_BOUND | SHRINK_UNBOUND | SHRINK_PURGEABLE),
    () => void shrinkAll(this),
  ];
  private readonly shrinker: Shrinker = {
    count: () => shrinkerCount(this),
    scan: (target) => this.hooks.call(() => shrinkerScan(this, target)),
  };

  private readonly notifiers: UserptrNotifiers;
  private contextCount = 0;
  private vmNumber = 0;
  /** @internal */
  readonly fences: FenceRegisters;
  /** Resets after batches that hung the GPU. @internal */
  resets = 0;
  /** Open files. @internal */
  readonly files = new Set<DrmFile>();
  /** Names that clients have given to objects (flink). @internal */
  readonly names = new ObjectNames();

  /**
   * @param device the device in the DMA API, attached to its domain; its mask is set here
   * @internal
   */
  constructor(maker: typeof LIBRARY, host: DriverHost, device: DmaDevice, options: I915Options) {
    checkMaker(maker, 'I915Device');
    super(host, device, HOOKS, TRACEPOINTS);
    const given = readI915Options(options);
    this.config = frozen(i915Config(given, host.translates));
    this.policy = i915Policy(given);
    this.fences = new FenceRegisters(numFences(this.config.gen, this.config.platform));
    device.setMask(this.config.dmaBits);
    this.notifiers = new UserptrNotifiers(this);
    this.ggtt = new Ggtt(LIBRARY, this);
    this.vmList.push(this.ggtt);
    try {
      if (this.config.ppgtt === 'aliasing') {
        this.aliasingPpgtt = new Ppgtt(LIBRARY, this, 'aliasing PPGTT', 'aliasing');
        this.ggtt.aliasing = this.aliasingPpgtt;
      }
      // Before gen8 the GPU reaches stolen memory through the IOMMU, which has no mapping of it (i915_gem_init_stolen).
      if (this.config.stolen > 0 && !(host.translates && this.config.gen < 8)) {
        this.stolen = new StolenMemory(this, this.config.stolen);
      }
    } catch (error) {
      this.releaseSpaces();
      throw error;
    }
    this.reclaim.register(this.shrinker, LIBRARY);
  }

  private releaseSpaces(): void {
    this.stolen?.release();
    this.aliasingPpgtt?.put();
    this.ggtt.put();
  }

  /**
   * Makes an object with shmem backing (GEM_CREATE).
   * @param size bytes or text such as `'4MiB'`, rounded up to whole pages. EINVAL for 0
   * @throws GemDmaError EINVAL for 0 bytes; TypeError or RangeError for a size or an option that cannot be
   */
  createObject(size: number | string, options?: CreateOptions): GemObject {
    const life = I915Device.made(this, 'gem_create');
    const { caching } = options === undefined ? {} : checkOptions('options', options, ['caching']);
    const asked = caching === undefined ? undefined : cacheLevel(caching);
    life.enter('gem_create');
    const level = asked ?? Number(this.config.llc);
    const bytes = wholePages(typeof size === 'number' ? size : parseSize('size', size));
    return new GemObject(LIBRARY, this, bytes, new ShmemBacking(this, bytes), DOMAIN_CPU, level);
  }

  /**
   * Makes an object of stolen memory. ENODEV when the device has none, EINVAL for 0, ENOMEM when it is used up.
   * @throws GemDmaError ENODEV, EINVAL, ENOMEM
   */
  createStolen(size: number | string): GemObject {
    this.enter('gem_create_stolen');
    const bytes = wholePages(parseSize('size', size));
    if (this.stolen === undefined) refuse(-ENODEV, 'gem_create_stolen', 'the device has no stolen memory to use');
    return this.stolen.create(bytes);
  }

  /**
   * Makes an object of a process's own memory (GEM_USERPTR). Errors in the kernel's order: EINVAL for what is not whole
   * pages, E2BIG beyond the GGTT, EFAULT outside of user addresses, ENODEV for read-only, EPERM for unsynchronized
   * without privilege, EAGAIN while workers of an overlapping object are under way.
   * @throws GemDmaError as above; TypeError or RangeError for an address, a size or an option that cannot be
   */
  createUserptr(process: Process, address: number, size: number | string, options: UserptrOptions = {}): GemObject {
    const given = checkOptions('options', options, ['unsynchronized', 'readOnly', 'privileged']);
    const unsynchronized = checkBoolean('unsynchronized', given.unsynchronized, false);
    const privileged = checkBoolean('privileged', given.privileged, true);
    const readOnly = checkBoolean('readOnly', given.readOnly, false);
    const bytes = parseSize('size', size);
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    this.enter('gem_userptr');
    this.accept(Process, 'process', process, 'gem_userptr');
    const range = `${bytes} bytes at 0x${address.toString(16)}`;
    if (address % PAGE_SIZE !== 0 || bytes % PAGE_SIZE !== 0) {
      refuse(-EINVAL, 'gem_userptr', `${range} are not whole pages`);
    }
    if (bytes === 0 && !this.config.defects.emptyUserptr) refuse(-EINVAL, 'gem_userptr', 'no bytes');
    if (bytes > this.config.ggtt) refuse(-E2BIG, 'gem_userptr', `${range} exceed the GGTT`);
    if (!process.accessOk(address, bytes)) refuse(-EFAULT, 'gem_userptr', `${range} are not a user's`);
    if (readOnly) refuse(-ENODEV, 'gem_userptr', 'no read-only mappings on this hardware');
    if (unsynchronized && !privileged) {
      throw new GemDmaError('EPERM', 'gem_userptr', 'an unsynchronized userptr needs privilege');
    }
    if (!unsynchronized && this.notifiers.busy(process, address, bytes)) {
      refuse(-EAGAIN, 'gem_userptr', `workers are under way for an object that overlaps ${range}`);
    }
    const backing = new UserptrBacking(this.notifiers, process, address, bytes, !unsynchronized);
    const object = new GemObject(LIBRARY, this, bytes, backing, DOMAIN_CPU, 1);
    if (backing.synchronized) this.notifiers.add(object, backing);
    return object;
  }

  /** Imports a dma-buf (prime fd to handle). One that this device exported is the very same object, once more held. */
  importDmaBuf(dmaBuf: DmaBuf): GemObject {
    this.enter('gem_import');
    this.accept(DmaBuf, 'dmaBuf', dmaBuf, 'gem_import');
    const own = ownObject<GemObject>(this, dmaBuf);
    if (own !== null) {
      own.reopen();
      return own;
    }
    return new GemObject(LIBRARY, this, dmaBuf.size, new ImportBacking(dmaBuf.attach(this.dmaDevice)), 0, 0);
  }

  /** Makes a hardware context, with an address space of its own in full PPGTT mode. ENOMEM. */
  createContext(): GpuContext {
    this.enterIdle('gem_context_create');
    return this.hooks.call(() => {
      const id = this.contextCount + 1;
      const vm = this.fullPpgtt ? new Ppgtt(LIBRARY, this, `PPGTT ${id}`, 'ppgtt') : this.ggtt;
      if (!this.fullPpgtt) vm.get();
      this.contextCount = id;
      return this.addContext(vm);
    });
  }

  private addContext(vm: AddressSpace): GpuContext {
    const context = new GpuContext(LIBRARY, this, this.contextCount, vm);
    this.contexts.add(context);
    return context;
  }

  /** @internal A context in an address space that there is. */
  createContextIn(vm: AddressSpace): GpuContext {
    this.enterIdle('gem_context_create');
    vm.hold();
    ++this.contextCount;
    return this.addContext(vm);
  }

  /** @internal An address space that no context has yet. @throws GemDmaError ENOMEM */
  createPpgtt(): Ppgtt {
    this.enterIdle('gem_vm_create');
    return this.hooks.call(() => new Ppgtt(LIBRARY, this, `PPGTT of vm ${++this.vmNumber}`, 'ppgtt'));
  }

  /** @internal Whether contexts have address spaces of their own. */
  get fullPpgtt(): boolean {
    return this.config.ppgtt === 'full' || this.config.ppgtt === 'full-48bit';
  }

  /**
   * Opens the device, as a client does: its requests with the kernel's structs (`file.ioctl`). Each file has handles and
   * contexts of its own.
   * @throws TypeError for an option that cannot be; GemDmaError ENOMEM without memory for the file's context
   * @example
   * using file = gpu.open();
   * const buffer = packStruct('gem_create', { size: 4096 });
   * file.ioctl(IOCTL.I915_GEM_CREATE, buffer); // 0
   * unpackStruct('gem_create', buffer).handle; // 1
   */
  open(options: OpenOptions = {}): DrmFile {
    this.enterIdle('open');
    return openFile(this, options);
  }

  /** Runs a batch: binds every object of the list in the context's address space. See execbuffer.ts for errors. */
  execbuffer(
    context: GpuContext,
    list: readonly ExecObject[],
    options?: ExecOptions,
  ): {
    /** The objects' places, in the order of the batch. */
    vmas: Vma[];
    /** The GPU's work on them. */
    request: Request;
  } {
    I915Device.made(this, 'gem_execbuffer');
    const batch = readBatch(list, options);
    return this.call('gem_execbuffer', () => execbuffer(this, context, batch));
  }

  /**
   * n bytes as the GPU reads them: through the address space's tables to a device address, through the IOMMU to a frame.
   * EFAULT when a table or the IOMMU has nothing there; the fault is recorded.
   */
  read(vm: AddressSpace, address: number, n: number): Uint8Array {
    this.enter('gpu_read');
    this.checkVm(vm, 'gpu_read');
    return vm.read(address, n);
  }

  /** Writes bytes as the GPU does. Errors as read. */
  write(vm: AddressSpace, address: number, bytes: Uint8Array): void {
    this.enter('gpu_write');
    this.checkVm(vm, 'gpu_write');
    vm.write(address, bytes);
  }

  /** Retires every request that is done by now (i915_gem_retire_requests). */
  retire(): void {
    I915Device.made(this, 'gem_retire');
    this.call('gem_retire', () => retireDone(this));
  }

  /** Waits until the GPU is done with everything (i915_gpu_idle). */
  idle(): void {
    I915Device.made(this, 'gem_idle');
    this.call('gem_idle', () => idle(this));
  }

  /** Resolves when deferred work that is due (userptr workers, requests done) has run; work queued meanwhile included. */
  async settled(): Promise<void> {
    this.enter('settled');
    await Promise.resolve();
    this.clock.run();
  }

  /**
   * i915_gem_shrink: flags are SHRINK_PURGEABLE, SHRINK_UNBOUND, SHRINK_BOUND. Returns pages released.
   * @throws RangeError if the target is negative, or a flag is not known
   */
  shrink(target: number, flags: number): number {
    checkTarget(target);
    checkInteger('flags', flags, 0, SHRINK_BOUND | SHRINK_UNBOUND | SHRINK_PURGEABLE);
    return this.call('gem_shrink', () => shrink(this, target, flags));
  }

  /** i915_gem_shrink_all. Returns pages released. */
  shrinkAll(): number {
    return this.call('gem_shrink_all', () => shrinkAll(this));
  }

  /** Pages that the shrinker says it could release, and what a scan for so many releases. */
  shrinkerCount(): number {
    this.enter('gem_shrinker_count');
    return shrinkerCount(this);
  }

  /**
   * Frees memory of objects that can go without, as the kernel's shrinker does when memory is short.
   * @param target pages
   * @returns pages that were freed
   */
  shrinkerScan(target: number): number {
    checkTarget(target);
    return this.call('gem_shrinker_scan', () => shrinkerScan(this, target));
  }

  /** i915_gem_evict_vm and i915_gem_evict_everything. The latter: ENOSPC when the newest address space is empty. */
  evictVm(vm: AddressSpace): void {
    this.enterIdle('gem_evict_vm');
    this.checkVm(vm, 'gem_evict_vm');
    this.hooks.call(() => evictVm(vm, true));
  }

  /**
   * Unbinds what is not pinned, in all address spaces (i915_gem_evict_everything).
   * @throws GemDmaError ENOSPC when the newest address space holds nothing
   */
  evictEverything(): void {
    this.call('gem_evict_everything', () => {
      const rc = evictEverything(this);
      if (rc !== 0) refuse(rc, 'gem_evict_everything', 'the newest address space holds nothing');
    });
  }

  /**
   * The driver is unbound (i915_driver_unload): its address spaces and stolen memory are freed, and dma-debug checks what
   * is left.
   * @returns mappings that are left over, as the kernel counts them then; 0 without dma-debug
   *   and at a second call, which does nothing
   * @throws GemDmaError EBUSY while there are objects or contexts, and from within a hook
   */
  remove(): number {
    if (!this.ending('i915_driver_unload')) return 0;
    this.core.calls.checkRest('i915_driver_unload');
    return this.hooks.call(() => {
      idle(this);
      if (this.liveObjects > 0 || this.contexts.size > 0) {
        const what = `${this.liveObjects} objects and ${this.contexts.size} contexts`;
        refuse(-EBUSY, 'i915_driver_unload', `there are ${what}`);
      }
      this.releaseSpaces();
      this.reclaim.unregister(this.shrinker);
      return this.driverUnbound();
    });
  }

  /** @internal An address space that comes as an argument: this GPU's, alive, and not that of a released context. */
  checkVm(vm: AddressSpace, call: string): void {
    AddressSpace.admit(vm, DrmDevice.lifeOf(this, call), call);
    if (vm.device !== this) otherDevice(call, vm.name);
  }

  /** A WARN_ON that fired. @internal */
  warn(what: string): void {
    this.warnings.push(what);
  }
}

/** Throws EXDEV for what belongs to another device of the machine. */
export function otherDevice(call: string, what: string): never {
  throw new GemDmaError('EXDEV', call, `${what} belongs to another GPU`, { reason: 'OTHER_DEVICE' });
}

// Pages that are to be released: any number, however large.
function checkTarget(target: number): void {
  if (typeof target !== 'number') throw invalidType('target', 'of type number', target);
  if (!(target >= 0)) throw outOfRange('target', '>= 0 pages', target);
}

// i915_gem_create: the rounded size of nothing is nothing, and so is what rounding makes of sizes near 2^64.
function wholePages(size: number): number {
  if (!Number.isInteger(size) || size < 0) throw outOfRange('size', 'a whole number of bytes >= 0', size);
  if (size === 0 || size > Number.MAX_SAFE_INTEGER) refuse(-EINVAL, 'gem_create', `an object of ${size} bytes`);
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

function cacheLevel(caching: Caching): number {
  if (!CACHE_LEVELS.includes(caching)) throw invalidValue('caching', `one of ${CACHE_LEVELS.join(', ')}`, caching);
  return cacheLevelOf(caching);
}
