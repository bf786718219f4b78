import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { NO_CPU, NO_DIRECTION, type TraceBatch } from '../batches/batch.js';
import { NO_DEVICE } from './devices.js';
import { MAPPING, STATE } from './live.js';
import type { Pairing } from './pairing.js';
import { addressText } from './result.js';
import { mappingOf } from './suspects.js';

/**
 * iommu:map and iommu:unmap, which have no device. Where an event of the DMA API shows the same mapping, they belong to it:
 *
 *     iommu:map        before dma_map_*; it alone has the physical address of coherent memory
 *     iommu:unmap      before dma_unmap_page, after dma_unmap_sg and dma_free
 *
 * so a map waits on its CPU for the event that claims it, and an unmap puts its mapping into the state CLOSING.
 */

/** Pages of a run of iommu:map events that is looked for from a page within. */
const MAX_RUN = 512;

/** iommu:map events of a CPU that no event of the DMA API has claimed yet: runs that follow each other, as one. */
class Unclaimed {
  waiting = false;
  page = 0;
  pages = 0;
  physical = 0;
  time = 0;
  task = 0;
}

export class IommuRuns {
  /** By CPU. */
  readonly unclaimed: Unclaimed[] = [];
  /** By CPU: an end of the DMA API whose iommu:unmap comes after it. */
  readonly echo: boolean[] = [];
  /** Ends of runs that were live when the trace began. */
  midLife = 0;
  private readonly pairing: Pairing;

  constructor(pairing: Pairing) {
    this.pairing = pairing;
  }

  map(batch: TraceBatch, row: number, names: Uint32Array): void {
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    const claim = (this.unclaimed[cpu] ??= new Unclaimed());
    const pages = Math.ceil((batch.offset[row] + batch.size[row]) / PAGE);
    if (claim.waiting) {
      if (batch.page[row] === claim.page + claim.pages) {
        claim.pages += pages;
        return;
      }
      this.settle(claim);
    }
    claim.waiting = true;
    claim.page = batch.page[row];
    claim.pages = pages;
    claim.physical = batch.physical[row];
    claim.time = batch.time[row];
    claim.task = names[batch.task[row]];
  }

  /** A map without an event of the DMA API: of a driver with its own domain, or any map in a trace of iommu:* alone. */
  settle(claim: Unclaimed): void {
    claim.waiting = false;
    this.pairing.displace(0, claim.page);
    this.enterRun(claim.task, claim.time, claim.page, claim.pages, claim.physical);
    const account = this.pairing.account(0);
    account.lowestPage = Math.min(account.lowestPage, claim.page);
    account.highestPage = Math.max(account.highestPage, claim.page + claim.pages);
    account.mapped(claim.time, claim.pages * PAGE, MAPPING.IOMMU);
  }

  private enterRun(task: number, time: number, page: number, pages: number, physical: number): number {
    const { live } = this.pairing;
    const record = live.add();
    live.kind[record] = MAPPING.IOMMU;
    live.direction[record] = NO_DIRECTION;
    live.device[record] = 0;
    live.task[record] = task;
    live.page[record] = page;
    live.offset[record] = 0;
    live.size[record] = live.span[record] = pages * PAGE;
    live.physical[record] = physical;
    live.time[record] = time;
    live.closed[record] = Number.NaN;
    live.entries[record] = 1;
    const group = this.pairing.groups.of(0, MAPPING.IOMMU, pages * PAGE, task);
    live.group[record] = group;
    live.rank[record] = this.pairing.groups.next(group);
    live.enter(record);
    return record;
  }

  unmap(batch: TraceBatch, row: number, names: Uint32Array): void {
    const { live } = this.pairing;
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    const claim = this.unclaimed[cpu];
    if (claim?.waiting) this.settle(claim);
    const page = batch.page[row];
    const pages = Math.ceil(batch.size[row] / PAGE);
    if (batch.extra[row] !== batch.size[row] && batch.extra[row] > 0) {
      this.pairing.mismatches.add(
        'iommu-size',
        NO_DEVICE,
        addressText(page, 0),
        batch.time[row],
        this.pairing.strings.get(names[batch.task[row]]),
        {
          mapped: `${batch.extra[row]} bytes were mapped`,
          unmapped: `${batch.size[row]} bytes`,
        },
      );
    }
    // Its event of the DMA API came before it.
    if (this.echo[cpu]) {
      this.echo[cpu] = false;
      return;
    }
    let found = -1;
    let exact = false;
    let several = false;
    for (let node = live.firstAt(page); node >= 0; node = live.nextAt(node)) {
      const record = live.recordAt(node);
      if (live.state[record] !== STATE.LIVE) continue;
      const fits = Math.ceil((live.offset[record] + live.span[record]) / PAGE) === pages;
      if (found >= 0 && fits === exact) several = true;
      if (found < 0 || (fits && !exact)) {
        found = record;
        exact = fits;
        several = false;
      }
    }
    if (found < 0) found = this.inside(page);
    if (found < 0) {
      ++this.midLife;
      return;
    }
    // Two devices with the same address: the next event of the DMA API shows which it was.
    if (several) return;
    if (live.kind[found] === MAPPING.IOMMU) {
      ++this.pairing.account(0).unmaps;
      this.pairing.finish(this.cutOut(found, page, pages), batch.time[row], names[batch.task[row]]);
    } else {
      live.state[found] = STATE.CLOSING;
      live.closed[found] = batch.time[row];
    }
  }

  /** The run of iommu:map events that a page lies in, where it is not its first. */
  private inside(page: number): number {
    const { live } = this.pairing;
    for (let before = page - 1; before >= page - MAX_RUN; --before) {
      for (let node = live.firstAt(before); node >= 0; node = live.nextAt(node)) {
        const record = live.recordAt(node);
        if (live.kind[record] === MAPPING.IOMMU && live.covers(record, page)) return record;
      }
    }
    return -1;
  }

  /** Consecutive runs were several mappings if a part of them is unmapped: splits that part off. */
  private cutOut(record: number, page: number, pages: number): number {
    const { live } = this.pairing;
    const first = live.page[record];
    const end = first + live.span[record] / PAGE;
    if (page === first && page + pages >= end) return record;
    const whole = mappingOf(live, record);
    live.remove(record);
    const part = (from: number, to: number): number =>
      this.enterRun(whole.task, whole.time, from, to - from, whole.physical + (from - first) * PAGE);
    this.pairing.account(0).split((page > first ? 1 : 0) + (page + pages < end ? 1 : 0));
    if (page > first) part(first, page);
    if (page + pages < end) part(page + pages, end);
    return part(page, Math.min(page + pages, end));
  }
}
