import {
  checkBoolean,
  checkFunction,
  checkObject,
  checkOptions,
  checkSynchronous,
  frozen,
  oneOf,
} from '../core/arguments.js';
import { BouncePool, type RestrictedPoolOptions } from '../core/bounce-pool.js';
import {
  checkInteger,
  errnoName,
  GemDmaError,
  invalidReturn,
  invalidType,
  invalidValue,
  parseSize,
} from '../core/errors.js';
import { FAULT_KINDS, FAULTS, type FaultKind } from '../core/faults.js';
import { DEVICE_ERROR_ZERO, DEVICE_ONE_ZONE, KMSG_FAULTS_UNLIMITED, PAGE_SIZE } from '../core/generated/constants.js';
import type { ContextHandle } from '../core/generated/exports.js';
import { SearchCostView } from '../core/generated/records.js';
import { guard } from '../core/guard.js';
import { failed } from '../core/handle.js';
import { Core } from '../core/instance.js';
import { LIBRARY } from '../core/life.js';
import { PhysicalMemory } from '../core/physical-memory.js';
import { type AtomicPoolStats, ContiguousArea } from '../dma/cma.js';
import { CpuCache } from '../dma/cpu-cache.js';
import { DmaDevice } from '../dma/device.js';
import { DmaDomain } from '../dma/dma-domain.js';
import { DmaPool, type DmaPoolOptions } from '../dma/dma-pool.js';
import { NonCoherentDevice } from '../dma/noncoherent.js';
import type { P2pConfig } from '../dma/p2p.js';
import { DmaDebug } from '../dma-debug/dma-debug.js';
import { type DmesgOptions, KernelLog } from '../dmesg/kernel-log.js';
import { BUS, type KernelDevice, type KernelMessage } from '../dmesg/message.js';
import type { DeviceDriver, DriverHost } from '../drm/driver.js';
import { Reclaim } from '../drm/reclaim.js';
import { EventLog } from '../events/events.js';
import { Iommu } from '../iommu/iommu.js';
import { IOMMU_FORMATS, iommuFormat } from '../iommu-formats/index.js';
import { KERNELS, type KernelProperties } from '../kernels/kernels.js';
import { type Bar, Bars } from './bar.js';
import { VirtualClock } from './clock.js';
import { type MachineConfig, type MachineOptions, machineConfig } from './config.js';
import { DEVICE_OPTIONS, deviceSlot, domainFor, freeSpace, MAX_DEVICES, type MachineDeviceOptions } from './devices.js';
import { MachineSnapshot } from './snapshot.js';

/** How far searches have walked. */
export interface SearchCosts {
  /** In the tree of ranges. */
  iova: {
    /** Searches of the tree; what a magazine serves is none. */
    searches: number;
    /** Nodes visited, over all of them. */
    nodes: number;
    /** Nodes visited by the longest. */
    most: number;
  };
  /** In the bounce pool. */
  swiotlb: {
    /** Searches of an area. */
    searches: number;
    /** Slots gone over, over all of them. */
    slots: number;
    /** Slots gone over by the longest. */
    most: number;
  };
}

/** A device that a driver has taken. */
interface Driven {
  readonly device: DmaDevice;
  readonly driver: DeviceDriver<unknown, object>;
  readonly instance: object;
}

/**
 * One emulated machine: RAM, an IOMMU, devices, a virtual clock. Each has a WebAssembly instance and a linear memory of
 * its own, so machines share nothing and a machine that is dropped is collected with everything in it.
 */
export class BaseMachine implements DriverHost {
  static {
    guard(BaseMachine, BaseMachine.is);
  }

  /** @internal The members of a derived class refuse a `this` that is not a machine (guard.ts). */
  static guard(type: { name: string; prototype: object }): void {
    guard(type, BaseMachine.is);
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #core in one;
  }

  /** The complete description: `new Machine(machine.config)` makes the same machine again. */
  readonly config: MachineConfig;
  /** What the configured kernel does, property by property. */
  readonly kernel: KernelProperties;
  /** Virtual time: it stands still until `advance`. */
  readonly clock: VirtualClock;
  /** Emulated physical memory: frames and their contents. */
  readonly ram: PhysicalMemory;
  /** Memory pressure: what drivers can give back, and files that can be swapped out. @internal */
  readonly reclaim: Reclaim;
  /** The bounce pool, null for a machine without one. */
  readonly swiotlb: BouncePool | null;
  /** The IOMMU: faults, stale accesses, IOTLB, tables. Empty in a machine none of whose devices it serves. */
  readonly iommu: Iommu;
  /** @internal For the layers of the library itself: the core's instance and the handle of its context. */
  readonly core: Core;
  /** @internal */
  readonly context: ContextHandle;
  /** Events of the machine, recorded after `events.start()`. */
  readonly events: EventLog;
  /** dma-debug, null where it is off. @internal */
  readonly dmaDebugOrNull: DmaDebug | null;
  /** The area that `cma` sets aside. @internal */
  readonly cma: ContiguousArea | null;
  /** @internal */
  readonly p2p: P2pConfig;
  /** Memory of devices on the bus. @internal */
  readonly bars = new Bars();
  private readonly kernelLog: KernelLog;
  // Of a made-up object it cannot be read.
  readonly #core: Core;
  private restrictedPools = false;
  private cache: CpuCache | null = null;
  /** Pages of mappings for writing that a device has read. */
  private readonly readsTold = new Set<string>();
  private readonly deviceList: DmaDevice[] = [];
  private readonly drivers: Driven[] = [];
  /** Domains that addDevice made: each is destroyed with its last device. */
  private readonly ownDomains = new Set<DmaDomain>();
  /** By number, those of destroyed devices too: events and findings are read later. */
  private readonly deviceNames: string[] = [];
  private readonly driverNames: (string | undefined)[] = [];
  private lastId = 0;

  /**
   * Makes a machine, synchronously.
   * @throws TypeError or RangeError naming the option at fault; GemDmaError ENOMEM when memoryLimit is too small
   * @example
   *   const machine = new Machine({ ram: '1GiB', kernel: 'linux-6.12', iommu: 'strict' });
   */
  constructor(options?: MachineOptions);
  /**
   * @param core an instance whose linear memory holds nothing yet, in place of a new one: another build of the core, or
   *   one on a memory that worker threads share
   * @internal
   */
  constructor(options: MachineOptions | undefined, core: Core);
  constructor(options: MachineOptions = {}, core: Core = new Core()) {
    // A copy: what the caller gave stays the caller's.
    this.config = frozen(structuredClone(machineConfig(options)));
    if (!(core instanceof Core)) throw invalidType('core', 'an instance of the core', core);
    if (core.context !== 0) throw invalidValue('core', 'an instance of the core that no machine runs on', core);
    this.kernel = KERNELS[this.config.kernel];
    this.core = core;
    this.#core = core;
    const { ram, cpus, seed, memoryLimit } = this.config;
    const fragmentation = Math.round(ram.fragmentation * 65536);
    const rc = this.core.exports.machineCreate(memoryLimit, cpus, ram.size / PAGE_SIZE, fragmentation, seed);
    if (failed(rc)) {
      throw new GemDmaError(
        'ENOMEM',
        'machine_create',
        `no machine with ${ram.size} bytes of RAM in ${memoryLimit} bytes`,
        {
          details: { errno: errnoName(rc) },
        },
      );
    }
    this.context = rc;
    core.context = rc;
    this.reclaim = new Reclaim(LIBRARY, core.calls);
    const { hz } = this.config;
    if (hz > 0) this.core.exports.clockSetTick(this.context, 1e9 / hz, this.kernel.timerWheel ? 1 : 0);
    this.clock = new VirtualClock(LIBRARY, this.core, this.context);
    this.ram = new PhysicalMemory(LIBRARY, this.core, this.context);
    const { cma } = this.config;
    this.cma = cma > 0 ? ContiguousArea.reserve(this.core, this.context, cma) : null;
    this.p2p = this.config.p2p;
    const format = iommuFormat(this.config.iommu.format);
    const flags = format.unitFlags(this.config.iommu);
    // A plain unit of the default format is made when a device needs it.
    const other = (flags !== 0 || format !== IOMMU_FORMATS[0]) && this.config.iommu.mode !== 'off';
    if (other && this.core.exports.iommuMake(this.context, format.number, flags) === 0) {
      throw new GemDmaError('ENOMEM', 'machine_create', 'no memory for the IOMMU');
    }
    this.iommu = new Iommu(this);
    const { swiotlb } = this.config;
    const dialect = this.kernel.swiotlb;
    this.swiotlb = swiotlb
      ? BouncePool.create(
          this.core,
          this.context,
          BouncePool.shape(swiotlb.size, cpus, dialect),
          dialect,
          swiotlb.base / PAGE_SIZE,
          swiotlb.dynamic,
        )
      : null;
    if (swiotlb) swiotlb.indices.forEach((index, area) => void this.swiotlb!.setIndex(area, index));
    const { enabled, ...debug } = this.config.dmaDebug;
    this.dmaDebugOrNull = enabled ? new DmaDebug(LIBRARY, this.core, this.context, this.kernel.dmaDebug, debug) : null;
    this.events = new EventLog(LIBRARY, this.core, this.context, {
      device: (id) => this.deviceNames[id],
      caller: (ids) => this.dmaDebugOrNull?.attributions.describe({ ...ids, site: 0 }) ?? numbers(ids),
    });
    const { messages } = this.kernel;
    this.core.exports.kmsgSetup(this.context, messages.faultsUnlimited ? KMSG_FAULTS_UNLIMITED : 0);
    this.kernelLog = new KernelLog(
      this.core,
      this.context,
      {
        words: messages,
        types: this.kernel.dmaDebug.types,
        entries: this.config.dmaDebug.entries,
        format: () => iommuFormat(this.config.iommu.format),
        device: (id) => this.kernelNames(id),
      },
      (name) => this.deviceList.find((device) => device.name === name)?.driver ?? BUS,
    );
    if (this.dmaDebugOrNull) this.dmaDebugOrNull.messages = this.kernelLog;
    this.dmaDebugOrNull?.setFreeSpace(() => freeSpace(this.deviceList));
  }

  /** dma-debug. Throws ENODEV on a machine that was made without it (`dmaDebug: false`). */
  get dmaDebug(): DmaDebug {
    if (this.dmaDebugOrNull) return this.dmaDebugOrNull;
    throw new GemDmaError('ENODEV', 'dma_debug', 'the machine was made with dmaDebug: false');
  }

  // dev_driver_string and dev_name.
  private kernelNames(id: number): KernelDevice | undefined {
    const name = this.deviceNames[id];
    if (name === undefined) return undefined;
    const bound = this.dmaDebugOrNull?.unbound.has(id) ? undefined : this.driverNames[id];
    const masks = this.deviceList.find((device) => device.id === id)?.masks;
    return { driver: bound ?? BUS, name, ...masks };
  }

  /**
   * The kernel's log: each finding, fault, refusal and notice as the line that the configured kernel prints. Lines that
   * no kernel has begin with `gemdma:`.
   * @returns lines without line ends, oldest first; of very many the newest
   * @example
   *   console.log(machine.dmesg({ timestamps: true }).join('\n'));
   */
  dmesg(options: DmesgOptions = {}): string[] {
    this.#core.timeline.enter('dmesg');
    return this.kernelLog.lines(options);
  }

  /** Reports once per page that a device has read a mapping that it was given to write. @internal */
  tellReadOfWriteOnly(device: DmaDevice, address: number): void {
    const key = `${device.id} ${Math.floor(address / PAGE_SIZE)}`;
    if (this.readsTold.has(key)) return;
    this.readsTold.add(key);
    const text = `reads a mapping that is DMA_FROM_DEVICE, at 0x${address.toString(16)}: nothing forbids it`;
    this.kernelLog.say('READ_OF_WRITE_ONLY', device.name, text, false);
  }

  /** Puts in words what the log has so far: a device is about to change. @internal */
  keepWords(): void {
    this.kernelLog?.collect();
  }

  /** A fault handler has dealt with the last fault. @internal */
  forgetFault(): void {
    this.kernelLog.forgetFault();
  }

  /** The same as records, as the channel `gemdma:dmesg` carries them. */
  get messages(): readonly KernelMessage[] {
    this.#core.timeline.enter('dmesg');
    return this.kernelLog.messages;
  }

  /**
   * The virtual CPU on which calls are made from now on: it selects the magazines that hand out and take back ranges, the
   * ring of a flush queue that a range waits in, and which area of the bounce pool is searched first. A timer's work runs
   * on the CPU that is set when the clock is advanced.
   * @throws RangeError for a CPU that the machine does not have
   */
  get cpu(): number {
    this.#core.timeline.enter('cpu');
    return this.#core.cpu;
  }

  /** @throws RangeError for a CPU that the machine does not have */
  set cpu(index: number) {
    this.#core.timeline.enter('cpu');
    this.#core.cpu = checkInteger('cpu', index, 0, this.config.cpus - 1);
  }

  /** Devices that are there, in the order in which they were added. */
  get devices(): readonly DmaDevice[] {
    return this.deviceList.slice();
  }

  /**
   * Adds a device: behind the machine's IOMMU in a domain of its own unless the options say otherwise, known to
   * dma-debug by its name. The domain goes with the last device in it.
   * @throws RangeErrors and TypeErrors naming the option at fault; GemDmaError ENOMEM, ENOSPC when every slot is taken
   */
  addDevice(options: MachineDeviceOptions = {}): DmaDevice {
    const { domain: wanted, ...limits } = checkOptions('options', options, DEVICE_OPTIONS);
    this.#core.timeline.enter('device_add');
    const id = this.freeId();
    const domain = domainFor(this, { ...limits, domain: wanted });
    const own = domain instanceof DmaDomain && !(wanted instanceof DmaDevice) ? domain : undefined;
    const swiotlb = this.config.swiotlb;
    let device: DmaDevice;
    try {
      const all = {
        ...{ sourceId: deviceSlot(id), forceBounce: swiotlb ? swiotlb.force : false },
        forcedac: this.config.iommu.forcedac,
        ...limits,
        id,
        ...(domain && { domain }),
      };
      const gone = (): void => this.removed(device, own);
      device =
        limits.coherent === false
          ? new NonCoherentDevice(this, this.cpuCache(), all, gone)
          : new DmaDevice(this, all, gone);
    } catch (error) {
      own?.destroy();
      throw error;
    }
    if (own !== undefined) this.ownDomains.add(own);
    this.deviceList.push(device);
    if (!this.bars.empty) device.setPeers();
    this.deviceNames[id] = device.name;
    this.driverNames[id] = device.driver;
    if (this.kernel.mappingErrorZero)
      this.core.exports.deviceSetFlags(device.handle, DEVICE_ERROR_ZERO | DEVICE_ONE_ZONE, 0);
    this.lastId = Math.max(this.lastId, id);
    return device;
  }

  // Numbers go up, so that old events name the right device, until there is none left; then the lowest that is free.
  private freeId(): number {
    if (this.lastId < MAX_DEVICES) return this.lastId + 1;
    const used = new Set(this.deviceList.map(({ id }) => id));
    for (let id = 1; id <= MAX_DEVICES; ++id) if (!used.has(id)) return id;
    throw new GemDmaError('ENOSPC', 'device_add', `all ${MAX_DEVICES} slots of the machine's buses are taken`);
  }

  private removed(device: DmaDevice, own: DmaDomain | undefined): void {
    this.keepWords();
    const at = this.deviceList.indexOf(device);
    if (at >= 0) this.deviceList.splice(at, 1);
    const driven = this.drivers.findIndex((item) => item.device === device);
    if (driven >= 0) this.drivers.splice(driven, 1);
    for (const domain of [device.domain, own]) {
      if (!(domain instanceof DmaDomain) || !this.ownDomains.has(domain)) continue;
      if (!domain.alive || domain.destroyUnused()) this.ownDomains.delete(domain);
    }
  }

  /**
   * Adds a device with the driver that runs it. The options are the driver's.
   * @returns what the driver made of the device
   * @throws RangeErrors and TypeErrors naming the option at fault; GemDmaError ENOMEM
   */
  addDriver<Options, Instance extends object>(driver: DeviceDriver<Options, Instance>, options: Options): Instance {
    this.#core.timeline.enter('driver_probe');
    checkDriver(driver);
    const { calls } = this.#core;
    calls.checkLevel('driver_probe');
    return calls.hold(() => calls.hook(() => this.addProbed(driver, options)));
  }

  private addProbed<Options, Instance extends object>(
    driver: DeviceDriver<Options, Instance>,
    given: Options,
  ): Instance {
    // The options are checked before the device is made.
    const read = driver.check?.(given, this);
    checkSynchronous('driver.check', read);
    const before = this.lastId;
    const device = this.addDevice({ ...driver.limits, driver: driver.name });
    try {
      const instance = device.held(() => driver.probe(this, device, read ?? given));
      checkSynchronous('driver.probe', instance);
      if (typeof instance !== 'object' || instance === null) throw invalidReturn('driver.probe', 'an object', instance);
      this.drivers.push({ device, instance, driver: driver as DeviceDriver<unknown, object> });
      return instance;
    } catch (error) {
      device.setDriven(false);
      device.destroy();
      this.lastId = before;
      throw error;
    }
  }

  // One cache for all CPUs: CPU caches are coherent with each other.
  private cpuCache(): CpuCache {
    this.cache ??= new CpuCache(this.ram.backing);
    this.ram.cache = this.cache;
    return this.cache;
  }

  /**
   * A pool of small coherent blocks (dma_pool_create).
   * @param options `size` of a block, `align` a power of two or 0, `boundary` that no block crosses, a power of two or 0
   * @throws TypeErrors and RangeErrors naming the option at fault
   */
  createDmaPool(device: DmaDevice, options: DmaPoolOptions): DmaPool {
    this.#core.timeline.enter('dma_pool_create');
    DmaDevice.recordIn(this, device, 'dma_pool_create');
    return new DmaPool(LIBRARY, device, this.ram, (of, id, text) => this.kernelLog.say(id, of.name, text), options);
  }

  /**
   * Sets memory aside as a restricted pool (a device tree's `restricted-dma-pool`), for `addDevice({ restrictedPool })`: of such a device
   * every streaming mapping bounces through it, and coherent memory comes from it.
   * @throws TypeErrors and RangeErrors naming the option at fault; GemDmaError ENOMEM when that memory is not free, ENODEV on a kernel
   *   that has no such pools
   */
  createRestrictedPool(options: RestrictedPoolOptions): BouncePool {
    const call = 'rmem_swiotlb_device_init';
    this.#core.timeline.enter(call);
    if (this.kernel.swiotlb === 'index') {
      throw new GemDmaError('ENODEV', call, `kernel '${this.config.kernel}' has no restricted pools`);
    }
    const pool = BouncePool.restricted(this.#core, this.context, options);
    this.restrictedPools = true;
    return pool;
  }

  /**
   * Memory of a device on the bus, which other devices can be given: by its address with `mapResource`, or by its pages in a
   * list. A device reaches it with deviceRead and deviceWrite, through the IOMMU where there is one.
   * @param size bytes, a power of two from 4 KiB on
   * @throws RangeError; GemDmaError ENOSPC when the bridge's window is full
   */
  addBar(device: DmaDevice, size: number | string): Bar {
    this.#core.timeline.enter('pci_assign_resource');
    DmaDevice.recordIn(this, device, 'pci_assign_resource');
    const bar = this.bars.add(device, parseSize('size', size));
    for (const each of this.deviceList) each.setPeers();
    return bar;
  }

  /**
   * Starts counting how far the kernel's own searches would walk, or ends it: nodes of the IOVA tree, slots of the bounce pool. While it
   * is on, a search takes as long as the kernel's. With `events` recording, each call that searched is preceded by a `search_cost`.
   * @throws GemDmaError ENOMEM
   */
  countSearches(on = true): void {
    checkBoolean('on', on, true);
    this.#core.timeline.enter('search_cost');
    const { searchCostStart, searchCostStop } = this.#core.exports;
    if (!on) searchCostStop(this.context);
    else if (!searchCostStart(this.context))
      throw new GemDmaError('ENOMEM', 'search_cost', 'no memory for the counters');
  }

  /** What was counted since countSearches, null while nothing is. */
  get searches(): SearchCosts | null {
    this.#core.timeline.enter('search_cost');
    const at = this.#core.exports.searchCost(this.context);
    if (at === 0) return null;
    const { iovaSearches, iovaNodes, iovaMost, slotSearches, slots, slotMost } = new SearchCostView(this.#core, at);
    return {
      iova: { searches: iovaSearches, nodes: iovaNodes, most: iovaMost },
      swiotlb: { searches: slotSearches, slots, most: slotMost },
    };
  }

  /** Pages of the atomic pools, and of these such as are free: of zone NORMAL, DMA32, DMA; 0 before a device needed them. */
  get atomicPools(): AtomicPoolStats[] {
    this.#core.timeline.enter('atomic_pool');
    const { atomicFree, atomicPages } = this.#core.exports;
    return [0, 1, 2].map((zone) => ({ pages: atomicPages(this.context, zone), free: atomicFree(this.context, zone) }));
  }

  /** Whether an IOMMU translates what new devices access. @internal */
  get translates(): boolean {
    const { mode } = this.config.iommu;
    return mode !== 'off' && mode !== 'passthrough';
  }

  /** Whether the machine has a bounce pool. @internal */
  get bounces(): boolean {
    return this.swiotlb !== null || this.restrictedPools;
  }

  /**
   * Copies the state of the machine, to come back to it as often as wanted: linear memory, devices, the objects of
   * its drivers, work that waits on the clock. Costs about 0.4 ms per MiB of linear memory, going back 0.06.
   * @param held what the caller has besides and wants to go back with it, such as a model that the machine is compared
   *   with. Own properties of all that it leads to are put back, functions' too, with prototypes and the contents of arrays,
   *   Maps, Sets, Dates, buffers and views, but not #fields nor what closures hold. A held object, or a driver's mapping policy, takes part by itself with a pair of methods: `snapshot()` returns its
   *   state, `restore(state)` goes back to it
   * @throws TypeError if the argument is not an object, or leads to state that cannot be read, such as a WeakMap's or a promise's,
   *   unless the object that has it takes part by itself; GemDmaError EXDEV when what is held leads to another machine, EBUSY from within a
   *   hook, where a driver is in the middle of a call; what a `snapshot` method throws
   */
  snapshot(...held: object[]): MachineSnapshot {
    this.atRest('machine_snapshot');
    for (const object of held) {
      if (typeof object !== 'object' || object === null) throw invalidType('held', 'objects', object);
    }
    return this.#core.calls.run(() => {
      const owners = this.drivers.flatMap(({ driver, instance }) => callbacksOf(driver, instance));
      return new MachineSnapshot(LIBRARY, this, held, owners);
    });
  }

  /**
   * Goes back to a snapshot: every structure, counter and byte is as it was then, time and findings included. Whatever
   * existed then is valid again under its old reference, destroyed or not; what was made since is dead.
   * @throws GemDmaError EXDEV for another machine's snapshot, EBUSY from within a hook; once all is back, what a `restore`
   *   method throws
   */
  restore(snapshot: MachineSnapshot): void {
    this.atRest('machine_restore');
    if (!MachineSnapshot.is(snapshot)) throw invalidType('snapshot', 'a MachineSnapshot', snapshot);
    this.#core.calls.run(() => snapshot.restore(this));
  }

  /**
   * Makes the n-th allocation of a kind from now on fail, once: no memory, in the middle of any call. A call
   * that fails for it returns ENOMEM or ENOSPC and changes nothing.
   * @param nth 1 is the next one; 0 takes a failure back that has not struck yet
   * @throws TypeError for another kind, RangeError for a number beyond 32 bits
   */
  failAllocation(kind: FaultKind, nth: number): void {
    this.#core.timeline.enter('fail_allocation');
    const number = FAULTS[oneOf('kind', kind, FAULT_KINDS)];
    this.#core.exports.faultArm(this.context, number, checkInteger('nth', nth, 0, 0xffffffff));
  }

  /**
   * Walks every structure of the core.
   * @throws Error naming the subsystem whose structure is broken, which is a bug of gemdma itself
   */
  check(): void {
    this.#core.timeline.enter('machine_check');
    const code = this.#core.tools.machineCheck(this.context) >>> 0;
    if (code !== 0)
      throw new Error(`structure check failed: subsystem ${code >>> 28} at 0x${(code & 0xfffffff).toString(16)}`);
  }

  /**
   * Ends the machine: every call of it and of its objects is refused from now on, and its memory is given back. A second
   * call does nothing.
   * @throws GemDmaError EBUSY from within a hook
   */
  [Symbol.dispose](): void {
    if (this.#core.timeline.closed) return;
    this.atRest('machine_dispose');
    this.#core.timeline.close({
      code: 'ENODEV',
      reason: 'MACHINE_DISPOSED',
      message: 'the machine was disposed',
    });
    this.#core.release();
  }

  private atRest(call: string): void {
    this.#core.timeline.enter(call);
    this.#core.calls.checkRest(call);
  }
}

function callbacksOf(driver: DeviceDriver<unknown, object>, instance: object): readonly object[] {
  const owners = driver.callbacks?.(instance) ?? [];
  checkSynchronous('driver.callbacks', owners);
  const objects = Array.isArray(owners) && owners.every((one) => typeof one === 'object' && one !== null);
  if (!objects) throw invalidReturn('driver.callbacks', 'an array of objects', owners);
  return owners;
}

function checkDriver<Options>(driver: DeviceDriver<Options, object>): void {
  checkObject('driver', driver);
  const { name, check, probe, callbacks, limits } = driver;
  if (typeof name !== 'string') throw invalidType('driver.name', 'of type string', name);
  checkFunction('driver.probe', probe);
  if (check !== undefined) checkFunction('driver.check', check);
  if (callbacks !== undefined) checkFunction('driver.callbacks', callbacks);
  if (limits !== undefined) checkObject('driver.limits', limits);
}

/** Ids in place of names, for a machine without dma-debug. */
function numbers({ object, vma }: { object: number; vma: number }): { object?: string; vma?: string } {
  return { ...(object && { object: `object ${object}` }), ...(vma && { vma: `vma ${vma}` }) };
}
