import { CpuRegisters } from '../core/cpu-registers.js';
import { checkInteger, GemDmaError, invalidType, invalidValue, outOfRange, parseSize } from '../core/errors.js';
import type { Core } from '../core/instance.js';
import type { PhysicalMemory } from '../core/physical-memory.js';
import { reasonName } from '../core/reasons.js';
import type { DmaDevice } from '../dma/device.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import { type DmaBuf, ownObject } from '../drm/dma-buf.js';
import type { DriverClock, DriverHost } from '../drm/driver.js';
import { HookRunner } from '../drm/hooks.js';
import { ListLink } from '../drm/list.js';
import type { Process } from '../drm/process.js';
import type { EventLog } from '../events/events.js';
import type { AddressSpace } from './address-space.js';
import { ImportBacking } from './backing/import.js';
import { ShmemBacking } from './backing/shmem.js';
import { StolenMemory } from './backing/stolen.js';
import { UserptrBacking, UserptrNotifiers } from './backing/userptr.js';
import { type I915Config, type I915Options, i915Config, i915Policy } from './config.js';
import { Context } from './context.js';
import { CACHE_LEVELS, type Caching } from './domain.js';
import { E2BIG, EAGAIN, EBUSY, EFAULT, EINVAL, ENODEV, refuse } from './errno.js';
import { type I915Event, TRACEPOINTS } from './events.js';
import { evictEverything, evictVm } from './evict.js';
import { type ExecObject, type ExecOptions, execbuffer } from './execbuffer.js';
import { Ggtt } from './ggtt.js';
import { GemObject } from './object.js';
import { HOOKS, type HookName, type MappingPolicy } from './policy/policy.js';
import { Ppgtt } from './ppgtt.js';
import { idle, type Request, retireDone } from './retire.js';
import { shrink, shrinkAll, shrinkerCount, shrinkerScan } from './shrinker.js';
import type { Vma } from './vma.js';

const PAGE_SIZE = 4096;
const MAX_ENTRY = 0xfffff000;
const SG_NO_COALESCE = 1;
const BIDIRECTIONAL = 0;
/** In place of a number of entries: all of them (assembly/dma/map.ts). */
const ALL_ENTRIES = -1;
/** A userptr or import is CPU-cached memory like any other. */
const DOMAIN_CPU = 1;

export interface CreateOptions {
  /** Default: `llc` on a machine with one, else `none`. */
  caching?: Caching;
}

export interface UserptrOptions {
  /** The user promises to keep the range as it is: no notifier. EPERM without `privileged`. */
  unsynchronized?: boolean;
  /** Refused with ENODEV: the hardware has no read-only GTT entries for it. */
  readOnly?: boolean;
  /** CAP_SYS_ADMIN. Default true. */
  privileged?: boolean;
}

/**
 * i915/ is the driver's memory management as it was in 2015, told in TypeScript under the kernel's own names.
 *
 *   object.ts         a GEM object and its methods          backing/   where its memory comes from, one file a kind
 *   pages.ts          get_pages, put_pages and pins         policy/    when its DMA mapping is made and ended
 *   bind.ts           a place in an address space           unbind.ts  and out of it
 *   vma.ts, view.ts   that place, and what it shows         ggtt.ts, ppgtt.ts  the address spaces
 *   execbuffer.ts     batches; retire.ts when they are done evict.ts, shrinker.ts  under pressure
 *   domain.ts         the CPU's accesses                    dma-buf.ts, process.ts  the other side of imports, userptr
 *
 * An object gets its pages (getPages), is bound in one or more address spaces (bind, which needs the pages), unbound
 * again, and some time later its pages are put. The list of pages must be mapped for the device while an entry of any
 * address space points to them; who maps when is the policy's decision, and the difference between a leak and none.
 *
 * This class is the device: `machine.addI915({ gen: 8, driver: 'linux-4.1' })`.
 */
export class I915Device {
  readonly config: I915Config;
  readonly policy: MappingPolicy;
  readonly core: Core;
  readonly context: number;
  readonly clock: DriverClock;
  readonly ram: PhysicalMemory;
  readonly events: EventLog;
  /** The device as the DMA API knows it, and its handle there. */
  readonly device: DmaDevice;
  readonly dma: number;
  /** The global GTT. */
  readonly ggtt: Ggtt;
  /** The PPGTT that shadows it, in that mode. */
  readonly aliasingPpgtt: Ppgtt | undefined;
  /** All address spaces, oldest first. */
  readonly vmList: AddressSpace[] = [];
  readonly stolen: StolenMemory | undefined;

  /** Objects that hold pages, by whether they are bound somewhere, least recently used first. */
  readonly boundList = new ListLink<GemObject>(null);
  readonly unboundList = new ListLink<GemObject>(null);
  /** Shmem files with resident pages that no object holds: what the system may swap out, oldest first. */
  readonly idleFiles = new ListLink<ShmemBacking>(null);
  /** What the GPU is busy with, oldest first. */
  readonly requests: Request[] = [];
  /** The process on whose behalf the driver runs; undefined: always the right one. */
  currentProcess: Process | undefined;
  /** Objects and vmas made so far; the last one's number. */
  objectCount = 0;
  vmaCount = 0;
  /** Everything that exists, in the order in which it was made: what a snapshot must hold. */
  readonly liveList = new ListLink<GemObject>(null);
  readonly contexts = new Set<Context>();
  /** getPages calls that found the pages there, which is where mapping with the pages saves a mapping. */
  nestedGetPages = 0;
  private mapFailure = 0;
  /** WARN_ONs that fired: something went against the driver's own expectations. */
  readonly warnings: string[] = [];

  /** How sg tables are built: an entry a page where swiotlb may be behind, merged otherwise. */
  readonly sgFlags: number;
  readonly maxEntry = MAX_ENTRY;
  /** Which range manager: 0 that of 2015, 1 the modern one. */
  readonly mmFlavour: number;

  /** Every call from outside, and every hook of the policy, is run by it. */
  readonly hooks: HookRunner<HookName>;
  private readonly dmaDebug: DmaDebug | undefined;
  private readonly notifiers: UserptrNotifiers;
  private contextCount = 0;
  private readonly firstTracepoint: number;

  /**
   * @param device the device in the DMA API, attached to its domain; its mask is set here
   */
  constructor(host: DriverHost, device: DmaDevice, options: I915Options) {
    this.config = i915Config(options, host.translates);
    this.policy = i915Policy(options);
    this.core = host.core;
    this.context = host.context;
    this.clock = host.clock;
    this.ram = host.ram;
    this.events = host.events;
    this.device = device;
    this.dma = device.handle;
    device.setMask(this.config.dmaBits);
    this.sgFlags = host.bounces ? SG_NO_COALESCE : 0;
    this.mmFlavour = host.kernel.drmMm === 'modern' ? 1 : 0;
    this.dmaDebug = host.checker ?? undefined;
    this.hooks = hookRunner(host);
    this.firstTracepoint = host.events.addTracepoints(TRACEPOINTS);
    this.notifiers = new UserptrNotifiers(this);
    this.ggtt = new Ggtt(this);
    this.vmList.push(this.ggtt);
    try {
      if (this.config.ppgtt === 'aliasing') {
        this.aliasingPpgtt = new Ppgtt(this, 'aliasing PPGTT', 'aliasing');
        this.ggtt.aliasing = this.aliasingPpgtt;
      }
      // Before gen8 the GPU reaches stolen memory through the IOMMU, which knows nothing of it (i915_gem_init_stolen).
      if (this.config.stolen > 0 && !(host.translates && this.config.gen < 8)) {
        this.stolen = new StolenMemory(this, this.config.stolen);
      }
    } catch (error) {
      this.releaseSpaces();
      throw error;
    }
  }

  private releaseSpaces(): void {
    this.stolen?.release();
    this.aliasingPpgtt?.release();
    this.ggtt.release();
  }

  /**
   * Makes an object with shmem backing (GEM_CREATE).
   * @param size bytes or text such as `'4MiB'`, rounded up to whole pages. EINVAL for 0
   */
  createObject(size: number | string, options?: CreateOptions): GemObject {
    const bytes = wholePages(typeof size === 'number' ? size : parseSize('size', size));
    let level = this.config.llc ? 1 : 0;
    if (options?.caching !== undefined) level = cacheLevel(options.caching);
    return new GemObject(this, bytes, new ShmemBacking(this, bytes), DOMAIN_CPU, level);
  }

  /** Makes an object of stolen memory. ENODEV when the device has none, EINVAL for 0, ENOMEM when it is used up. */
  createStolen(size: number | string): GemObject {
    const bytes = wholePages(parseSize('size', size));
    if (this.stolen === undefined) refuse(-ENODEV, 'gem_create_stolen', 'the device has no stolen memory to use');
    return this.stolen.create(bytes);
  }

  /**
   * Makes an object of a process's own memory (GEM_USERPTR). Errors in the kernel's order: EINVAL for what is not whole
   * pages, E2BIG beyond the GGTT, EFAULT outside of user addresses, ENODEV for read-only, EPERM for unsynchronized
   * without privilege, EAGAIN while workers of an overlapping object are under way.
   */
  createUserptr(process: Process, address: number, size: number | string, options: UserptrOptions = {}): GemObject {
    const bytes = parseSize('size', size);
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    const range = `${bytes} bytes at 0x${address.toString(16)}`;
    if (address % PAGE_SIZE !== 0 || bytes % PAGE_SIZE !== 0) {
      refuse(-EINVAL, 'gem_userptr', `${range} are not whole pages`);
    }
    if (bytes === 0 && !this.config.defects.emptyUserptr) refuse(-EINVAL, 'gem_userptr', 'no bytes');
    if (bytes > this.config.ggtt) refuse(-E2BIG, 'gem_userptr', `${range} exceed the GGTT`);
    if (!process.accessOk(address, bytes)) refuse(-EFAULT, 'gem_userptr', `${range} are not a user's`);
    if (options.readOnly) refuse(-ENODEV, 'gem_userptr', 'no read-only mappings on this hardware');
    if (options.unsynchronized && options.privileged === false) {
      throw new GemDmaError('EPERM', 'gem_userptr', 'an unsynchronized userptr needs privilege');
    }
    if (!options.unsynchronized && this.notifiers.busy(process, address, bytes)) {
      refuse(-EAGAIN, 'gem_userptr', `workers are under way for an object that overlaps ${range}`);
    }
    const backing = new UserptrBacking(this.notifiers, process, address, bytes, !options.unsynchronized);
    const object = new GemObject(this, bytes, backing, DOMAIN_CPU, 1);
    if (backing.synchronized) this.notifiers.add(object, backing);
    return object;
  }

  /** Imports a dma-buf (prime fd to handle). One that this device exported is the very same object, once more held. */
  importDmaBuf(dmaBuf: DmaBuf): GemObject {
    const own = ownObject(this, dmaBuf);
    if (own !== null) {
      own.reference();
      return own;
    }
    return new GemObject(this, dmaBuf.size, new ImportBacking(dmaBuf.attach(this.device)), 0, 0);
  }

  /** Makes a hardware context, with an address space of its own in full PPGTT mode. ENOMEM. */
  createContext(): Context {
    const full = this.config.ppgtt === 'full' || this.config.ppgtt === 'full-48bit';
    const id = this.contextCount + 1;
    const vm = full ? this.hooks.call(() => new Ppgtt(this, `PPGTT ${id}`, 'ppgtt')) : this.ggtt;
    if (!full) vm.reference();
    this.contextCount = id;
    const context = new Context(this, id, vm);
    this.contexts.add(context);
    return context;
  }

  /** Runs a batch: binds every object of the list in the context's address space. See execbuffer.ts for errors. */
  execbuffer(context: Context, list: readonly ExecObject[], options?: ExecOptions): { vmas: Vma[]; request: Request } {
    return this.hooks.call(() => execbuffer(this, context, list, options));
  }

  /**
   * n bytes as the GPU reads them: through the address space's tables to a device address, through the IOMMU to a frame.
   * EFAULT when a table or the IOMMU has nothing there; the fault is recorded.
   */
  read(vm: AddressSpace, address: number, n: number): Uint8Array {
    return vm.read(checkInteger('address', address, 0, 2 ** 48), checkInteger('n', n, 0, 2 ** 30));
  }

  /** Writes bytes as the GPU does. Errors as read. */
  write(vm: AddressSpace, address: number, bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw invalidType('bytes', 'an instance of Uint8Array', bytes);
    vm.write(checkInteger('address', address, 0, 2 ** 48), bytes);
  }

  /** Retires every request that is done by now (i915_gem_retire_requests). */
  retire(): void {
    this.hooks.call(() => retireDone(this));
  }

  /** Waits until the GPU is done with everything (i915_gpu_idle). */
  idle(): void {
    this.hooks.call(() => idle(this));
  }

  /** Resolves when deferred work that is due (userptr workers, requests done) has run; work queued meanwhile included. */
  async settled(): Promise<void> {
    await Promise.resolve();
    this.clock.run();
  }

  /** i915_gem_shrink: flags are SHRINK_PURGEABLE, SHRINK_UNBOUND, SHRINK_BOUND. Returns pages released. */
  shrink(target: number, flags: number): number {
    return this.hooks.call(() => shrink(this, target, flags));
  }

  /** i915_gem_shrink_all. Returns pages released. */
  shrinkAll(): number {
    return this.hooks.call(() => shrinkAll(this));
  }

  /** Pages that the shrinker says it could release, and what a scan for so many releases. */
  shrinkerCount(): number {
    return shrinkerCount(this);
  }

  shrinkerScan(target: number): number {
    return this.hooks.call(() => shrinkerScan(this, target));
  }

  /** i915_gem_evict_vm and i915_gem_evict_everything. The latter: ENOSPC when the newest address space is empty. */
  evictVm(vm: AddressSpace): void {
    this.hooks.call(() => evictVm(vm, true));
  }

  evictEverything(): void {
    const rc = this.hooks.call(() => evictEverything(this));
    if (rc !== 0) refuse(rc, 'gem_evict_everything', 'the newest address space holds nothing');
  }

  /**
   * The driver is unbound (i915_driver_unload): its address spaces and stolen memory go, and dma-debug is told.
   * @returns mappings that are left over, as the kernel counts them then; 0 where nobody watches
   * @throws GemDmaError EBUSY while there are objects or contexts
   */
  remove(): number {
    this.idle();
    if (this.liveObjects > 0 || this.contexts.size > 0) {
      const what = `${this.liveObjects} objects and ${this.contexts.size} contexts`;
      refuse(-EBUSY, 'i915_driver_unload', `there are ${what}`);
    }
    this.hooks.call(() => this.releaseSpaces());
    return this.dmaDebug?.driverUnbound({ id: this.device.id, handle: this.dma, name: 'i915' }) ?? 0;
  }

  /** Objects that were made and not freed. */
  get liveObjects(): number {
    return this.liveList.toArray().length;
  }

  // What the rest of the driver asks of the device.

  /** Tells the event log, which is asked before whether it records. */
  tell(event: I915Event, object: number, length: number, vma = 0, address = 0): void {
    const tracepoint = this.firstTracepoint + TRACEPOINTS.findIndex(({ kind }) => kind === event);
    this.hooks.during('none', object, vma, () => this.events.tell(tracepoint, this.device.id, address, length));
  }

  /** Entries of an address space now lead to a table's mapping (by 1), or no longer do (by -1). */
  binding(address: number, by: 1 | -1): void {
    if (this.dmaDebug !== undefined) this.core.exports.debugBinding(this.dma, address, by);
  }

  /** An object is gone: a mapping that was made for it and is still there will stay. */
  objectGone(object: number): void {
    if (this.dmaDebug !== undefined) this.core.exports.debugObjectGone(this.dma, object);
  }

  /** Whether a checker watches. */
  get checked(): boolean {
    return this.dmaDebug !== undefined;
  }

  /** dma_map_sg of a table, both directions. Returns segments or a negative errno. */
  mapSg(table: number): number {
    const rc = this.core.exports.dmaMapSg(this.dma, table, BIDIRECTIONAL, 0);
    if (rc <= 0) this.mapFailure = this.core.exports.lastReason(this.context);
    return rc;
  }

  /** Why the DMA API last refused, once: the driver's own errno is coarser. Undefined when it was something else. */
  takeMapFailure(): string | undefined {
    const reason = reasonName(this.mapFailure);
    this.mapFailure = 0;
    return reason;
  }

  /** dma_unmap_sg of a table. */
  unmapSg(table: number): void {
    this.core.exports.dmaUnmapSg(this.dma, table, ALL_ENTRIES, BIDIRECTIONAL, 0);
  }

  /** A table over pages that somebody else owns, built as i915 builds it. 0 without memory. */
  tableOf(pfns: Uint32Array): number {
    const { exports } = this.core;
    const table = exports.sgReserve(this.context, pfns.length);
    if (table === 0) return 0;
    this.core.u32.set(pfns, exports.sgPfnVector(table) >>> 2);
    exports.sgFinish(table, 0, pfns.length * PAGE_SIZE, this.maxEntry, this.sgFlags);
    return table;
  }

  /** dma_alloc_coherent. Returns the buffer, a table (handle), or 0. */
  allocCoherent(size: number): number {
    return this.core.exports.dmaAllocCoherent(this.dma, size, 0);
  }

  freeCoherent(buffer: number, size: number): void {
    const { dmaFreeCoherent, sgDmaPage } = this.core.exports;
    dmaFreeCoherent(this.dma, buffer, size, sgDmaPage(buffer, 0));
  }

  /** A WARN_ON that fired. */
  warn(what: string): void {
    this.warnings.push(what);
  }
}

// Without a checker nobody interns names: the registers get a hook's place in the list.
function hookRunner({ core, context, checker }: DriverHost): HookRunner<HookName> {
  const registers = checker?.registers ?? new CpuRegisters(core, context);
  const id = (name: HookName, place: number): number => checker?.attributions.hookId(name) ?? place;
  const ids = Object.fromEntries(HOOKS.map((name, place) => [name, place === 0 ? 0 : id(name, place)]));
  return new HookRunner(registers, ids as Record<HookName, number>, checker);
}

// i915_gem_create: the rounded size of nothing is nothing, and so is what rounding makes of sizes near 2^64.
function wholePages(size: number): number {
  if (!Number.isInteger(size) || size < 0) throw outOfRange('size', 'a whole number of bytes >= 0', size);
  if (size === 0 || size > Number.MAX_SAFE_INTEGER) refuse(-EINVAL, 'gem_create', `an object of ${size} bytes`);
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

function cacheLevel(caching: Caching): number {
  const level = CACHE_LEVELS.indexOf(caching);
  if (level < 0) throw invalidValue('caching', `one of ${CACHE_LEVELS.join(', ')}`, caching);
  return level;
}
