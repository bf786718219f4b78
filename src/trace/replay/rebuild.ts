import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { guard } from '../../core/guard.js';
import { checkBatch, EVENT, type EventNumber, NO_CPU, ROW, type TraceBatch } from '../batches/batch.js';
import { OP, Operations, SHAPE } from './operations.js';

/**
 * Rebuilds the calls of the DMA API from a trace's events. The address space is taken before iommu:map and given back after
 * iommu:unmap: where these were recorded, they order the calls; dma_unmap_sg and dma_free come before, all others after.
 */

/** Devices of a trace beyond which something is wrong with it. */
const MAX_DEVICES = 4096;

/** The last iommu:* events of a CPU, until an event of the DMA API takes them. */
class CpuState {
  /** iommu:map runs that follow each other: page, pages, and the physical runs. */
  page = 0;
  pages = 0;
  sequence = -1;
  time = 0;
  runs: number[] = [];
  /** An iommu:unmap without an event of the DMA API yet, and a list without its iommu:unmap. */
  unmapped = -1;
  unmappedPage = 0;
  waiting = -1;
}

const SHAPES: Partial<Record<number, number>> = {
  ...{ [EVENT.MAP_PAGE]: SHAPE.PAGE, [EVENT.UNMAP_PAGE]: SHAPE.PAGE, [EVENT.MAP_RESOURCE]: SHAPE.RESOURCE },
  ...{ [EVENT.UNMAP_RESOURCE]: SHAPE.RESOURCE, [EVENT.ALLOC]: SHAPE.COHERENT, [EVENT.FREE]: SHAPE.COHERENT },
  ...{ [EVENT.ALLOC_PAGES]: SHAPE.COHERENT, [EVENT.FREE_PAGES]: SHAPE.COHERENT, [EVENT.ALLOC_SGT]: SHAPE.COHERENT },
  ...{ [EVENT.FREE_SGT]: SHAPE.COHERENT, [EVENT.MAP_SG]: SHAPE.LIST, [EVENT.UNMAP_SG]: SHAPE.LIST },
};

/** Makes the calls of the DMA API out of a trace's batches: `add` each batch in order, then `finish`. */
export class Rebuild {
  static {
    guard(Rebuild, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** The calls rebuilt so far. */
  readonly operations = new Operations();
  private readonly names: string[][] = [];
  private readonly deviceNumbers = new Map<string, number>();
  private readonly cpus: CpuState[] = [];
  /** Live calls by page of their address. */
  private readonly live = new Map<number, number[]>();
  /** Lists that live, by their first entry. */
  private readonly lists = new Map<number, number[]>();
  /** Lists that iommu:unmap ended and whose dma_unmap_sg was not recorded. */
  private sequence = 0;

  /** Takes a batch, in the order of the trace. `input` as for Audit.add. */
  add(batch: TraceBatch, input = 0): void {
    checkBatch(batch, input);
    const names = (this.names[input] ??= ['']);
    batch.strings.forEach((name, i) => {
      names[batch.firstString + i] = name;
    });
    for (let row = 0; row < batch.length; ++row) {
      if ((batch.flags[row] & ROW.LOG) === 0) this.row(batch.kind[row] as EventNumber, batch, row, names);
    }
  }

  private cpu(batch: TraceBatch, row: number): CpuState {
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    if (cpu >= this.operations.cpus) this.operations.cpus = cpu + 1;
    return (this.cpus[cpu] ??= new CpuState());
  }

  private row(kind: EventNumber, batch: TraceBatch, row: number, names: string[]): void {
    ++this.sequence;
    switch (kind) {
      case EVENT.IOMMU_MAP:
        this.iommuMap(batch, row);
        return;
      case EVENT.IOMMU_UNMAP:
        this.iommuUnmap(batch, row);
        return;
      case EVENT.MAP_PAGE:
      case EVENT.MAP_RESOURCE:
      case EVENT.ALLOC:
      case EVENT.ALLOC_PAGES:
      case EVENT.ALLOC_SGT:
      case EVENT.MAP_SG:
        if ((batch.flags[row] & ROW.ADDRESS) !== 0) this.map(SHAPES[kind]!, batch, row, names);
        return;
      case EVENT.UNMAP_PAGE:
      case EVENT.UNMAP_RESOURCE:
      case EVENT.FREE:
      case EVENT.FREE_PAGES:
      case EVENT.FREE_SGT:
        this.unmap(SHAPES[kind]!, batch, row, names);
        return;
      case EVENT.UNMAP_SG:
        if ((batch.flags[row] & ROW.ADDRESS) !== 0) this.unmap(SHAPE.LIST, batch, row, names);
        else this.unmapList(batch, row, names);
        return;
      case EVENT.GROUP:
        this.operations.groups.set(this.device(names[batch.device[row]]), batch.extra[row]);
        return;
      case EVENT.BOUNCED:
        ++this.operations.bounced;
        return;
      case EVENT.FLUSH:
        this.fill(this.operations.add(OP.FLUSH), batch, row, 0);
    }
  }

  private device(name: string): number {
    let number = this.deviceNumbers.get(name);
    if (number === undefined) {
      number = Math.min(this.operations.devices.length, MAX_DEVICES - 1);
      this.operations.devices[number] = name;
      this.deviceNumbers.set(name, number);
    }
    return number;
  }

  private fill(at: number, batch: TraceBatch, row: number, device: number): void {
    const o = this.operations;
    o.cpu[at] = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    o.device[at] = device;
    o.direction[at] = batch.direction[row] > 2 ? 0 : batch.direction[row];
    o.time[at] = batch.time[row];
    o.sequence[at] = this.sequence;
    o.address[at] = batch.page[row] * PAGE + batch.offset[row];
    o.physical[at] = batch.physical[row];
    o.size[at] = batch.size[row];
    o.pages[at] = Math.ceil((batch.offset[row] + batch.size[row]) / PAGE);
  }

  private iommuMap(batch: TraceBatch, row: number): void {
    const cpu = this.cpu(batch, row);
    this.operations.hasIommu = true;
    const page = batch.page[row];
    const pages = Math.ceil((batch.offset[row] + batch.size[row]) / PAGE);
    if (cpu.pages > 0 && page === cpu.page + cpu.pages) cpu.pages += pages;
    else {
      if (cpu.pages > 0) ++this.operations.unattributed;
      cpu.page = page;
      cpu.pages = pages;
      cpu.runs = [];
      cpu.sequence = this.sequence;
      cpu.time = batch.time[row];
    }
    cpu.runs.push(batch.physical[row], batch.size[row]);
  }

  private map(shape: number, batch: TraceBatch, row: number, names: string[]): void {
    const o = this.operations;
    const cpu = this.cpu(batch, row);
    const at = o.add(OP.MAP);
    this.fill(at, batch, row, this.device(names[batch.device[row]]));
    o.shape[at] = shape;
    const page = batch.page[row];
    const mine = cpu.pages > 0 && page >= cpu.page && page < cpu.page + cpu.pages;
    if (mine) {
      o.sequence[at] = cpu.sequence;
      o.time[at] = cpu.time;
      o.pages[at] = cpu.pages;
      if (Number.isNaN(o.physical[at])) o.physical[at] = cpu.runs[0];
    }
    if (shape === SHAPE.LIST) this.list(at, batch, row, mine ? cpu.runs : []);
    if (mine) cpu.pages = 0;
    push(this.live, page, at);
    if (shape === SHAPE.LIST && batch.entries[row] > 0) push(this.lists, batch.values[batch.list[row]], at);
  }

  /** The entries of a list with their lengths, which follow from the runs of iommu:map where the entries were merged. */
  private list(at: number, batch: TraceBatch, row: number, runs: readonly number[]): void {
    const o = this.operations;
    const n = batch.entries[row];
    const m = batch.segments[row];
    if (n === 0) return;
    const start = batch.list[row];
    const value = (i: number): number => batch.values[start + i];
    let total = 0;
    for (let i = 0; i < m; ++i) total += value(n + m + i);
    const entries = new Float64Array(n * 2);
    let left = total;
    let run = 0;
    for (let i = 0; i < n; ++i) {
      const physical = value(i);
      let length: number;
      if (n === m) length = value(n + m + i);
      else {
        while (run < runs.length && !(physical >= runs[run] && physical < runs[run] + runs[run + 1])) run += 2;
        const end = run < runs.length ? runs[run] + runs[run + 1] : physical - (physical % PAGE) + PAGE;
        const next = i + 1 < n ? value(i + 1) : Number.POSITIVE_INFINITY;
        length = Math.min(next > physical && next < end ? next - physical : end - physical, left);
        if (run >= runs.length) run = 0;
      }
      entries[i * 2] = physical;
      entries[i * 2 + 1] = length;
      left -= length;
    }
    o.lists.set(at, entries);
    if (runs.length === 0) {
      const end = value(n + m - 1) + value(n + m + m - 1);
      o.pages[at] = Math.max(1, Math.ceil(end / PAGE) - Math.floor(value(n) / PAGE));
    }
  }

  /** The live call of a device at a page; without a device any. */
  private find(page: number, device: number, offset: number): number {
    const o = this.operations;
    const calls = this.live.get(page);
    if (calls === undefined) return -1;
    let best = -1;
    for (const call of calls) {
      if (device >= 0 && o.device[call] !== device) continue;
      if (offset >= 0 && o.address[call] % PAGE === offset) return call;
      best = call;
    }
    return offset >= 0 && best >= 0 && o.address[best] === o.physical[best] ? -1 : best;
  }

  private end(at: number, call: number): void {
    const o = this.operations;
    o.of[at] = call;
    if (call < 0) return;
    o.pages[at] = o.pages[call];
    o.direction[at] = o.direction[call];
    o.size[at] = o.size[call];
    o.address[at] = o.address[call];
    o.shape[at] = o.shape[call];
    take(this.live, Math.floor(o.address[call] / PAGE), call);
    const list = o.lists.get(call);
    if (list) take(this.lists, list[0], call);
  }

  private unmap(shape: number, batch: TraceBatch, row: number, names: string[]): void {
    const o = this.operations;
    const cpu = this.cpu(batch, row);
    const device = this.device(names[batch.device[row]]);
    const page = batch.page[row];
    // iommu:unmap fitted one list only, which has ended.
    if (
      cpu.unmapped >= 0 &&
      cpu.unmappedPage === page &&
      o.device[cpu.unmapped] === device &&
      o.of[cpu.unmapped] !== NOBODY
    ) {
      if (batch.direction[row] <= 2) o.direction[cpu.unmapped] = batch.direction[row];
      cpu.unmapped = -1;
      return;
    }
    const known = cpu.unmapped >= 0 && cpu.unmappedPage === page && o.of[cpu.unmapped] === NOBODY;
    const at = known ? cpu.unmapped : o.add(OP.UNMAP);
    const { sequence, time } = { sequence: o.sequence[at], time: o.time[at] };
    this.fill(at, batch, row, device);
    o.shape[at] = shape;
    if (known) {
      o.sequence[at] = sequence;
      o.time[at] = time;
      cpu.unmapped = -1;
    }
    const told = o.direction[at];
    this.end(at, this.find(page, device, batch.offset[row]));
    o.direction[at] = told;
    if (shape === SHAPE.COHERENT) cpu.waiting = at;
  }

  private unmapList(batch: TraceBatch, row: number, names: string[]): void {
    const o = this.operations;
    const cpu = this.cpu(batch, row);
    const device = this.device(names[batch.device[row]]);
    const n = batch.entries[row];
    const start = batch.list[row];
    const same = (call: number): boolean => {
      const list = o.lists.get(call)!;
      if (o.device[call] !== device || list.length < n * 2) return false;
      for (let i = 0; i < n; ++i) if (list[i * 2] !== batch.values[start + i]) return false;
      return true;
    };
    const call = this.lists.get(batch.values[start])?.find(same) ?? -1;
    const at = o.add(OP.UNMAP);
    this.fill(at, batch, row, device);
    o.shape[at] = SHAPE.LIST;
    this.end(at, call);
    cpu.waiting = at;
  }

  private iommuUnmap(batch: TraceBatch, row: number): void {
    const o = this.operations;
    const cpu = this.cpu(batch, row);
    this.operations.hasIommu = true;
    const page = batch.page[row];
    const waiting = cpu.waiting;
    cpu.waiting = -1;
    if (waiting >= 0) {
      const known = o.of[waiting] >= 0;
      if (!known || Math.floor(o.address[waiting] / PAGE) === page) {
        o.sequence[waiting] = this.sequence;
        o.time[waiting] = batch.time[row];
        if (!known) {
          // The list was mapped before the trace began; its address is known from here on.
          o.address[waiting] = page * PAGE;
          o.pages[waiting] = Math.ceil(batch.size[row] / PAGE);
        }
        return;
      }
    }
    const at = o.add(OP.UNMAP);
    this.fill(at, batch, row, 0);
    const candidates = this.live.get(page) ?? [];
    if (candidates.length === 1) {
      o.device[at] = o.device[candidates[0]];
      this.end(at, candidates[0]);
    } else o.of[at] = NOBODY;
    cpu.unmapped = at;
    cpu.unmappedPage = page;
  }

  /** The calls, when everything was added. */
  finish(): Operations {
    const o = this.operations;
    // Maps without an event of the DMA API belong to a device that is not traced.
    for (let i = 0; i < o.length; ++i) if (o.of[i] === NOBODY) o.op[i] = 0;
    return o;
  }
}

/** In `of`: an iommu:unmap that is not assigned yet. */
const NOBODY = -2;

function push(map: Map<number, number[]>, key: number, value: number): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

function take(map: Map<number, number[]>, key: number, value: number): void {
  const values = map.get(key);
  if (values === undefined) return;
  const at = values.indexOf(value);
  if (at >= 0) values.splice(at, 1);
  if (values.length === 0) map.delete(key);
}
