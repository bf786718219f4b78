import type { DmaDevice } from '../../dma/device.js';
import type { Finding } from '../../dma-debug/channels.js';
import { StressFailure } from '../engine/failure.js';
import type { Books } from './part.js';
import type { World } from './world.js';

const PAGES_4GIB = 2 ** 20;
/** Last pfn of a 48-bit address space. */
const LAST_PFN = 2 ** 36 - 1;

/** What the layers hold at one moment. All of it comes back to what it was when everything is given back. */
interface Layers {
  /** DMA mappings that were made and not ended, over all devices. */
  mappings: number;
  /** Live entries of dma-debug. */
  entries: number;
  /** Frames of RAM in use. */
  frames: number;
  /** Free pages of the devices' address spaces, what waits in magazines included. */
  space: number;
}

/**
 * The sums that must agree across layers: what the drivers say is mapped, what the DMA API has mapped, what dma-debug
 * has as entries, what lies in RAM. A leak shows as a sum that is too large long before anything runs out.
 */
export class Accounts {
  private readonly world: World;
  private readonly baseline: Layers;
  private readonly checked: boolean;
  private seen = 0;
  private finding: Finding | undefined;
  // Set when dma-debug had no memory for an entry: it then reports the end of that mapping as a mistake.
  private blind = false;

  constructor(world: World) {
    this.world = world;
    this.checked = world.machine.config.dmaDebug.enabled;
    const expected = new Set<string>(['POOL_GROWN', ...(world.config.expected ?? [])]);
    if (this.checked) {
      world.machine.dmaDebug.onError = (finding) => {
        if (NO_MEMORY.has(finding.check)) this.blind = true;
        if (!expected.has(finding.check)) this.finding ??= finding;
      };
    }
    this.seen = this.findingsSoFar();
    this.baseline = this.layers();
  }

  /** Throws for the first finding of dma-debug that a correct driver would not get. One load when there is none. */
  watch(): void {
    if (this.findingsSoFar() !== this.seen) this.found();
  }

  private findingsSoFar(): number {
    return this.checked ? this.world.machine.dmaDebug.registers.findings : 0;
  }

  private found(): void {
    this.seen = this.findingsSoFar();
    this.world.machine.dmaDebug.settle();
    const finding = this.finding;
    if (finding && !this.blind) throw new StressFailure('finding', finding.check, finding.message, { finding });
  }

  get findings(): number {
    return this.seen;
  }

  /** Live DMA mappings over all devices. */
  get mappings(): number {
    return this.world.machine.devices.reduce((sum, { counts }) => sum + counts.maps - counts.unmaps, 0);
  }

  /** Share of the fullest device address space below 4 GiB that is in use, 0 to 1. */
  get iovaUse(): number {
    const { iovaFreePages } = this.world.machine.core.tools;
    let least = PAGES_4GIB;
    for (const { domain } of this.world.machine.devices) {
      if (domain !== undefined && domain !== 'passthrough') {
        least = Math.min(least, iovaFreePages(domain.iova, PAGES_4GIB - 1));
      }
    }
    return 1 - least / PAGES_4GIB;
  }

  private layers(): Layers {
    const { machine } = this.world;
    const { live, missed } = this.checked ? machine.dmaDebug.counters() : { live: 0, missed: 0 };
    if (missed > 0) this.blind = true;
    return {
      mappings: this.mappings,
      entries: live,
      frames: machine.core.tools.ramInUse(machine.context),
      space: spaceOf(machine.devices),
    };
  }

  /** The layers at this moment, in what an operation that was refused must not change. */
  state(): Record<string, unknown> {
    const { mappings, entries } = this.layers();
    const { used = 0 } = this.world.machine.swiotlb?.stats ?? {};
    const lasting = this.world.parts.reduce((sum, part) => sum + part.lasting(), 0);
    return { mappings: mappings - lasting, entries: this.blind ? 0 : entries - lasting, bounced: used };
  }

  check(): void {
    const { mappings, entries } = this.layers();
    const expected = this.expected();
    same('mappings', 'live DMA mappings', expected.mappings, mappings);
    if (this.checked && !this.blind) same('entries', 'entries of dma-debug', expected.entries, entries);
  }

  private expected(): Books {
    let { mappings, entries } = this.baseline;
    for (const part of this.world.parts) {
      const books = part.books();
      mappings += books.mappings;
      entries += books.entries;
    }
    return { mappings, entries };
  }

  /** Everything was given back: nothing may be left. */
  empty(): void {
    const { mappings, entries, frames, space } = this.layers();
    for (const [id, before, now] of [
      ['mappings', this.baseline.mappings, mappings],
      ['entries', this.baseline.entries, this.blind ? this.baseline.entries : entries],
      ['frames', this.baseline.frames, frames],
      ['IOVA pages', space, this.baseline.space],
    ] as const) {
      if (before === now) continue;
      throw new StressFailure('teardown', id, `${now - before} ${id} are left when all was given back`);
    }
  }
}

/** Checks by which dma-debug reports that it has no memory for an entry. */
const NO_MEMORY: ReadonlySet<string> = new Set(['OOM_DISABLED', 'CACHELINE_ENOMEM']);

function same(id: string, what: string, expected: number, got: number): void {
  if (expected === got) return;
  throw new StressFailure('accounting', id, `${got} ${what} where ${expected} are accounted for`, { expected, got });
}

/** Free pages of the address spaces of devices, what waits in magazines included. */
export function spaceOf(devices: readonly DmaDevice[]): number {
  return devices.reduce((sum, { domain, host }) => {
    if (domain === undefined || domain === 'passthrough') return sum;
    const { iovaCachedPages, iovaFreePages } = host.core.tools;
    return sum + iovaFreePages(domain.iova, LAST_PFN) + iovaCachedPages(domain.iova);
  }, 0);
}
