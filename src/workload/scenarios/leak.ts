import { GemDmaError } from '../../core/errors.js';
import { DMA_FROM_DEVICE, type DmaDevice } from '../../dma/device.js';
import type { Context } from '../../gem/context.js';
import type { I915Device } from '../../gem/device.js';
import { Machine } from '../../machine/machine.js';
import type { KernelName } from '../../machine/presets.js';
import type { DriverName, Scenario, ScenarioOptions, ScenarioResult } from '../scenario.js';
import { Random } from '../stress/random.js';

/**
 * The story of Linux commit e227330223a7 ("drm/i915: avoid leaking DMA mappings", 2015): the same work under a driver
 * that maps at bind and under one that maps in get_pages.
 *
 * Objects are bound in the global GTT and in the address spaces of contexts, unbound, bound again, used by CPU and GPU,
 * and freed, beside a network card that receives into pages of the same memory. Nothing here knows which driver runs:
 * every figure is read off the machine afterwards.
 */

/** Objects of the churn: enough to run dma-debug's 65,536 entries dry at one lost object each. */
const CHURN_OBJECTS = 8000;
/** Address bits of the GPU in the small domain, and objects after which the experiment ends without a failure. */
const SMALL_BITS = 27;
const SMALL_OBJECTS = 8000;
/** Objects before the network card of a present-day kernel is looked at. */
const TODAY_OBJECTS = 500;
const CONTEXTS = 4;
const PAGE = 4096;
/** The network card receives once in so many objects. */
const RECEIVE_EVERY = 8;
/** Time that an object's life takes, in milliseconds: 5,000 objects a second. */
const OBJECT_MS = 0.2;
const TOP = 3;

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

/** What the innocent device was told. */
export interface Innocent {
  device: string;
  check: string;
  /** The object that left the page mapped, as the checker has it. */
  leftBy: string;
  /** Objects before it. */
  afterObjects: number;
}

export interface LeakResult extends ScenarioResult {
  driver: DriverName;
  kernel: KernelName;
  seed: number;
  objects: number;
  leakedPages: number;
  /** Lists mapped while they were mapped, and DMA addresses overwritten by that. */
  secondMaps: number;
  overwritten: number;
  /** getPages calls that found the pages there. */
  nestedGetPages: number;
  exhibit: Exhibit;
  /** The first that leaked, of how many objects, and at which calls, most address space first. */
  leakedObjects: { objects: number; first: { object: string; mappings: number; iovaBytes: number }[] };
  leakedAt: { site: string; mappings: number; iovaBytes: number }[];
  /** Address space of the GPU's domain below 4 GiB, in bytes. */
  iova: { freeBefore: number; freeAfter: number };
  /** A GPU with few address bits: after how many objects the first mapping failed, null when none did. */
  smallDomain: { bits: number; failedAfter: number | null; error: string | null; tried: number };
  /** The 2015 checker's table: when it was full and the checker off, null when it never was. */
  dmaDebug: { entries: number; fullAfter: number | null; disabled: boolean };
  innocent: Innocent | null;
}

/** An i915 and a network card on one machine, and the work they do. */
class Desk {
  readonly machine: Machine;
  readonly gpu: I915Device;
  readonly nic: DmaDevice;
  readonly contexts: Context[];
  readonly #random: Random;
  readonly #bytes = new Uint8Array(16);

  constructor(kernel: KernelName, { driver, seed }: ScenarioOptions, bits?: number) {
    this.machine = new Machine({ kernel, ram: { size: '256MiB', fragmentation: 1 }, seed });
    this.gpu = this.machine.addI915({ gen: 8, ppgtt: 'full', driver });
    if (bits !== undefined) this.gpu.device.setMask(bits);
    this.nic = this.machine.addDevice({ name: '0000:00:19.0', driver: 'e1000e', maskBits: 64 });
    this.contexts = Array.from({ length: bits === undefined ? CONTEXTS : 1 }, () => this.gpu.createContext());
    this.#random = new Random(seed);
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
      if (random.oneIn(4)) {
        global.unbind();
        object.bind(this.gpu.ggtt);
      }
      const seen = this.gpu.read(vm, own.start + PAGE, this.#bytes.length);
      if (seen.some((byte, i) => byte !== this.#bytes[i])) throw new Error('the GPU read other bytes than were written');
    } finally {
      for (const vma of object.vmas) vma.unbind();
      object.release();
    }
    this.machine.clock.advance(OBJECT_MS);
  }

  /** The network card receives into a fresh page. */
  receive(): void {
    const { ram } = this.machine;
    const page = ram.alloc(1);
    const address = this.nic.mapPage(page[0], 0, PAGE, DMA_FROM_DEVICE);
    if (this.nic.mappingError(address)) throw new Error(`the network card cannot map: ${this.nic.reason}`);
    this.nic.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    ram.free(page);
  }

  /** An object in the GGTT and in a context: where its first page is for the GPU, then and when all is given back. */
  exhibit(): Exhibit {
    const object = this.gpu.createObject('64KiB');
    const name = `${object}`;
    object.pwrite(0, this.#bytes.fill(1));
    const global = object.bind(this.gpu.ggtt);
    const first = this.gpu.ggtt.dmaAddress(global.start);
    const own = object.bind(this.contexts[0].vm);
    const second = this.contexts[0].vm.dmaAddress(own.start);
    global.unbind();
    own.unbind();
    object.release();
    return { object: name, first, second, firstReachable: this.#reachable(first), secondReachable: this.#reachable(second) };
  }

  #reachable(address: number): boolean {
    try {
      this.gpu.device.read(address, 1);
      return true;
    } catch (error) {
      if (GemDmaError.is(error, 'EFAULT')) return false;
      throw error;
    }
  }

  /** Bytes below 4 GiB that the GPU's domain has not handed out. */
  freeIova(): number {
    const { domain } = this.gpu.device;
    return typeof domain === 'object' ? domain.freeBytes(2 ** 32) : 0;
  }

  /** The driver is done: contexts go, with their page tables and the mappings of those. */
  close(): void {
    for (const context of this.contexts) context.destroy();
    this.machine.clock.advance(1000);
  }
}
