import { GemDmaError } from '../../core/errors.js';
import type { DmaDevice } from '../../dma/device.js';
import type { Context } from '../../gem/context.js';
import type { I915Device } from '../../gem/device.js';
import type { GemObject } from '../../gem/object.js';
import type { MappingPolicy } from '../../gem/policy/policy.js';
import { Process } from '../../gem/process.js';
import { Machine } from '../../machine/machine.js';
import { Accounts } from './accounts.js';
import type { Contents } from './contents.js';
import { endMapping, type Mapping } from './dma-operations.js';
import { Entities } from './entities.js';
import { StressFailure } from './failure.js';
import type { StressConfig } from './profiles.js';
import { Weighted } from './random.js';
import type { StressWorld } from './runner.js';

/** A GEM object of the run, with what must be in it. */
export interface Bo {
  readonly object: GemObject;
  /** Shared by all objects that are the same memory (imports). */
  readonly contents: Contents;
  /** Where it lies in the process whose memory it is. */
  readonly userptr?: { readonly process: Process; readonly address: number };
}

/** The machine of a run with everything that operations name, and the model that it is compared with. */
export class World implements StressWorld {
  readonly config: StressConfig;
  readonly machine: Machine;
  readonly gpus: readonly I915Device[];
  readonly devices: readonly DmaDevice[];
  readonly objects = new Entities<Bo>();
  readonly contexts = new Entities<Context>();
  readonly mappings = new Entities<Mapping>();
  readonly process: Process;
  /** Sizes to draw, in pages. */
  readonly pages: Weighted<number>;
  readonly #accounts: Accounts;
  #ids = 0;

  /** @param policy in place of the driver preset's, for all GPUs */
  constructor(config: StressConfig, policy?: MappingPolicy) {
    this.config = config;
    this.pages = new Weighted(
      config.pages.map(([pages]) => pages),
      config.pages.map(([, weight]) => weight),
    );
    this.machine = new Machine(config.machine);
    this.gpus = config.gpus.map((options) => this.machine.addI915(policy ? { ...options, policy } : options));
    this.devices = config.devices.map((maskBits) => this.machine.addDevice({ maskBits }));
    this.process = new Process(this.machine.ram);
    this.#accounts = new Accounts(this);
  }

  /** An id that no operation of this run has had. */
  newId(): number {
    return ++this.#ids;
  }

  watch(): void {
    this.#accounts.watch();
  }

  check(): void {
    try {
      this.machine.check();
    } catch (error) {
      const { message } = error as Error;
      throw new StressFailure('structure', /subsystem (\d+)/.exec(message)?.[1] ?? 'machine', message);
    }
    this.#accounts.check();
  }

  teardown(): void {
    for (const [id, mapping] of this.mappings.entries()) {
      this.mappings.delete(id);
      endMapping(this, mapping);
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
    this.#accounts.empty();
  }

  /** What a progress bar shows. */
  gauges(): { objects: number; mappings: number; iovaUse: number; findings: number } {
    return {
      objects: this.objects.size,
      mappings: this.#accounts.mappings,
      iovaUse: this.#accounts.iovaUse,
      findings: this.#accounts.findings,
    };
  }

  /** Compares bytes that somebody read from an object with what must be there. */
  compare(who: 'cpu' | 'gpu', bo: Bo, offset: number, bytes: Uint8Array): void {
    const at = bo.contents.differs(offset, bytes);
    if (at < 0) return;
    const expected = bo.contents.byteAt(offset + at);
    throw new StressFailure(
      'contents',
      who,
      `the ${who.toUpperCase()} reads ${bytes[at]} at byte ${offset + at} of ${bo.object}, where ${expected} was written`,
      { subject: this.objects.entries().find(([, other]) => other === bo)?.[0] },
    );
  }

  /** Does something that writes to an object: if it fails half way, nobody knows what is in there. */
  writing(bo: Bo, write: () => void): void {
    try {
      write();
    } catch (error) {
      bo.contents.forget();
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
