import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import type { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { ScatterTable } from '../../dma/sg-table.js';
import { type Direction, DMA_MAPPING_ERROR } from '../../dma/transfer.js';
import type { MachineOptions } from '../../machine/config.js';
import { BaseMachine } from '../../machine/machine.js';
import { type InferredSpace, MSI_WINDOW } from './infer.js';
import { type InferredPool, SLOT } from './infer-pool.js';
import { OP, type Operations, SHAPE } from './operations.js';

/** One run of a trace's calls through the emulator. */

const TOP_32BIT = 0x100000;
/** A frame for buffers whose memory is unknown. */
const SOME_FRAME = 1;

/** Called by a run for each call, as it happens. */
export interface RunObserver {
  /** A call mapped: the address that the emulator gave, DMA_MAPPING_ERROR when it refused. */
  mapped?(call: number, address: number): void;
  /** Before a call is made. */
  before?(call: number): void;
  /** After an unmap. */
  unmapped?(call: number): void;
}

export class ReplayRun {
  readonly machine: BaseMachine;
  readonly devices: (DmaDevice | undefined)[] = [];
  private readonly o: Operations;
  private readonly addresses: Float64Array;
  private readonly tables = new Map<number, ScatterTable>();
  private now = Number.NaN;
  /** Where mappings from before the trace are, by the page that the trace has them at. */
  private readonly elsewhere = new Map<number, { device: DmaDevice; address: number; size: number }>();
  private anywhere = false;

  /**
   * Makes the machine and its devices; nothing is mapped yet.
   * @param options the machine, but for its CPUs and its dma-debug
   */
  constructor(operations: Operations, spaces: readonly InferredSpace[], options: MachineOptions, pool?: InferredPool) {
    this.o = operations;
    this.addresses = new Float64Array(operations.length).fill(DMA_MAPPING_ERROR);
    const iommu = typeof options.iommu === 'object' ? options.iommu : { mode: options.iommu };
    this.machine = new BaseMachine({
      memoryLimit: 0xffff0000,
      dmaDebug: false,
      ...options,
      iommu: { reserved: [[MSI_WINDOW[0], MSI_WINDOW[1]]], ...iommu },
      cpus: Math.min(64, operations.cpus),
    });
    for (const space of spaces) {
      let first: DmaDevice | undefined;
      for (const number of space.devices) {
        const device = this.machine.addDevice({
          ...{ maskBits: maskBits(space, pool), maxSegment: 0xffffffff, name: operations.devices[number] },
          minAlignMask: pool?.minAlignMasks.get(number) ?? 0,
          ...(space.translation === 'iommu' ? {} : { domain: 'passthrough' as const }),
          ...(first !== undefined && first.domain instanceof DmaDomain ? { domain: first } : {}),
        });
        first ??= device;
        this.devices[number] = device;
      }
    }
  }

  /** Brings a space into the state that was inferred for the begin of the trace. */
  begin(space: InferredSpace): void {
    const device = this.devices[space.devices[0]]!;
    if (!(device.domain instanceof DmaDomain)) return;
    const { domain } = device;
    const taken = [...space.live, ...space.holes];
    for (const { order, pfns } of space.cached) for (const page of pfns) taken.push({ page, pages: 2 ** order });
    taken.push({ page: MSI_WINDOW[0], pages: MSI_WINDOW[1] - MSI_WINDOW[0] + 1 });
    taken.sort((a, b) => a.page - b.page);
    let at = space.floor;
    for (const { page, pages } of taken) {
      if (page >= TOP_32BIT) break;
      if (page > at) domain.reserve(at, page - 1);
      at = Math.max(at, page + pages);
    }
    if (at < TOP_32BIT) domain.reserve(at, TOP_32BIT - 1);
    for (const { page, pages } of space.live) {
      this.quietly(() => device.mapPageAt(page * PAGE, SOME_FRAME * PAGE, pages * PAGE, 0));
    }
    for (const { cpu, order, pfns } of space.cached) {
      this.machine.cpu = Math.min(cpu, this.machine.config.cpus - 1);
      for (let i = pfns.length - 1; i >= 0; --i) this.quietly(() => domain.cacheRange(pfns[i], 2 ** order));
    }
  }

  /** Maps the mappings that were live at the start, at any address: for runs whose addresses are not compared. */
  beginAnywhere(space: InferredSpace): void {
    this.anywhere = true;
    const device = this.devices[space.devices[0]]!;
    for (const { page, pages } of [...space.live].sort((a, b) => b.page - a.page)) {
      const address = device.mapPage(SOME_FRAME, 0, pages * PAGE, 0);
      if (address !== DMA_MAPPING_ERROR) this.elsewhere.set(page, { device, address, size: pages * PAGE });
    }
  }

  /** Takes the slots of the bounce pool that were taken when the trace began. */
  beginPool({ taken, areas, size, indices }: InferredPool): void {
    const pool = this.machine.swiotlb!;
    const areaSlots = size / SLOT / areas;
    // A device of its own, so that no statistics of another has these mappings.
    const holder = this.machine.addDevice({ name: 'live before the trace', domain: 'passthrough', forceBounce: true });
    for (const slot of taken) {
      const area = Math.floor(slot / areaSlots);
      this.machine.cpu = Math.min(area, this.machine.config.cpus - 1);
      pool.setIndex(area, slot % areaSlots);
      holder.mapPage(SOME_FRAME, 0, SLOT, 0);
    }
    indices.forEach((index, area) => void pool.setIndex(area, index));
    pool.resetHighWater();
  }

  /** What was inferred may contradict itself where events were lost; then less of it holds. */
  private quietly(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof Error) || (error as { code?: string }).code !== 'EEXIST') throw error;
    }
  }

  /** Makes the call, at its time and on its CPU. */
  step(call: number, observer: RunObserver): void {
    const { o, machine } = this;
    machine.cpu = Math.min(o.cpu[call], machine.config.cpus - 1);
    const time = o.time[call];
    if (time > this.now) machine.clock.advance((time - this.now) / 1e6);
    if (!(time <= this.now)) this.now = time;
    observer.before?.(call);
    if (o.op[call] === OP.MAP) {
      const address = this.map(call);
      this.addresses[call] = address;
      observer.mapped?.(call, address);
    } else if (o.op[call] === OP.UNMAP) {
      this.unmap(call);
      observer.unmapped?.(call);
    }
  }

  private map(call: number): number {
    const { o } = this;
    const device = this.devices[o.device[call]]!;
    const direction = o.direction[call] as Direction;
    const list = o.shape[call] === SHAPE.LIST ? o.lists.get(call) : undefined;
    if (list !== undefined) {
      const table = ScatterTable.fromEntries(
        this.machine,
        Array.from({ length: list.length / 2 }, (_, i) => ({
          pfn: Math.floor(list[i * 2] / PAGE),
          offset: list[i * 2] % PAGE,
          length: Math.max(1, list[i * 2 + 1]),
        })),
      );
      const segments = device.mapSg(table, direction);
      if (segments === 0) {
        table[Symbol.dispose]();
        return DMA_MAPPING_ERROR;
      }
      this.tables.set(call, table);
      return table.segments()[0].address;
    }
    const physical = Number.isNaN(o.physical[call]) ? SOME_FRAME * PAGE + (o.address[call] % PAGE) : o.physical[call];
    const size = o.shape[call] === SHAPE.COHERENT ? Math.ceil(o.size[call] / PAGE) * PAGE : o.size[call];
    const address = device.mapPage(Math.floor(physical / PAGE), physical % PAGE, Math.max(1, size), direction);
    return address === device.errorAddress ? DMA_MAPPING_ERROR : address;
  }

  private unmap(call: number): void {
    const { o } = this;
    const device = this.devices[o.device[call]];
    if (device === undefined) return;
    const begun = o.of[call];
    const direction = o.direction[call] as Direction;
    if (begun < 0) {
      const page = Math.floor(o.address[call] / PAGE);
      const moved = this.elsewhere.get(page);
      if (moved !== undefined) {
        this.elsewhere.delete(page);
        moved.device.unmapPage(moved.address, moved.size, 0);
        return;
      }
      if (this.anywhere) return;
      const size = o.pages[call] * PAGE;
      if (device.domain instanceof DmaDomain)
        device.unmapPage(o.address[call] - (o.address[call] % PAGE), size, direction);
      else if (this.machine.swiotlb) {
        // Each slot that was used at the start is a separate mapping.
        const first = o.address[call] - (o.address[call] % SLOT);
        const end = o.address[call] + o.size[call];
        for (let at = first; at < end; at += SLOT) device.unmapPage(at, SLOT, direction);
      }
      return;
    }
    const table = this.tables.get(begun);
    if (table !== undefined) {
      this.tables.delete(begun);
      device.unmapSg(table, direction);
      table[Symbol.dispose]();
      return;
    }
    const address = this.addresses[begun];
    if (address === DMA_MAPPING_ERROR) return;
    const coherent = o.shape[begun] === SHAPE.COHERENT;
    device.unmapPage(
      address,
      coherent ? Math.ceil(o.size[begun] / PAGE) * PAGE : Math.max(1, o.size[begun]),
      direction,
    );
  }
}

function maskBits({ highest, translation }: InferredSpace, pool?: InferredPool): number {
  if (translation === 'swiotlb' && pool && !pool.force) return 32;
  if (translation !== 'iommu') return 64;
  return highest >= TOP_32BIT ? 48 : 32;
}
