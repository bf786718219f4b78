import { held } from '../../../core/handle.js';
import type { DmaDevice } from '../../../dma/device.js';
import type { Finding } from '../../../dma-debug/channels.js';
import type { GemObject } from '../../../i915/object.js';
import { Ppgtt } from '../../../i915/ppgtt.js';
import { StressFailure } from '../engine/failure.js';
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
  /** Frames of RAM that somebody has. */
  frames: number;
  /** Free pages of the devices' address spaces, what waits in magazines included. */
  space: number;
}

/**
 * The sums that must agree across layers: what GEM thinks is mapped, what the DMA API has mapped, what dma-debug knows
 * of, what lies in RAM. A leak shows as a sum that is too large long before anything runs out.
 */
export class Accounts {
  private readonly world: World;
  private readonly baseline: Layers;
  private readonly checked: boolean;
  private seen = 0;
  private finding: Finding | undefined;
  // dma-debug that had no memory for an entry knows nothing of that mapping and takes its end for a mistake.
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

  private spaceOf(devices: readonly DmaDevice[]): number {
    const { iovaCachedPages, iovaFreePages } = this.world.machine.core.tools;
    return devices.reduce((sum, { domain }) => {
      if (domain === undefined || domain === 'passthrough') return sum;
      return sum + iovaFreePages(domain.iova, LAST_PFN) + iovaCachedPages(domain.iova);
    }, 0);
  }

  private layers(): Layers {
    const { machine } = this.world;
    const { live, missed } = this.checked ? machine.dmaDebug.counters() : { live: 0, missed: 0 };
    if (missed > 0) this.blind = true;
    return {
      mappings: this.mappings,
      entries: live,
      frames: machine.core.tools.ramInUse(machine.context),
      space: this.spaceOf(machine.devices),
    };
  }

  /** The layers at this moment, as far as an operation that was refused must leave them alone. */
  state(): Record<string, unknown> {
    const { mappings, entries } = this.layers();
    const { used = 0 } = this.world.machine.swiotlb?.stats ?? {};
    // Page tables stay with their address space, whatever they were made for.
    const tables = this.world.gpus
      .flatMap(({ vmList }) => vmList)
      .reduce((sum, vm) => sum + (vm instanceof Ppgtt ? vm.mappedPages : 0), 0);
    const nodes = this.world.gpus.map(({ vmList }) => vmList.map(({ vmas }) => vmas.length));
    return {
      ...{ mappings: mappings - tables, entries: this.blind ? 0 : entries - tables },
      ...{ space: this.spaceOf(this.world.devices), bounced: used, nodes },
    };
  }

  check(): void {
    for (const [id, { object }] of this.world.objects.entries()) checkObject(id, object);
    const { mappings, entries } = this.layers();
    const expected = this.expected();
    same('mappings', 'live DMA mappings', expected.mappings, mappings);
    if (this.checked && !this.blind) same('entries', 'entries of dma-debug', expected.entries, entries);
  }

  // What GEM, the GPU's tables and the drivers of other devices say is mapped, as calls and as entries: a list is one
  // call, and an entry a segment.
  private expected(): { mappings: number; entries: number } {
    const { sgNents } = this.world.machine.core.exports;
    let { mappings, entries } = this.baseline;
    for (const gpu of this.world.gpus) {
      for (const list of [gpu.boundList, gpu.unboundList]) {
        for (const object of list.toArray()) {
          const live = liveMappings(object);
          mappings += live;
          if (live > 0) entries += live * sgNents(held(object.pages));
        }
      }
      for (const vm of gpu.vmList) {
        if (!(vm instanceof Ppgtt)) continue;
        mappings += vm.mappedPages;
        entries += vm.mappedPages;
      }
    }
    const buffers = this.physBuffers();
    mappings += buffers;
    entries += buffers;
    const links = this.world.machine.config.dmaDebug.checkers === 'kernel' ? 0 : 1;
    for (const { kind, table, attachment } of this.world.mappings.values()) {
      // Reserved address space is one mapping and no entry; each page that is linked into it is no mapping, and an entry of
      // our checker's own.
      const list = table?.handle ?? attachment?.table;
      if (kind !== 'linked') ++mappings;
      if (kind === 'linked') entries += links;
      else if (kind !== 'range') entries += list === undefined ? 1 : sgNents(list);
    }
    return { mappings, entries };
  }

  // Coherent buffers of contiguous objects: each has one as long as it lives, and the GPU may keep it alive.
  private physBuffers(): number {
    const objects = new Set<GemObject>();
    for (const { object } of this.world.objects.values()) if (object.backing.kind === 'phys') objects.add(object);
    for (const { requests } of this.world.gpus) {
      for (const request of requests) {
        for (const object of request.objects) if (object.backing.kind === 'phys') objects.add(object);
      }
    }
    return objects.size;
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
    for (const { liveObjects } of this.world.gpus) {
      if (liveObjects === 0) continue;
      throw new StressFailure('teardown', 'objects', `${liveObjects} objects live on when all was released`);
    }
  }
}

/** What dma-debug says when it has no memory for an entry. */
const NO_MEMORY: ReadonlySet<string> = new Set(['OOM_DISABLED', 'CACHELINE_ENOMEM']);

/** Mappings of an object's pages that are there, by its own books: the driver's calls, or the attachment's. */
function liveMappings(object: GemObject): number {
  if (object.backing.mapping === 'sg') return object.maps - object.unmaps;
  return object.backing.mapping === 'attachment' && object.pages !== 0 ? 1 : 0;
}

function checkObject(id: number, object: GemObject): void {
  if (object.backing.mapping !== 'sg') return;
  const live = object.maps - object.unmaps;
  const bound = object.vmas.some((vma) => vma.node !== 0);
  const least = bound ? 1 : 0;
  const most = object.pages !== 0 ? 1 : 0;
  if (live >= least && live <= most) return;
  const where = bound ? 'bound' : most > 0 ? 'not bound' : 'without pages';
  throw new StressFailure('accounting', 'object', `${object} is ${where} and has ${live} live mappings`, {
    subject: id,
  });
}

function same(id: string, what: string, expected: number, got: number): void {
  if (expected === got) return;
  throw new StressFailure('accounting', id, `${got} ${what} where ${expected} are accounted for`, { expected, got });
}
