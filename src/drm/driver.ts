import type { ContextHandle } from '../core/generated/exports.js';
import type { Core } from '../core/instance.js';
import type { PhysicalMemory } from '../core/physical-memory.js';
import type { DmaDevice } from '../dma/device.js';
import type { DeviceOptions } from '../dma/device-options.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import type { EventLog } from '../events/events.js';
import type { Reclaim } from './reclaim.js';

/**
 * The seam between a machine and the drivers of its devices that are written in TypeScript (struct pci_driver). A machine has
 * no list of drivers: it takes one with `machine.addDriver(driver, options)`, keeps what `probe` returns, and copies and
 * restores it with its own state.
 */
export interface DeviceDriver<Options, Instance extends object> {
  /** Name of the driver, for dma-debug's driver filter. */
  readonly name: string;
  /** What the hardware can do, in what the DMA API needs when the device is added. */
  readonly limits?: Pick<DeviceOptions, 'maskBits' | 'coherentMaskBits' | 'maxSegment' | 'segmentBoundaryBits'>;

  /**
   * Checks the options, before there is a device.
   * @returns the options as read, which `probe` then gets: a caller's getter runs once. Without `check`, `probe` gets the caller's object
   * @throws TypeError or RangeError naming the option at fault
   */
  check?(options: Options, host: DriverHost): Options | undefined;

  /**
   * Takes a device. Its fields must be visible properties (TypeScript's `private`, not #fields): a snapshot of the machine
   * follows them.
   * @throws GemDmaError; then everything it made is given back, and the machine removes the device
   */
  probe(host: DriverHost, device: DmaDevice, options: Options): Instance;

  /** A caller's objects that the driver calls, such as a mapping policy: a snapshot includes their state. */
  callbacks?(instance: Instance): readonly object[];
}

/** What a driver finds in the machine that it runs in. A Machine is one. */
export interface DriverHost {
  /** @internal */
  readonly core: Core;
  /** Handle of the core's context. @internal */
  readonly context: ContextHandle;
  /** Virtual time. */
  readonly clock: DriverClock;
  /** Emulated physical memory. */
  readonly ram: PhysicalMemory;
  /** Memory pressure: drivers register their shrinkers. @internal */
  readonly reclaim: Reclaim;
  /** Records what the driver does while it is switched on. */
  readonly events: EventLog;
  /** dma-debug, null where it is off. @internal */
  readonly dmaDebugOrNull: DmaDebug | null;
  /** Whether an IOMMU translates what new devices access. @internal */
  readonly translates: boolean;
  /** Whether the machine has a bounce pool. @internal */
  readonly bounces: boolean;
  /** What the machine's kernel has. */
  readonly kernel: {
    /** Its range manager (drm_mm). `2015`: a stack of holes; `modern`: trees of holes by size and by address. */
    readonly drmMm: '2015' | 'modern';
    /** Whether a mask is checked by its width alone, as on x86 before 4.17. */
    readonly checksMasks: boolean;
  };
}

/** The part of the virtual clock that deferred work needs. Milliseconds. */
export interface DriverClock {
  /** Virtual time in milliseconds since the machine was made. */
  readonly now: number;
  /**
   * Runs a function after `delay` milliseconds of virtual time.
   * @returns a function that cancels it; false when it has run
   */
  schedule(delay: number, run: () => void): () => boolean;
  /** Runs what is due now. */
  run(): void;
  /** Lets milliseconds pass, for a call that waits. */
  advance(milliseconds: number): void;
}
