import { GemDmaError } from '../../../src/core/errors.js';
import { PAGE_SIZE as PAGE } from '../../../src/core/generated/constants.js';
import { DMA_BIDIRECTIONAL } from '../../../src/dma/transfer.js';
import type { GpuContext } from '../../../src/i915/context.js';
import type { I915Device } from '../../../src/i915/device.js';
import type { GemObject } from '../../../src/i915/object.js';
import { POLICY_HOOKS } from '../../../src/i915/policy/policy.js';
import type { Vma } from '../../../src/i915/vma.js';
import * as library from '../../../src/index.js';

/**
 * A machine on which every hook of the library runs, from every call that leads to it: two GPUs with objects of each kind of
 * memory, a process, an exporter, a shrinker, a notifier, listeners. What a hook does besides its own work is given.
 */

const { DmaBuf, Machine, Process, ScatterTable } = library;

/** Hooks of the public surface, by the interface that has them. */
export const HOOK_NAMES = [
  ...POLICY_HOOKS.map((name) => `policy.${name}` as const),
  ...(['policy.snapshot', 'policy.restore', 'held.snapshot', 'held.restore'] as const),
  ...(['exporter.map', 'exporter.unmap', 'exporter.release'] as const),
  ...(['notifier.invalidate', 'shrinker.count', 'shrinker.scan', 'clock.run'] as const),
  ...(['driver.check', 'driver.probe', 'driver.callbacks'] as const),
  ...(['dmaDebug.onError', 'attributions.objectName'] as const),
] as const;
export type HookName = (typeof HOOK_NAMES)[number];

/** Hooks of snapshots: one takes longer than all the rest of a life, and no other hooks run in it. */
export const TAKES_LONG = /snapshot|restore|callbacks/;

/** Hooks that ran in one life: many more, and it has no end. */
const MOST_HOOKS = 20_000;
/** What a hook does besides its work happens as often as this in one life. */
const MOST_ACTS = 40;

export class Endless extends Error {}

/** What a hook's own work is about. */
export interface Focus {
  object: GemObject;
  vma?: Vma;
}

export class Stage {
  readonly machine = new Machine({ ram: '16MiB', memoryLimit: '32MiB', dmaDebug: { entries: 1024 } });
  readonly card = this.machine.addDevice({ maskBits: 64 });
  readonly process = new Process(this.machine.ram);
  readonly address = this.process.mmap(4 * PAGE, { populate: true });
  readonly gpu: I915Device;
  readonly other: I915Device;
  readonly contexts: GpuContext[];
  readonly bo: GemObject;
  readonly user: GemObject;
  readonly phys: GemObject;
  readonly imported: GemObject;
  readonly shared: GemObject;
  readonly dmaBuf: library.DmaBuf;
  readonly attachment: library.DmaBufAttachment;
  readonly spare: GemObject;
  readonly before: library.MachineSnapshot;
  /** What the hook of the trial does besides, and which one it is. */
  private act: ((focus: Focus) => unknown) | undefined;
  private hook: HookName;
  private tables: library.ScatterTable[] = [];
  private hooks = 0;
  private acts = 0;
  /** How often the hook of the trial ran. */
  ran = 0;
  focus: Focus;

  constructor(hook: HookName) {
    this.hook = hook;
    const { machine } = this;
    const policy = { name: 'trial' };
    const base: Record<string, (object: GemObject) => unknown> = {
      getPages: (object) => object.mapSg(),
      putPages: (object) => object.unmapSg(),
      pageTables: () => 'bind',
      snapshot: () => 1,
    };
    for (const name of [...POLICY_HOOKS, 'snapshot', 'restore'] as const) {
      Object.assign(policy, {
        [name]: (object: GemObject, vma?: Vma) => {
          const answer = base[name]?.(object);
          const focus = object instanceof Object && 'vmas' in object ? { object, ...(vma && { vma }) } : this.focus;
          return this.run(`policy.${name}`, focus) ?? answer;
        },
      });
    }
    this.gpu = machine.addI915({ gen: 8, ppgtt: 'full', ggtt: 2 ** 30, policy });
    this.other = machine.addI915({ gen: 7, ppgtt: 'none', ggtt: 2 ** 30, policy: 'i915-4.2' });
    this.contexts = [this.gpu.createContext(), this.gpu.createContext()];
    const { gpu, process } = this;
    this.bo = gpu.createObject(2 * PAGE);
    this.spare = gpu.createObject(PAGE);
    this.user = gpu.createUserptr(process, this.address, 2 * PAGE);
    this.phys = gpu.createObject(PAGE);
    this.dmaBuf = new DmaBuf(machine, this.exporter(), PAGE);
    this.attachment = this.dmaBuf.attach(this.card);
    this.imported = gpu.importDmaBuf(this.dmaBuf);
    this.shared = this.other.importDmaBuf(this.bo.export());
    this.focus = { object: this.bo };
    process.registerNotifier({ invalidate: () => this.run('notifier.invalidate') as undefined });
    machine.reclaim.register({
      count: () => (this.run('shrinker.count') as number) ?? 0,
      scan: () => (this.run('shrinker.scan') as number) ?? 0,
    });
    this.before = machine.snapshot();
  }

  private exporter(): library.DmaBufExporter {
    return {
      name: 'trial',
      map: ({ device }) => {
        const table = ScatterTable.allocate(this.machine, 1);
        device.mapSgTable(table, DMA_BIDIRECTIONAL);
        return (this.run('exporter.map') as library.ScatterTable) ?? table;
      },
      unmap: ({ device }, table) => {
        if (device.alive) device.unmapSg(table, DMA_BIDIRECTIONAL);
        table.release();
        return this.run('exporter.unmap') as undefined;
      },
      release: () => this.run('exporter.release') as undefined,
    };
  }

  /** Everything is as it was when it was made, for a trial of another hook. */
  again(hook: HookName): this {
    this.machine.restore(this.before);
    Object.assign(this, { hook, hooks: 0, acts: 0, ran: 0, act: undefined, tables: [], focus: { object: this.bo } });
    return this;
  }

  /** From now on the hook of the trial does this besides. */
  begin(act: (focus: Focus) => unknown): void {
    this.act = act;
    const { machine } = this;
    const { dmaDebug } = machine;
    dmaDebug.onError = () => this.run('dmaDebug.onError') as undefined;
    dmaDebug.attributions.objectName = (id) => (this.run('attributions.objectName') as string) ?? `object ${id}`;
  }

  /** Hooks do no more than their work. */
  end(): void {
    this.act = undefined;
    if (this.disposed) return;
    this.machine.dmaDebug.onError = undefined;
    this.machine.dmaDebug.attributions.objectName = (id) => `object ${id}`;
  }

  get disposed(): boolean {
    return this.machine.core.timeline.closed;
  }

  private run(name: HookName, focus?: Focus): unknown {
    if (++this.hooks > MOST_HOOKS) throw new Endless(`${MOST_HOOKS} hooks have run`);
    if (name !== this.hook || this.act === undefined) return undefined;
    ++this.ran;
    if (++this.acts > MOST_ACTS) return undefined;
    const outer = this.focus;
    if (focus !== undefined) this.focus = focus;
    try {
      return this.act(this.focus);
    } finally {
      this.focus = outer;
    }
  }

  /** The calls of a life: between them every hook runs, from every kind of call that leads to it. */
  steps(): (() => unknown)[] {
    const { bo, card, contexts, gpu, imported, machine, phys, process, shared, spare, user } = this;
    const [{ vm }, second] = contexts;
    const held = {
      snapshot: () => this.run('held.snapshot') ?? 1,
      restore: () => this.run('held.restore') as undefined,
    };
    const objects = [bo, user, imported, phys];
    return [
      ...objects.map((object) => () => object.bind(vm)),
      ...objects.map((object) => () => object.bind(gpu.ggtt, { pin: true }).unpin()),
      () => gpu.execbuffer(contexts[0], [{ object: spare }, { object: bo, write: true }], { busy: 5 }),
      () => shared.bind(this.other.ggtt),
      () => gpu.createContext().release(),
      () => bo.vmas[0]?.unbind(),
      () => gpu.execbuffer(second, [{ object: user }, { object: imported }]),
      () => machine.clock.schedule(0, () => this.run('clock.run') as undefined),
      () => machine.clock.advance(10),
      () => shared.release(),
      () => bo.setCacheLevel(bo.cacheLevel === 0 ? 'llc' : 'none'),
      () => phys.attachPhys(0),
      () => phys.bind(gpu.ggtt),
      () => process.discard(this.address, PAGE),
      () => user.bind(vm),
      () => gpu.evictVm(vm),
      () => this.failing(bo),
      () => new DmaBuf(machine, this.exporter(), PAGE).release(),
      () => bo.bind(gpu.ggtt, { view: { type: 'partial', offset: 0, size: 1 } }),
      () => gpu.shrinkAll(),
      () => bo.bind(gpu.ggtt),
      () => machine.reclaim.count(),
      () => machine.reclaim.shrink(2 ** 20),
      () => bo.putPages(),
      () => spare.madvise('dontneed'),
      () => gpu.shrink(1000, 7),
      () => bo.pwrite(0, new Uint8Array(2 * PAGE)),
      () => card.unmapPage(0x7000, 64, DMA_BIDIRECTIONAL),
      () => void machine.dmaDebug.findings,
      () => this.attachment.map(),
      () => this.attachment.unmap(),
      () => void machine.addDriver(this.driver(), {}),
      ...(TAKES_LONG.test(this.hook) ? [() => machine.restore(machine.snapshot(held))] : []),
      () => machine.devices.at(-1)!.destroy(),
      () => user.bind(gpu.ggtt),
      () => process.munmap(this.address, PAGE),
      () => gpu.evictEverything(),
    ];
  }

  // A bind that fails when its entries have a place.
  private failing(object: GemObject): void {
    const { gpu, machine } = this;
    const context = gpu.createContext();
    machine.failAllocation('gtt', 2);
    try {
      object.bind(context.vm).unbind();
    } finally {
      machine.failAllocation('gtt', 0);
      context[Symbol.dispose]();
    }
  }

  private driver(): library.DeviceDriver<object, library.DmaDevice> {
    return {
      name: 'trial',
      check: () => this.run('driver.check') as undefined,
      probe: (_, device) => (this.run('driver.probe') as library.DmaDevice) ?? device,
      callbacks: () => (this.run('driver.callbacks') as []) ?? [],
    };
  }

  /** A table for a call within a hook. It is released at the end. */
  table(): library.ScatterTable {
    const table = ScatterTable.allocate(this.machine, 1);
    this.tables.push(table);
    return table;
  }

  /** Ends all that is alive. Made besides: what the acts returned. */
  close(made: readonly unknown[]): void {
    const { contexts, machine } = this;
    for (const gpu of [this.gpu, this.other]) if (gpu.alive) gpu.idle();
    machine.clock.advance(1000);
    for (const gpu of [this.gpu, this.other]) {
      if (!gpu.alive) continue;
      for (const vm of gpu.vmList) for (const vma of vm.vmas) while (vma.pinCount > 0) --vma.pinCount;
    }
    for (const one of [this.attachment, ...made, ...this.tables]) endOf(one);
    const { bo, user, phys, imported, shared, spare } = this;
    for (const object of [shared, bo, user, phys, imported, spare]) while (object.alive) object.release();
    while (this.dmaBuf.alive) this.dmaBuf.release();
    for (const gpu of [this.gpu, this.other]) {
      if (!gpu.alive) continue;
      for (const object of gpu.liveList.toArray()) while (object.dmaBuf?.alive) object.dmaBuf.release();
      for (const object of gpu.liveList.toArray()) while (object.alive) object.release();
      for (const context of [...gpu.contexts]) context.release();
    }
    for (const context of contexts) context[Symbol.dispose]();
    this.process[Symbol.dispose]();
    for (const gpu of [this.gpu, this.other]) if (gpu.alive) gpu.remove();
    for (const device of machine.devices) {
      device.setDriven(false);
      device.destroy();
    }
    machine.clock.advance(1000);
    machine.check();
  }

  /** New objects of all kinds live as ever. */
  another(): void {
    const { gpu, machine } = this;
    const context = gpu.createContext();
    const process = new Process(machine.ram);
    const at = process.mmap(PAGE, { populate: true });
    const objects = [gpu.createObject(PAGE), gpu.createUserptr(process, at, PAGE)];
    for (const object of objects) {
      object.bind(context.vm, { pin: true }).unpin();
      object.bind(gpu.ggtt);
    }
    gpu.execbuffer(
      context,
      objects.map((object) => ({ object })),
    );
    process.munmap(at, PAGE);
    objects[0].pwrite(1, Uint8Array.of(7));
    if (objects[0].pread(1, 1)[0] !== 7) throw new Error('contents differ');
    for (const object of objects) object.release();
    gpu.idle();
    context.release();
    process.exit();
    const card = machine.addDevice({ maskBits: 64 });
    const table = ScatterTable.allocate(machine, 2);
    card.mapSgTable(table, DMA_BIDIRECTIONAL);
    card.unmapSg(table, DMA_BIDIRECTIONAL);
    table.release();
  }
}

/** Ends what a call has returned, where it has an end of its own. */
function endOf(one: unknown): void {
  if (Array.isArray(one)) for (const part of one) endOf(part);
  if (typeof one !== 'object' || one === null) return;
  try {
    if (one instanceof Object && 'detach' in one && 'unmap' in one) (one as library.DmaBufAttachment).unmap();
  } catch (error) {
    if (!GemDmaError.is(error)) throw error;
  }
  for (const name of [Symbol.dispose, 'detach', 'remove', 'destroy', 'free'] as const) {
    const end = (one as Record<PropertyKey, unknown>)[name];
    if (typeof end !== 'function' || one instanceof Machine) continue;
    try {
      for (let i = 0; i < 100 && (one as { alive?: boolean }).alive !== false; ++i) {
        end.call(one);
        if (!('handles' in one)) break;
      }
    } catch (error) {
      if (!GemDmaError.is(error)) throw error;
    }
    return;
  }
}

/** What calls of every class are made on, by the name of the class: the thing under way and its relatives. */
export function receivers(stage: Stage, { object, vma }: Focus): Record<string, object | undefined> {
  const { machine, gpu } = stage;
  const place = vma ?? object.vmas[0];
  return {
    ...{ Machine: machine, PhysicalMemory: machine.ram, Iommu: machine.iommu, EventLog: machine.events },
    ...{ VirtualClock: machine.clock, DmaDebug: machine.dmaDebug, MachineSnapshot: stage.before },
    ...{ DmaDevice: stage.gpu.dmaDevice, Card: stage.card, I915Device: object.device, GemObject: object },
    GpuContext: stage.contexts.find(({ vm }) => vm === place?.vm) ?? stage.contexts[0],
    AddressSpace: place?.vm ?? gpu.ggtt,
    Ggtt: gpu.ggtt,
    Vma: place,
    Process: stage.process,
    ...{ DmaBuf: stage.dmaBuf, DmaBufAttachment: stage.attachment },
    DmaDomain: gpu.dmaDevice.alive && typeof gpu.dmaDevice.domain === 'object' ? gpu.dmaDevice.domain : undefined,
  };
}
