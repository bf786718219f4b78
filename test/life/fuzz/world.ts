import { GemDmaError } from '../../../src/core/errors.js';
import { FAULT_KINDS } from '../../../src/core/faults.js';
import type { Core } from '../../../src/core/instance.js';
import { CoherentBuffer } from '../../../src/dma/coherent.js';
import type { DmaDevice } from '../../../src/dma/device.js';
import { DmaDomain } from '../../../src/dma/dma-domain.js';
import { LinkedRange } from '../../../src/dma/linked-range.js';
import type { ScatterTable } from '../../../src/dma/sg-table.js';
import { DmaBuf, type DmaBufAttachment } from '../../../src/drm/dma-buf.js';
import type { Process } from '../../../src/drm/process.js';
import type { SystemHeap } from '../../../src/drm/system-heap.js';
import type { AddressSpace } from '../../../src/i915/address-space.js';
import { GpuContext } from '../../../src/i915/context.js';
import type { I915Device } from '../../../src/i915/device.js';
import { GemObject } from '../../../src/i915/object.js';
import { Vma } from '../../../src/i915/vma.js';
import { IovaDomain } from '../../../src/iova/iova-domain.js';
import type { MachineOptions } from '../../../src/machine/config.js';
import type { MachineSnapshot } from '../../../src/machine/snapshot.js';
import { Machine } from '../../../src/machine-drivers/machine.js';
import { type Source, WRONG } from './source.js';

/** Most objects of a kind that are remembered: more than a sequence makes, so that all can be given back. */
const REMEMBERED = 1000;

/** Records of each machine, undefined for one that was disposed. */
export type Records = (number | undefined)[];

/** What callbacks of the caller's throw: no error at all. */
export const THROWN = Symbol('thrown by a callback');

/** What callbacks of the caller's throw. */
export class CallbackError extends Error {}

/** Two machines, and everything that calls have returned: alive, dead, restored away. */
export class World {
  readonly machines: Machine[];
  readonly devices: DmaDevice[] = [];
  readonly domains: DmaDomain[] = [];
  readonly tables: ScatterTable[] = [];
  readonly buffers: CoherentBuffer[] = [];
  readonly ranges: LinkedRange[] = [];
  readonly iovas: IovaDomain[] = [];
  readonly snapshots: [Machine, MachineSnapshot, number][] = [];
  readonly pfns: number[] = [];
  readonly addresses: number[] = [0, 4096, -1];
  readonly cancels: (() => boolean)[] = [];
  readonly heaps: SystemHeap[] = [];
  readonly dmaBufs: DmaBuf[] = [];
  readonly attachments: DmaBufAttachment[] = [];
  readonly processes: Process[] = [];
  readonly gpus: I915Device[] = [];
  readonly objects: GemObject[] = [];
  readonly contexts: GpuContext[] = [];
  readonly spaces: AddressSpace[] = [];
  readonly vmas: Vma[] = [];
  /** Addresses in processes. */
  readonly users: number[] = [0x7f0000000000];
  /** Calls and what they threw, for the report of a failure. */
  readonly log: string[] = [];
  /** The calls that are made; undefined: all. */
  names: readonly string[] | undefined;
  /** Told the name of each call, before it is made. */
  entered: ((name: string) => void) | undefined;
  /** Calls within a callback of a call. */
  depth = 0;
  /** What the callback that runs is told about. */
  focus: readonly unknown[] = [];
  /** Calls within callbacks of the step. */
  callsBack = 0;
  /** Set by a call that may leave something behind when it throws: a callback has thrown, or has done work. */
  reentered = false;

  /**
   * Whether there may be drivers, processes and heaps. Their frames are RAM as any: who frees or writes those breaks them, as in a
   * kernel. So with them no call frees frames, or writes to any but its own.
   */
  readonly hasDrivers: boolean;
  /** Whether the call was one of a driver's. */
  byDriver = false;
  ended = false;
  private readonly baseline: Records;

  constructor(core: () => Core, source: Source) {
    this.hasDrivers = source.once(2);
    const [first, second] = [options(source, this.hasDrivers), options(source, this.hasDrivers)];
    this.log.push(JSON.stringify(first), JSON.stringify(second));
    this.machines = [new Machine(first, core()), new Machine(second, core())];
    // What a machine keeps from its first device, domain and allocator on.
    for (const machine of this.machines) {
      machine.addDevice().destroy();
      new DmaDomain(machine).destroy();
      new IovaDomain(machine).destroy();
    }
    this.baseline = this.records();
    for (const machine of this.machines) this.devices.push(machine.addDevice());
  }

  machine(source: Source): Machine {
    return this.machines[source.note(source.below(8) === 7 ? 1 : 0)];
  }

  keep<T>(pool: T[], value: T): T {
    if (pool.length >= REMEMBERED) pool.splice(0, 1);
    pool.push(value);
    return value;
  }

  /** Keeps what a call has returned that threw a finding. */
  adopt(result: unknown): void {
    if (result instanceof CoherentBuffer) this.keep(this.buffers, result);
    else if (result instanceof LinkedRange) this.keep(this.ranges, result);
    else if (result instanceof DmaBuf) this.keep(this.dmaBufs, result);
    else if (result instanceof GpuContext) this.keep(this.contexts, result);
    else if (result instanceof GemObject) this.keep(this.objects, result);
    else if (result instanceof Vma) this.keep(this.vmas, result);
    else if (typeof result === 'object' && result !== null && 'vmas' in result) {
      for (const vma of result.vmas as Vma[]) this.keep(this.vmas, vma);
    }
  }

  /** Half of the time an object of a pool that the callback which runs is told about. */
  focused<T>(pool: readonly T[], source: Source): T | undefined {
    if (this.focus.length === 0 || source.once(2)) return undefined;
    return pool.find((one) => this.focus.includes(one));
  }

  /** An object of a pool, now and then one that is none. */
  one<T>(pool: readonly T[], source: Source): T {
    const focused = this.focused(pool, source);
    if (focused !== undefined) return focused;
    const at = source.below(20);
    if (at === 19) return source.note(source.pick(WRONG)) as T;
    const value = pool.length === 0 ? undefined : pool[source.below(pool.length)];
    source.note(at === 18 || at === 17 ? `a copy of ${value}` : value);
    if (at === 18 && typeof value === 'object') return { ...value };
    if (at === 17 && typeof value === 'object') return Object.create(value as object) as T;
    return value as T;
  }

  /** Records of both machines, undefined for one that was disposed. */
  records(): Records {
    return this.machines.map(({ core, context }) =>
      core.timeline.closed ? undefined : core.tools.machineRecords(context),
    );
  }

  /** How many objects and files of the GPUs hold pages. */
  pagesHeld(): number {
    let held = 0;
    for (const gpu of this.gpus) {
      if (!gpu.alive) continue;
      for (const object of gpu.liveList.toArray()) if (object.pages !== 0) ++held;
      held += 2 ** 16 * gpu.reclaim.idleFiles.toArray().length;
    }
    return held;
  }

  check(): void {
    for (const machine of this.machines) if (!machine.core.timeline.closed) machine.check();
  }

  private endDrivers(): void {
    for (const gpu of this.gpus) if (gpu.alive) gpu.idle();
    for (const vma of this.vmas) while (vma.alive && vma.pinCount > 0) vma.unpin();
    for (const attachment of this.attachments) {
      ignore(() => attachment.unmap());
      ignore(() => attachment.detach());
    }
    for (const object of this.objects) {
      for (let i = 0; i < 100 && object.alive; ++i) {
        ignore(() => object.unpinPages());
        ignore(() => object.release());
      }
    }
    for (const dmaBuf of this.dmaBufs) for (let i = 0; i < 100 && dmaBuf.alive; ++i) ignore(() => dmaBuf.release());
    for (const context of this.contexts) context[Symbol.dispose]();
    // What a call had made whose return the error of an onError callback took.
    for (const gpu of this.gpus) {
      if (!gpu.alive) continue;
      for (const context of [...gpu.contexts]) context.release();
      for (const { dmaBuf } of gpu.liveList.toArray()) while (dmaBuf?.alive) dmaBuf.release();
    }
    for (const process of this.processes) process[Symbol.dispose]();
    for (const gpu of this.gpus) if (gpu.alive) gpu.remove();
  }

  /** Gives back everything that is alive. What is left then is a leak. */
  end(): void {
    this.ended = true;
    const living = this.machines.filter(({ core }) => !core.timeline.closed);
    for (const machine of living) {
      for (const kind of FAULT_KINDS) machine.failAllocation(kind, 0);
      const { dmaDebugOrNull: dmaDebug } = machine;
      if (dmaDebug) Object.assign(dmaDebug, { onError: undefined, strict: false, callSites: false });
      if (dmaDebug) dmaDebug.attributions.objectName = (id) => `object ${id}`;
      passTime(machine);
    }
    this.endDrivers();
    for (const one of [...this.buffers, ...this.tables, ...this.iovas]) one[Symbol.dispose]();
    for (const device of [...this.devices, ...living.flatMap(({ devices }) => devices)]) device[Symbol.dispose]();
    for (const domain of this.domains) if (domain.alive) domain.destroy();
    // Memory of a device that is gone is lost to its driver: here it goes by the back door.
    for (const { alive, table } of this.buffers) if (alive) table.host.core.exports.sgDestroy(table.handle);
    for (const machine of living) {
      passTime(machine);
      machine.check();
    }
    const left = this.records();
    for (const [i, records] of left.entries()) {
      if (records !== undefined && records !== this.baseline[i]) {
        throw new Error(`${records} records are left of machine ${i}, it began with ${this.baseline[i]}`);
      }
    }
  }
}

/** Work that was scheduled may be asynchronous, which is refused when it runs. */
function passTime(machine: Machine): void {
  for (;;) {
    try {
      machine.clock.advance(1000);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_INVALID_RETURN_VALUE') throw error;
    }
  }
}

function ignore(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof GemDmaError)) throw error;
  }
}

function options(source: Source, hasDrivers: boolean): MachineOptions {
  // A bounce slot is copied to where its frame was: that is another's by then, when it was freed while mapped.
  const pools = hasDrivers ? [false as const] : [false as const, '1MiB', { size: '1MiB', force: true }];
  return {
    ram: '16MiB',
    kernel: source.pick(['linux-6.12', 'linux-4.2']),
    iommu: {
      mode: source.pick(['strict', 'lazy', 'strict', 'passthrough', 'off'] as const),
      levels: source.pick([4, 3, 5] as const),
    },
    swiotlb: source.pick(pools),
    dmaDebug: source.pick([true, true, false, { entries: 40 }] as const),
    cpus: source.pick([1, 2]),
    memoryLimit: '16MiB',
    seed: source.below(100),
  };
}
