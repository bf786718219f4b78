import { GemDmaError } from '../../core/errors.js';
import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import type { CallProgress, Sliced } from '../../core/slices.js';
import type { DmaDevice } from '../../dma/device.js';
import type { DmaDomain } from '../../dma/dma-domain.js';
import { DMA_FROM_DEVICE } from '../../dma/transfer.js';
import type { GpuContext } from '../../i915/context.js';
import type { I915Device } from '../../i915/device.js';
import { i915Driver } from '../../i915/driver.js';
import { POLICIES, POLICY_NAMES } from '../../i915/policy/index.js';
import { type KernelName, kernelWith } from '../../kernels/kernels.js';
import { BaseMachine } from '../../machine/machine.js';
import { Random } from '../../stress/engine/random.js';
import type { PolicyName, Scenario, ScenarioOptions, ScenarioResult } from './scenario.js';

/**
 * The bug of Linux commit e227330223a7 ("drm/i915: avoid leaking DMA mappings", 2015): the same work under a policy
 * that maps at bind and under one that maps in get_pages.
 *
 * Objects are bound in the global GTT and in the address spaces of contexts, unbound, bound again, used by CPU and GPU,
 * and freed, beside a network card that receives into pages of the same memory. Nothing here depends on which policy runs:
 * every figure is read from the machine afterwards.
 */

/** The commit that fixed it. */
const COMMIT = 'e227330223a7';
/** The kernel beneath: its dma-debug ends with its table of entries, as in 2015. */
const KERNEL = kernelWith(({ dmaDebug }) => !dmaDebug.growing);
/** Objects of the churn: enough to use up dma-debug's 65,536 entries at one lost object each. */
const CHURN_OBJECTS = 8000;
/** With the one of the exhibit. */
export const OBJECTS = CHURN_OBJECTS + 1;
/** Address bits of the GPU in the small domain, and objects after which the experiment ends without a failure. */
const SMALL_BITS = 27;
const SMALL_OBJECTS = 8000;
/** Objects before the network card of a present-day kernel is looked at. */
const TODAY_OBJECTS = 500;
const CONTEXTS = 4;
const CACHELINE = 64;
/** The network card receives once in so many objects. */
const RECEIVE_EVERY = 8;
const RECEIVE_BUFFERS = 32;
/** Time that an object's life takes, in milliseconds: 5,000 objects per second. */
const OBJECT_MS = 0.2;
const TOP = 2;

/** A DMA address of one object in two address spaces, and what became of it. */
export interface Exhibit {
  object: string;
  /** DMA address in the GGTT's entry when it was made, and in the context's. */
  first: number;
  second: number;
  /** Does the device still reach the object's first page there when the object is gone? */
  firstReachable: boolean;
  secondReachable: boolean;
}

/** Findings about the innocent device. */
export interface Innocent {
  device: string;
  check: string;
  /** The object that left the page mapped, as dma-debug has it. */
  leftBy: string;
  /** Objects before it. */
  afterObjects: number;
}

export interface LeakResult extends ScenarioResult {
  policy: PolicyName;
  kernel: KernelName;
  seed: number;
  /** Objects that lived and died, and binds of objects that were bound somewhere already. */
  objects: number;
  furtherBinds: number;
  leakedPages: number;
  /** Lists mapped while they were mapped, and times that their DMA addresses were overwritten by that. */
  secondMaps: number;
  overwritten: number;
  /** getPages calls that found the pages there. */
  nestedGetPages: number;
  exhibit: Exhibit;
  /** How many objects left mappings behind, and those that left most. */
  leakedObjects: number;
  firstLeakers: { object: string; bytes: number }[];
  /** The calls that made what leaked; entries are dma-debug's, one per mapped element. */
  leakedAt: { site: string; entries: number; bytes: number }[];
  /** Bytes that the GPU can address and that its domain has not handed out. */
  iova: { freeBefore: number; freeAfter: number };
  /** A GPU with few address bits: the object at which the first mapping failed, null when none did. */
  smallDomain: { bits: number; failedAfter: number | null; error: string | null; tried: number };
  /** The table of 2015's dma-debug: objects after which it was full and dma-debug off, null when it never was. */
  dmaDebug: { entries: number; fullAfter: number | null; disabled: boolean };
  innocent: Innocent | null;
}

/** An i915 and a network card on one machine, and the work they do. */
class Desk {
  readonly machine: BaseMachine;
  readonly gpu: I915Device;
  readonly nic: DmaDevice;
  readonly contexts: GpuContext[] = [];
  readonly #bits: number | undefined;
  readonly #random: Random;
  readonly #bytes = new Uint8Array(16);
  /** Binds of objects that were bound somewhere already. */
  furtherBinds = 0;

  constructor(kernel: KernelName, { policy, seed }: ScenarioOptions, bits?: number) {
    this.machine = new BaseMachine({ kernel, ram: { size: '256MiB', fragmentation: 1 }, seed });
    this.gpu = this.machine.addDriver(i915Driver, { gen: 8, ppgtt: 'full', policy });
    if (bits !== undefined) this.gpu.dmaDevice.setMask(bits);
    this.nic = this.machine.addDevice({ name: '0000:00:19.0', driver: 'e1000e', maskBits: 64 });
    this.#bits = bits;
    this.#random = new Random(seed);
  }

  /** Makes contexts with address spaces of their own. */
  open(): void {
    // A full set of page tables takes 8 MiB of device addresses: a small domain has room for one set.
    for (let i = 0; i < (this.#bits === undefined ? CONTEXTS : 1); ++i) this.contexts.push(this.gpu.createContext());
  }

  /** One object's life: written, shown to the GPU in two address spaces, bound once more, read back, freed. */
  life(): void {
    const random = this.#random;
    const object = this.gpu.createObject((8 + random.below(16)) * PAGE);
    try {
      this.#bytes.fill(random.u32());
      object.pwrite(PAGE, this.#bytes);
      const { vm } = this.contexts[random.below(this.contexts.length)];
      const global = object.bind(this.gpu.ggtt);
      const own = object.bind(vm);
      ++this.furtherBinds;
      if (random.oneIn(4)) {
        global.unbind();
        object.bind(this.gpu.ggtt);
        ++this.furtherBinds;
      }
      const seen = this.gpu.read(vm, own.start + PAGE, this.#bytes.length);
      if (seen.some((byte, i) => byte !== this.#bytes[i]))
        throw new Error('the GPU read other bytes than were written');
    } finally {
      for (const vma of object.vmas) vma.unbind();
      object.release();
    }
    this.machine.clock.advance(OBJECT_MS);
  }

  /** The network card posts buffers, one per page, receives into them and hands them back. */
  receive(): void {
    const { ram } = this.machine;
    const pages = ram.alloc(RECEIVE_BUFFERS);
    const addresses = Array.from(pages, (pfn) => this.nic.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE));
    for (const address of addresses) {
      if (this.nic.mappingError(address)) throw new Error(`the network card cannot map: ${this.nic.reason}`);
      this.nic.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    }
    ram.free(pages);
  }

  /** An object in the GGTT and in a context: where its first page is for the GPU, then and when all is given back. */
  exhibit(): Exhibit {
    const object = this.gpu.createObject('64KiB');
    const name = `${object}`;
    object.pwrite(0, this.#bytes.fill(1));
    const global = object.bind(this.gpu.ggtt);
    const first = dmaAddress(this.gpu.ggtt.entry(global.start));
    const own = object.bind(this.contexts[0].vm);
    ++this.furtherBinds;
    const second = dmaAddress(this.contexts[0].vm.entry(own.start));
    global.unbind();
    own.unbind();
    object.release();
    return {
      object: name,
      first,
      second,
      firstReachable: this.#reachable(first),
      secondReachable: this.#reachable(second),
    };
  }

  // The device reaches what the tables of its domain map.
  #reachable(address: number): boolean {
    return this.machine.iommu.iovaToPhys(this.domain, address) !== null;
  }

  /** Ranges that the GPU's domain has handed out, and bytes that it has not, as far as the GPU can address. */
  iova(): { ranges: number; free: number } {
    const { ranges, freePages } = this.domain.iovaStats(2 ** (this.gpu.config.dmaBits - 12) - 1);
    return { ranges, free: freePages * PAGE };
  }

  get domain(): DmaDomain {
    const { domain } = this.gpu.dmaDevice;
    if (typeof domain !== 'object') throw new Error('the GPU of this scenario is behind an IOMMU');
    return domain;
  }

  /** Frees the contexts with their page tables and the mappings of those. */
  close(): void {
    for (const context of this.contexts) context.release();
    this.machine.clock.advance(1000);
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }
}

/** A gen8 entry holds the address in its bits 38 to 12. */
function dmaAddress(entry: number): number {
  return Math.floor(entry / PAGE) * PAGE;
}

/** What one part of the story is to yield: a share of the whole. */
interface Part {
  options: ScenarioOptions;
  /** Objects that lived in the parts before. */
  before: number;
}

/** Objects of all parts. */
const ALL_OBJECTS = CHURN_OBJECTS + SMALL_OBJECTS + TODAY_OBJECTS;

/** Objects are made and freed beside a receiving network card, until `objects` or the signal; `each` may end it earlier. */
function* churn(
  desk: Desk,
  objects: number,
  { options: { policy, signal }, before }: Part,
  each: (done: number) => boolean,
): Sliced<number, CallProgress> {
  let done = 0;
  while (done < objects) {
    yield { done: before + done, total: ALL_OBJECTS, what: `leak under ${policy}` };
    if (signal?.aborted) break;
    desk.life();
    if (++done % RECEIVE_EVERY === 0) desk.receive();
    if (!each(done)) break;
  }
  return done;
}

const NOT_TRIED: LeakResult['smallDomain'] = { bits: SMALL_BITS, failedAfter: null, error: null, tried: 0 };

/** The GPU can address little: when does its address space run out? */
function* smallDomain(options: ScenarioOptions): Sliced<LeakResult['smallDomain'], CallProgress> {
  using desk = new Desk(KERNEL, options, SMALL_BITS);
  const result: LeakResult['smallDomain'] = { ...NOT_TRIED };
  desk.open();
  try {
    yield* churn(desk, SMALL_OBJECTS, { options, before: CHURN_OBJECTS }, (done) => {
      result.tried = done;
      return true;
    });
  } catch (error) {
    if (!GemDmaError.is(error)) throw error;
    result.failedAfter = ++result.tried;
    result.error = error.message;
  }
  return result;
}

/** A kernel that reports overlaps does so at once, at the second mapping. */
function* innocentDevice(options: ScenarioOptions): Sliced<Innocent | null, CallProgress> {
  using desk = new Desk(
    kernelWith(({ dmaDebug }) => dmaDebug.reportsOverlap),
    options,
  );
  let innocent: Innocent | null = null;
  let done = 0;
  desk.open();
  const { dmaDebug } = desk.machine;
  dmaDebug.onError = ({ check, device, kernel, data }) => {
    if (!kernel || device !== desk.nic.name || innocent) return;
    innocent = { device, check, leftBy: leftBy(desk, Number(data.cacheline)), afterObjects: done };
  };
  yield* churn(desk, TODAY_OBJECTS, { options, before: CHURN_OBJECTS + SMALL_OBJECTS }, (count) => {
    done = count;
    return innocent === null;
  });
  return innocent;
}

/** The object for which the page around a cache line was mapped and never unmapped; the kernel does not report it. */
function leftBy({ machine: { dmaDebug } }: Desk, cacheline: number): string {
  for (const { phys, size, lost, by } of dmaDebug.entries()) {
    if (lost && cacheline * CACHELINE >= phys && cacheline * CACHELINE < phys + size) {
      return dmaDebug.attributions.describe(by).object ?? 'no object';
    }
  }
  return 'nobody';
}

function* runLeak(options: ScenarioOptions): Sliced<LeakResult, CallProgress> {
  const { seed, signal } = options;
  const policy = options.policy as PolicyName; // its only policies are presets
  using desk = new Desk(KERNEL, options);
  const { machine, gpu } = desk;
  const before = desk.iova();
  const counts = gpu.dmaDevice.counts;
  desk.open();
  const exhibit = desk.exhibit();
  let fullAfter: number | null = null;
  const objects = yield* churn(desk, CHURN_OBJECTS, { options, before: 0 }, (done) => {
    if (fullAfter === null && machine.dmaDebug.poll().disabled) fullAfter = done;
    return true;
  });
  desk.close();
  const after = desk.iova();
  const { lost, byObject, bySite, findings, kernel: counters } = machine.dmaDebug.report();
  // An interrupted run makes no further experiments.
  const go = !signal?.aborted;
  if (go) machine.check();
  const small = go ? yield* smallDomain(options) : NOT_TRIED;
  const innocent = go ? yield* innocentDevice(options) : null;
  const maps = gpu.dmaDevice.counts.maps - counts.maps;
  const unmaps = gpu.dmaDevice.counts.unmaps - counts.unmaps;
  const leakers = byObject.filter((group) => group.lost > 0);
  const result: LeakResult = {
    scenario: 'leak',
    policy,
    kernel: KERNEL,
    seed,
    ok: false,
    objects: objects + 1,
    furtherBinds: desk.furtherBinds,
    maps,
    unmaps,
    live: maps - unmaps,
    leakedMappings: after.ranges - before.ranges,
    leakedPages: lost.iovaBytes / PAGE,
    leakedIovaBytes: before.free - after.free,
    secondMaps: findings.DOUBLE_MAP ?? 0,
    overwritten: findings.ADDRESS_OVERWRITTEN ?? 0,
    nestedGetPages: gpu.nestedGetPages,
    exhibit,
    leakedObjects: leakers.length,
    firstLeakers: leakers.slice(0, TOP).map(({ origin, lostIovaBytes }) => ({ object: origin, bytes: lostIovaBytes })),
    leakedAt: bySite
      .filter((group) => group.lost > 0)
      .map(({ origin, lost, lostIovaBytes }) => ({ site: origin, entries: lost, bytes: lostIovaBytes })),
    iova: { freeBefore: before.free, freeAfter: after.free },
    smallDomain: small,
    dmaDebug: { entries: machine.config.dmaDebug.entries, fullAfter, disabled: counters.disabled },
    innocent,
    config: machine.config,
  };
  if (signal?.aborted) return { ...result, interrupted: true };
  return { ...result, ok: asTheKernel(result) };
}

/** Every symptom of the commit message, or none of them. */
function asTheKernel(result: LeakResult): boolean {
  const { exhibit, smallDomain, dmaDebug } = result;
  const losses = POLICIES[result.policy].remaps ? result.furtherBinds : 0;
  const symptoms = [
    smallDomain.failedAfter !== null,
    dmaDebug.disabled,
    result.innocent !== null,
    exhibit.first !== exhibit.second,
    exhibit.firstReachable,
  ];
  return (
    [result.leakedMappings, result.live, result.secondMaps, result.overwritten].every((count) => count === losses) &&
    symptoms.every((seen) => seen === losses > 0) &&
    !exhibit.secondReachable &&
    result.nestedGetPages >= result.furtherBinds
  );
}

export const leak: Scenario = {
  name: 'leak',
  title: 'the commit that began it all: before it i915 maps at bind, after it in get_pages',
  group: 'the main job',
  policies: POLICY_NAMES.filter((name) => [POLICIES[name].since, POLICIES[name].until].includes(COMMIT)),
  run: runLeak,
};
