import { checkArray, hostTimeline } from '../core/arguments.js';
import { GemDmaError, invalidType } from '../core/errors.js';
import {
  ALL_ENTRIES,
  DMA_BIDIRECTIONAL,
  MM_2015,
  MM_BEST,
  MM_MODERN,
  MM_SEARCH_DEFAULT,
  PAGE_SIZE,
  SG_MAX_ENTRY,
  SG_NO_COALESCE,
} from '../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle, SgTableHandle } from '../core/generated/exports.js';
import type { Core } from '../core/instance.js';
import { type Life, notMade } from '../core/life.js';
import { Living } from '../core/living.js';
import type { PhysicalMemory } from '../core/physical-memory.js';
import { reasonName } from '../core/reasons.js';
import { writePfns } from '../core/sg-vectors.js';
import { DmaDevice } from '../dma/device.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import type { EventKind, EventLog, Tracepoint } from '../events/events.js';
import type { DriverClock, DriverHost } from './driver.js';
import type { DrmGemObject } from './gem-object.js';
import { HookRunner, type Moment } from './hooks.js';
import { ListLink } from './list.js';
import type { Reclaim } from './reclaim.js';

/** Moments that every GEM driver has: none in particular, and mapping for an importer. */
export type DrmHook = 'none' | 'export';

/**
 * A device with a GEM driver (struct drm_device): what the driver needs of its machine, the objects that exist, the mapping
 * of their tables. A driver extends it.
 */
export abstract class DrmDevice<Hook extends string = DrmHook> extends Living {
  static {
    Living.guard(DrmDevice, ['call', 'tell', 'checked', 'binding', 'objectGone', 'mapSg', 'unmapSg', 'takeMapFailure']);
  }

  /** @internal */
  static override lifeOf(one: DrmDevice, call: string): Life {
    if (typeof one !== 'object' || one === null || !(#life in one)) throw notMade(call);
    return one.#life;
  }

  /** @internal A driver's device, dead or alive. @throws ERR_INVALID_ARG_TYPE for another value */
  static deviceOf<T extends DrmDevice>(name: string, value: T): T {
    if (typeof value !== 'object' || value === null || !(#life in value)) {
      throw invalidType(name, 'an instance of DrmDevice', value);
    }
    return value;
  }

  readonly #life: Life;
  /** @internal */
  readonly core: Core;
  /** @internal */
  readonly context: ContextHandle;
  /** @internal */
  readonly clock: DriverClock;
  /** @internal */
  readonly ram: PhysicalMemory;
  /** @internal */
  readonly events: EventLog;
  /** @internal */
  readonly reclaim: Reclaim;
  /** The device of the DMA API, and its handle. */
  readonly dmaDevice: DmaDevice;
  /** @internal */
  readonly dma: DmaDeviceHandle;
  /** Every call from outside, and every hook of a policy, is run by it. @internal */
  readonly hooks: HookRunner<Hook | DrmHook>;
  /**
   * What the driver does, one step after the other, when there are no pages for a shmem file. Each gets the file's pages.
   * @internal
   */
  readonly reliefs: readonly ((pages: number) => void)[] = [];
  /** How sg tables are built: an entry per page where swiotlb may be behind, merged otherwise. @internal */
  readonly sgFlags: number;
  /** @internal */
  readonly maxEntry = SG_MAX_ENTRY;
  /** Which range manager: MM_2015 or MM_MODERN. @internal */
  readonly mmFlavour: number;
  /** How nodes are inserted: DRM_MM_SEARCH_DEFAULT of 2015, DRM_MM_INSERT_BEST of today. @internal */
  readonly mmInsertMode: number;
  /** Objects made so far; the last one's number. @internal */
  objectCount = 0;
  /** Everything that exists, in the order in which it was made. @internal */
  readonly liveList = new ListLink<DrmGemObject>(null);
  private readonly dmaDebug: DmaDebug | null;
  private readonly tracepoints: ReadonlyMap<EventKind, number>;
  private mapFailure: string | undefined;

  /**
   * @param hooks names of the driver's moments; the first is `none`
   * @param tracepoints of the driver; `tell` writes them
   */
  protected constructor(
    host: DriverHost,
    dmaDevice: DmaDevice,
    hooks: readonly (Hook | DrmHook)[],
    tracepoints: readonly Tracepoint[],
  ) {
    const timeline = hostTimeline(host, 'driver_probe');
    DmaDevice.recordIn(host, dmaDevice, 'driver_probe');
    checkArray('hooks', hooks);
    checkArray('tracepoints', tracepoints);
    super(timeline, 'driver');
    this.#life = Living.lifeOf(this, 'driver_probe');
    this.core = host.core;
    this.context = host.context;
    this.clock = host.clock;
    this.ram = host.ram;
    this.events = host.events;
    this.reclaim = host.reclaim;
    this.dmaDevice = dmaDevice;
    dmaDevice.setDriven(true);
    this.dma = dmaDevice.handle;
    this.sgFlags = host.bounces ? SG_NO_COALESCE : 0;
    this.mmFlavour = host.kernel.drmMm === 'modern' ? MM_MODERN : MM_2015;
    this.mmInsertMode = host.kernel.drmMm === 'modern' ? MM_BEST : MM_SEARCH_DEFAULT;
    this.dmaDebug = host.dmaDebugOrNull;
    this.hooks = hookRunner(host, hooks);
    const first = host.events.addTracepoints(tracepoints);
    this.tracepoints = new Map(tracepoints.map(({ kind }, i) => [kind, first + i]));
  }

  /** A call from outside: refused once the driver is unbound, and from within too many hooks. */
  protected call<T>(syscall: string, work: () => T): T {
    const life = DrmDevice.lifeOf(this, syscall);
    life.enter(syscall);
    life.checkIdle(syscall);
    return this.hooks.call(work);
  }

  /** Objects that were made and not freed. */
  get liveObjects(): number {
    return this.liveList.toArray().length;
  }

  /** Writes an event. The caller has asked whether events are recorded. @internal */
  tell(event: EventKind, object: number, length: number, vma = 0, address = 0): void {
    const tracepoint = this.tracepoints.get(event)!;
    this.hooks.during(this.hooks.moments.none, object, vma, () =>
      this.events.tell(tracepoint, this.dmaDevice.id, address, length),
    );
  }

  /** Whether dma-debug watches. @internal */
  get checked(): boolean {
    return this.dmaDebug !== null;
  }

  /** Entries of an address space now lead to a table's mapping (by 1), or no longer do (by -1). @internal */
  binding(address: number, by: 1 | -1): void {
    if (this.dmaDebug !== null) this.core.exports.debugBinding(this.dma, address, by);
  }

  /** An object was freed: a mapping that was made for it and still exists will stay. @internal */
  objectGone(object: number): void {
    if (this.dmaDebug !== null) this.core.exports.debugObjectGone(this.dma, object);
  }

  /**
   * The driver is unbound: its calls are refused from now on, and the device may be destroyed.
   * @returns mappings that are left over, as dma-debug counts them then; 0 where none watches
   */
  protected driverUnbound(): number {
    this.end();
    this.dmaDevice.setDriven(false);
    return this.dmaDebug?.driverUnbound(this.dmaDevice) ?? 0;
  }

  /** dma_map_sg of a table, both directions. Returns segments or a negative errno. @internal */
  mapSg(table: SgTableHandle): number {
    const rc = this.core.exports.dmaMapSg(this.dma, table, DMA_BIDIRECTIONAL, 0);
    if (rc <= 0) this.mapFailure = reasonName(this.core.exports.lastReason(this.context));
    return rc;
  }

  /** dma_unmap_sg of a table. @internal */
  unmapSg(table: SgTableHandle): void {
    this.core.exports.dmaUnmapSg(this.dma, table, ALL_ENTRIES, DMA_BIDIRECTIONAL, 0);
  }

  /**
   * The cause of the DMA API's last refusal, once: the driver's own errno is coarser. Undefined when something else failed.
   * @internal
   */
  takeMapFailure(): string | undefined {
    const reason = this.mapFailure;
    this.mapFailure = undefined;
    return reason;
  }

  /** Keeps the cause of an exporter's refusal in the same way. @internal */
  noteMapFailure(error: unknown): void {
    this.mapFailure = undefined;
    try {
      const reason: unknown = GemDmaError.is(error) ? error.reason : undefined;
      if (typeof reason === 'string') this.mapFailure = reason;
    } catch {
      // A value that resembles an error may throw when it is read.
    }
  }

  /** A table over pages that it does not own, built as the driver builds its own. Returns 0 without memory. @internal */
  tableOf(pfns: Uint32Array): SgTableHandle | 0 {
    const { exports } = this.core;
    const table = exports.sgReserve(this.context, pfns.length);
    if (table === 0) return 0;
    writePfns(this.core, table, pfns);
    exports.sgFinish(table, 0, pfns.length * PAGE_SIZE, this.maxEntry, this.sgFlags);
    return table;
  }

  /** dma_alloc_coherent. Returns the buffer, a table (handle), or 0. @internal */
  allocCoherent(size: number): SgTableHandle | 0 {
    return this.core.exports.dmaAllocCoherent(this.dma, size, 0);
  }

  /** @internal */
  freeCoherent(buffer: SgTableHandle, size: number): void {
    const { dmaFreeCoherent, sgDmaPage } = this.core.exports;
    dmaFreeCoherent(this.dma, buffer, size, sgDmaPage(buffer, 0), 0);
  }
}

// Without dma-debug no names are interned: the registers get a hook's place in the list.
function hookRunner<Hook extends string>(host: DriverHost, hooks: readonly Hook[]): HookRunner<Hook> {
  const { core, context, dmaDebugOrNull: dmaDebug } = host;
  const registers = core.registers(context);
  const id = (name: Hook, place: number): number => dmaDebug?.attributions.hookId(name) ?? place;
  const moments: Record<string, Moment> = {};
  for (const [place, name] of hooks.entries()) moments[name] = { name, id: place === 0 ? 0 : id(name, place) };
  return new HookRunner(registers, moments as Record<Hook, Moment>, dmaDebug, core.calls);
}
