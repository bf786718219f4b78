import { GemDmaError } from '../../../core/errors.js';
import { FAULTS, type FaultKind } from '../../../core/faults.js';
import type { DmaDevice } from '../../../dma/device.js';
import { Process } from '../../../drm/process.js';
import { PhysBacking } from '../../../i915/backing/phys.js';
import type { GpuContext } from '../../../i915/context.js';
import type { I915Device } from '../../../i915/device.js';
import { i915Driver } from '../../../i915/driver.js';
import type { GemObject } from '../../../i915/object.js';
import type { MappingPolicy } from '../../../i915/policy/policy.js';
import { Machine } from '../../../machine/machine.js';
import { newPolicy, type PolicySource } from '../config/policy.js';
import type { StressConfig } from '../config/profiles.js';

import { Entities } from '../engine/entities.js';
import { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import { Weighted } from '../engine/random.js';
import type { StressWorld } from '../engine/runner.js';
import { Accounts } from './accounts.js';
import type { Contents } from './contents.js';
import { endMapping, type Mapping } from './mappings.js';

/** A GEM object of the run, with what must be in it. */
export interface Bo {
  readonly object: GemObject;
  /** Shared by all objects that are the same memory (imports). */
  readonly contents: Contents;
  /** Where it lies in the process whose memory it is. */
  readonly userptr?: { readonly process: Process; readonly address: number };
}

/** The world at one moment, object by object and layer by layer. */
export interface WorldState {
  readonly objects: readonly {
    id: number;
    pages: boolean;
    pinned: number;
    madv: number;
    held: number;
    live: number;
    bound: readonly number[];
  }[];
  readonly [layer: string]: unknown;
}

/** The machine of a run with everything that operations name, and the model that it is compared with. */
export class World implements StressWorld {
  readonly config: StressConfig;
  readonly machine: Machine;
  readonly gpus: readonly I915Device[];
  readonly devices: readonly DmaDevice[];
  readonly objects = new Entities<Bo>();
  readonly contexts = new Entities<GpuContext>();
  readonly mappings = new Entities<Mapping>();
  readonly process: Process;
  /** Sizes to draw, in pages. */
  readonly pages: Weighted<number>;
  readonly #policy: PolicySource | undefined;
  private readonly accounts: Accounts;
  private ids = 0;

  /** @param policy in place of the driver preset's, for all GPUs */
  constructor(config: StressConfig, policy?: PolicySource) {
    this.config = config;
    this.#policy = policy;
    this.pages = new Weighted(
      config.pages.map(([pages]) => pages),
      config.pages.map(([, weight]) => weight),
    );
    this.machine = new Machine(config.machine);
    this.gpus = config.gpus.map((options) =>
      this.machine.addDriver(i915Driver, policy ? { ...options, policy: newPolicy(policy) } : options),
    );
    this.devices = config.devices.map((maskBits) => this.machine.addDevice({ maskBits }));
    this.process = new Process(this.machine.ram);
    this.accounts = new Accounts(this);
  }

  /**
   * Gives every GPU a new policy where somebody's own can be made anew. For a world back at its beginning, in which no
   * policy has been asked anything about an object: what the ones before kept in closures is gone.
   */
  renewPolicies(): void {
    if (typeof this.#policy !== 'function') return;
    for (const gpu of this.gpus) (gpu as { policy: MappingPolicy }).policy = this.#policy();
  }

  /** An id that no operation of this run has had. */
  newId(): number {
    return ++this.ids;
  }

  watch(): void {
    this.accounts.watch();
  }

  check(): void {
    try {
      this.machine.check();
    } catch (error) {
      const { message } = error as Error;
      throw new StressFailure('structure', /subsystem (\d+)/.exec(message)?.[1] ?? 'machine', message);
    }
    this.accounts.check();
  }

  teardown(): void {
    for (const [id, mapping] of this.mappings.entries()) {
      // Ending a range ends what is linked in it.
      if (this.mappings.delete(id)) endMapping(this, mapping);
    }
    for (const gpu of this.gpus) gpu.idle();
    for (const [id, { object, userptr }] of this.objects.entries()) {
      this.objects.delete(id);
      object.release();
      if (userptr) userptr.process.munmap(userptr.address, object.size);
    }
    for (const [id, context] of this.contexts.entries()) {
      this.contexts.delete(id);
      context.release();
    }
    // Longer than any timer of the machine: flush queues and depots are empty afterwards.
    this.machine.clock.advance(1000);
    this.watch();
    this.check();
    this.accounts.empty();
  }

  /** What a progress bar shows. */
  gauges(): { objects: number; mappings: number; iovaUse: number; findings: number } {
    return {
      objects: this.objects.size,
      mappings: this.accounts.mappings,
      iovaUse: this.accounts.iovaUse,
      findings: this.accounts.findings,
    };
  }

  /** Allocations of a kind that were made to fail so far. */
  faultsStruck(kind: FaultKind): number {
    return this.machine.core.tools.faultCount(this.machine.context, FAULTS[kind]);
  }

  /** What an operation that was refused must leave as it was, as plain values. */
  state(): WorldState {
    const objects = this.objects.entries().map(([id, { object }]) => {
      const { pages, pagesPinCount: pinned, madv, refcount, active, maps, unmaps } = object;
      const bound = object.vmas.filter(({ node }) => node !== 0).map((vma) => vma.id);
      // A batch that the GPU is done with drops its references, which waiting for it may bring about at any time.
      const held = refcount - active;
      return { id, pages: pages !== 0, pinned, madv, held, live: maps - unmaps, bound };
    });
    return { ...this.accounts.state(), objects, contexts: this.contexts.size, mapped: this.mappings.size };
  }

  /**
   * Takes back what the kernel, too, leaves behind of a bind or a batch that was refused in the end: objects bound on
   * the way stay bound, and pages that were got stay where they are. A batch has unbound what must move before it knows
   * whether there is another place.
   */
  rewind({ objects }: WorldState, { op }: Operation): void {
    // Importers before what they borrow from, which was there first.
    for (const { id, pages, bound } of [...objects].reverse()) {
      const object = this.objects.get(id)?.object;
      if (!object) continue;
      for (const vma of object.vmas) {
        if (vma.node !== 0 && !bound.includes(vma.id)) vma.unbind();
        if (vma.node === 0 && bound.includes(vma.id) && op === 'exec') object.bind(vma.vm);
      }
      if (!pages && object.pages !== 0) object.putPages();
    }
  }

  /** Compares bytes that somebody read from an object with what must be there. */
  compare(who: 'cpu' | 'gpu', bo: Bo, offset: number, bytes: Uint8Array): void {
    const at = bo.contents.differs(offset, bytes);
    if (at < 0 || contentsLost(bo.object)) return;
    const expected = bo.contents.byteAt(offset + at);
    throw new StressFailure(
      'contents',
      who,
      `the ${who.toUpperCase()} reads ${bytes[at]} at byte ${offset + at} of ${bo.object}, where ${expected} was written`,
      { subject: this.objects.entries().find(([, other]) => other === bo)?.[0], index: at, expected },
    );
  }

  /** Does something that writes to an object: if it fails half way, nobody knows what is in there. EINVAL is said before. */
  writing(bo: Bo, write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!GemDmaError.is(error, 'EINVAL')) bo.contents.forget();
      throw error;
    }
  }

  /** Does a device's access that must not fault: there is a mapping, and it is live. */
  accessing(access: () => void): void {
    try {
      access();
    } catch (error) {
      if (GemDmaError.is(error, 'EFAULT')) throw new StressFailure('fault', 'access', (error as Error).message);
      throw error;
    }
  }
}

/** Whether the driver lost contents that it could not write back, as the kernel does. */
function contentsLost({ backing }: GemObject): boolean {
  return backing instanceof PhysBacking && backing.lost;
}
