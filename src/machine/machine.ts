import { BouncePool } from '../core/bounce-pool.js';
import { checkInteger, errnoName, GemDmaError } from '../core/errors.js';
import { FAULT_KINDS, type FaultKind } from '../core/faults.js';
import { Core } from '../core/instance.js';
import { PhysicalMemory } from '../core/physical-memory.js';
import { DmaDevice } from '../dma/device.js';
import { DmaDebug } from '../dma-debug/dma-debug.js';
import { EventLog } from '../events/events.js';
import { type I915Options, i915Config } from '../i915/config.js';
import { I915Device } from '../i915/device.js';
import { Iommu } from '../iommu/iommu.js';
import { VirtualClock } from './clock.js';
import { type MachineConfig, type MachineOptions, machineConfig, oneOf } from './config.js';
import { deviceSlot, domainFor, freeSpace, type MachineDeviceOptions } from './devices.js';
import { KERNELS, type KernelProperties } from './presets.js';
import { MachineSnapshot } from './snapshot.js';

/**
 * One emulated machine: RAM, an IOMMU, devices, a virtual clock. Each has a WebAssembly instance and a linear memory of
 * its own, so machines share nothing and a machine that is dropped is collected with everything in it.
 */
export class Machine {
  /** The complete description: `new Machine(machine.config)` makes the same machine again. */
  readonly config: MachineConfig;
  /** What the configured kernel does, property by property. */
  readonly kernel: KernelProperties;
  readonly clock: VirtualClock;
  readonly ram: PhysicalMemory;
  /** The bounce pool, null for a machine without one. */
  readonly swiotlb: BouncePool | null;
  /** The VT-d unit: faults, stale accesses, IOTLB, tables. Empty in a machine none of whose devices it serves. */
  readonly iommu: Iommu;
  /** For the layers of the library itself: the core's instance and the handle of its context. */
  readonly core: Core;
  readonly context: number;
  /** What happens, event by event, once `events.start()` was called. */
  readonly events: EventLog;
  /** The checker, null without one: what each device tells of its calls. */
  readonly checker: DmaDebug | null;
  readonly #devices: DmaDevice[] = [];
  readonly #gpus: I915Device[] = [];

  /**
   * Makes a machine, synchronously.
   * @param core an instance whose linear memory holds nothing yet, in place of a new one: another build of the core, or
   *   one on a memory that worker threads share
   * @throws TypeError or RangeError naming the option at fault; GemDmaError ENOMEM when memoryLimit is too small
   */
  constructor(options: MachineOptions = {}, core: Core = new Core()) {
    this.config = machineConfig(options);
    this.kernel = KERNELS[this.config.kernel];
    this.core = core;
    const { ram, cpus, seed, memoryLimit } = this.config;
    const fragmentation = Math.round(ram.fragmentation * 65536);
    const rc = this.core.exports.machineCreate(memoryLimit, cpus, ram.size / 4096, fragmentation, seed);
    if (rc <= 0) {
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
    this.clock = new VirtualClock(this.core, this.context);
    this.ram = new PhysicalMemory(this.core, this.context, () => this.checker?.settle());
    this.iommu = new Iommu(this);
    const { swiotlb } = this.config;
    const dialect = this.kernel.swiotlb;
    this.swiotlb = swiotlb
      ? BouncePool.create(this.core, this.context, BouncePool.shape(swiotlb.size, cpus, dialect), dialect)
      : null;
    const { enabled, ...debug } = this.config.dmaDebug;
    this.checker = enabled ? new DmaDebug(this.core, this.context, this.kernel.dmaDebug, debug) : null;
    this.events = new EventLog(this.core, this.context, {
      device: (id) => this.#devices[id - 1]?.name,
      caller: (ids) => this.checker?.attributions.describe({ ...ids, site: 0 }) ?? numbers(ids),
    });
    this.checker?.setFreeSpace(() => freeSpace(this.#devices));
  }

  /** The checker. Throws ENODEV on a machine that was made without it (`dmaDebug: false`). */
  get dmaDebug(): DmaDebug {
    if (this.checker) return this.checker;
    throw new GemDmaError('ENODEV', 'dma_debug', 'the machine was made with dmaDebug: false');
  }

  /** Devices in the order in which they were added. */
  get devices(): readonly DmaDevice[] {
    return this.#devices;
  }

  /**
   * Adds a device: behind the machine's IOMMU in a domain of its own unless the options say otherwise, known to the
   * checker by its name.
   * @throws RangeErrors and TypeErrors naming the option at fault; GemDmaError ENOMEM
   */
  addDevice(options: MachineDeviceOptions = {}): DmaDevice {
    const { domain: wanted, ...limits } = options;
    const id = this.#devices.length + 1;
    const domain = domainFor(this, wanted);
    const swiotlb = this.config.swiotlb;
    const device = new DmaDevice(this, {
      ...{ sourceId: deviceSlot(id), forceBounce: swiotlb ? swiotlb.force : false },
      ...limits,
      id,
      ...(domain && { domain }),
    });
    this.#devices.push(device);
    return device;
  }

  /**
   * Adds an Intel GPU with its driver, `i915`. Options as in i915/config.ts.
   * @throws RangeErrors and TypeErrors naming the option at fault; GemDmaError ENOMEM
   */
  addI915(options: I915Options = {}): I915Device {
    const translated = this.config.iommu.mode !== 'off' && this.config.iommu.mode !== 'passthrough';
    i915Config(options, translated); // What is wrong with the options is said before there is a device.
    // The driver sets the mask of its hardware itself, and takes segments of any length.
    const device = this.addDevice({ driver: 'i915', maxSegment: 0xffffffff });
    const { core, context, clock, ram, events } = this;
    const host = { core, context, clock, ram, events, dmaDebug: this.checker };
    const gpu = new I915Device(host, device, options, {
      translated,
      swiotlb: this.swiotlb !== null,
      modernMm: this.kernel.drmMm === 'modern',
    });
    this.#gpus.push(gpu);
    return gpu;
  }

  /**
   * Copies the state of the machine, to come back to it as often as wanted: linear memory, devices, the objects and
   * contexts of its GPUs, work that waits on the clock. Costs about 0.4 ms a MiB of linear memory, going back 0.06.
   * @param held what the caller has besides and wants to go back with it: scatter tables, processes, dma-bufs, a model
   *   that the machine is compared with. Their properties are put back, not their #fields;
   *   the same goes for a mapping policy of the caller's, whose closures and WeakMaps stay as they are
   */
  snapshot(...held: object[]): MachineSnapshot {
    return new MachineSnapshot(this, [this.#devices, this.#gpus, ...held]);
  }

  /**
   * Goes back to a snapshot: every structure, counter and byte is as it was then, time and findings included. Whatever
   * existed then is good again under its old reference; what was made since does not exist any more.
   * @throws GemDmaError EINVAL for another machine's snapshot
   */
  restore(snapshot: MachineSnapshot): void {
    snapshot.restore(this);
  }

  /**
   * Makes the n-th allocation of a kind from now on fail, once: no memory, in the middle of whatever asks for it. What
   * fails then says ENOMEM or ENOSPC and changes nothing.
   * @param nth 1 is the next one; 0 takes a failure back that has not struck yet
   */
  failAllocation(kind: FaultKind, nth: number): void {
    const index = FAULT_KINDS.indexOf(oneOf('kind', kind, FAULT_KINDS));
    this.core.exports.faultArm(this.context, index, checkInteger('nth', nth, 0, 0xffffffff));
  }

  /**
   * Walks every structure of the core.
   * @throws Error naming the subsystem whose structure is broken, which is a bug of gemdma itself
   */
  check(): void {
    const code = this.core.tools.machineCheck(this.context) >>> 0;
    if (code !== 0)
      throw new Error(`structure check failed: subsystem ${code >>> 28} at 0x${(code & 0xfffffff).toString(16)}`);
  }

  [Symbol.dispose](): void {}
}

/** Callers of a machine without a checker, which has no names for them. */
function numbers({ object, vma }: { object: number; vma: number }): { object?: string; vma?: string } {
  return { ...(object && { object: `object ${object}` }), ...(vma && { vma: `vma ${vma}` }) };
}
