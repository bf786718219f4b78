import { checkOptions } from '../../core/arguments.js';
import { badValue, invalidType } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { DMA_MAPPING_ERROR } from '../../dma/transfer.js';
import { ALLOCATOR_NAMES, ALLOCATORS, type AllocatorName } from '../../iova/allocators.js';
import { KERNEL_NAMES, type KernelName } from '../../kernels/kernels.js';
import type { MachineOptions } from '../../machine/config.js';
import { type InferredSpace, infer } from './infer.js';
import { OP, Operations } from './operations.js';
import { ReplayRun, type RunObserver } from './run.js';
import { rangesOf, searchStart, searchSteps } from './search.js';

/**
 * A trace's calls under other configurations: failures and costs. Each run starts with an empty address space, and makes the mappings
 * that were live at the start of the trace first.
 */

export type WhatIfMode = 'strict' | 'lazy' | 'off' | 'swiotlb';

/** A configuration to try. What is left out is as recorded, or the default of the kernel. */
export interface WhatIfOptions {
  /** `strict`, `lazy`, `off` without IOMMU, `swiotlb` with every mapping bounced. */
  mode?: WhatIfMode;
  /** IOVA allocator. */
  allocator?: AllocatorName;
  /** The kernel whose DMA stack is emulated. */
  kernel?: KernelName;
  /** Bits of address that every device has, 12 to 64. */
  mask?: number;
  /** pfns of a magazine, 1 to 127. */
  magazine?: number;
  /** Places of a CPU's flush queue, 2 to 65,536. */
  queue?: number;
  /** Milliseconds after which the flush queue is flushed in any case, 1 to 1,000,000. */
  timeout?: number;
  /** Bytes of the bounce pool, 256 KiB to 1 GiB. */
  swiotlb?: number;
}

/** What a configuration would have done with the trace's calls. */
export interface WhatIfResult {
  /** The configuration, as it was given. */
  options: WhatIfOptions;
  /** Calls that map. */
  maps: number;
  /** Of these, calls that failed. */
  failures: number;
  /** Seconds of trace time; null without a failure. */
  firstFailure: number | null;
  /** Failed calls by the reason, such as `IOVA_FULL`. */
  reasons: Record<string, number>;
  /** Invalidations of the IOTLB. */
  invalidations: {
    /** Of single ranges. */
    page: number;
    /** Of a domain's whole IOTLB. */
    domain: number;
  };
  /** Most pages that tables took. */
  tablePages: number;
  /** Smallest that the largest hole below 4 GiB (or the mask) ever was, in bytes; null without translation. */
  largestHole: number | null;
  /** Most bytes of the bounce pool in use; null without one. */
  bounceHighWater: number | null;
  /** Bytes copied into and out of the bounce pool. */
  bouncedBytes: number;
  /** Ranges that were unmapped and not yet flushed, so that the device still reached them; null unless lazy. */
  stale: {
    /** How many. */
    ranges: number;
    /** How long, on average. */
    meanMilliseconds: number;
    /** How long at most. */
    maxMilliseconds: number;
    /** Most of them at one time. */
    most: number;
  } | null;
  /**
   * Allocations that reached the tree, and the nodes that the kernel's linear search visits for them; null for an allocator
   * that is not the kernel's.
   */
  search: {
    /** Allocations that reached the tree. */
    allocations: number;
    /** Nodes that a search visits on average. */
    meanSteps: number;
    /** Nodes that the longest search visits. */
    maxSteps: number;
  } | null;
}

const KEYS: Record<keyof WhatIfOptions, (value: string) => string | number> = {
  mode: oneOf('mode', ['strict', 'lazy', 'off', 'swiotlb']),
  allocator: oneOf('allocator', [...ALLOCATOR_NAMES]),
  kernel: oneOf('kernel', [...KERNEL_NAMES]),
  mask: integer('mask', 12, 64),
  magazine: integer('magazine', 1, 127),
  queue: integer('queue', 2, 65536),
  timeout: integer('timeout', 1, 1e6),
  swiotlb: size('swiotlb'),
};

/**
 * Reads `mode=lazy,mask=32`; '' is the configuration that was recorded.
 * @throws TypeError naming the part at fault
 */
export function parseWhatIf(text: string): WhatIfOptions {
  if (typeof text !== 'string') throw invalidType('text', 'of type string', text);
  const options: Record<string, string | number> = {};
  for (const part of text.split(',').filter((it) => it.trim() !== '')) {
    const [key, value] = part.split('=', 2).map((it) => it.trim());
    const read = Object.hasOwn(KEYS, key) ? KEYS[key as keyof WhatIfOptions] : undefined;
    if (read === undefined) throw badValue(`'${key}' is none of ${Object.keys(KEYS).join(', ')}`);
    if (value === undefined || value === '') throw badValue(`${key} needs a value: ${key}=...`);
    options[key] = read(value);
  }
  return options;
}

function oneOf(name: string, values: readonly string[]): (value: string) => string {
  return (value) => {
    if (!values.includes(value)) throw badValue(`${name} is one of ${values.join(', ')}, not '${value}'`);
    return value;
  };
}

function integer(name: string, least: number, most: number): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least && number <= most)) {
      throw badValue(`${name} takes a whole number from ${least} to ${most}, not '${value}'`);
    }
    return number;
  };
}

function size(name: string): (value: string) => number {
  return (value) => {
    const match = /^(\d+)(k|KiB|M|MiB|G|GiB)?$/.exec(value);
    const scale = { k: 1024, M: 1024 ** 2, G: 1024 ** 3 }[match?.[2]?.[0].replace('K', 'k') ?? ''] ?? 1;
    const bytes = match ? Number(match[1]) * scale : Number.NaN;
    if (!(bytes >= 256 * 1024 && bytes <= 1024 ** 3)) {
      throw badValue(`${name} takes a size from 256KiB to 1GiB, not '${value}'`);
    }
    return bytes;
  };
}

/** Calls between two looks at the larger figures. */
const SAMPLE = 64;
const TOP_32BIT = 0x100000;

/** @internal The options as plain values. @throws TypeError naming the part at fault */
export function checkWhatIf(options: WhatIfOptions): WhatIfOptions {
  const plain = checkOptions('options', options, Object.keys(KEYS));
  for (const [key, value] of Object.entries(plain)) {
    if (typeof value !== 'string' && typeof value !== 'number') throw invalidType(key, 'a string or a number', value);
    KEYS[key as keyof WhatIfOptions](String(value));
  }
  return plain;
}

/** Runs the calls under a configuration. What `options` leaves open is as recorded, or the default of the kernel. */
export function whatIf(operations: Operations, options: WhatIfOptions = {}): WhatIfResult {
  options = checkWhatIf(options);
  Operations.check(operations);
  const order = operations.order();
  const spaces = infer(operations, order);
  const translated =
    options.mode === undefined
      ? spaces.some(({ translation }) => translation === 'iommu')
      : options.mode === 'strict' || options.mode === 'lazy';
  const mode = options.mode ?? (translated ? 'strict' : 'off');
  const asked = spaces.map((space): InferredSpace => ({ ...space, translation: translated ? 'iommu' : 'direct' }));
  const run = new ReplayRun(operations, asked, machineOptions(operations, options, mode));
  for (const device of run.devices) if (options.mask !== undefined) device?.setMask(options.mask);
  const watch = new Watch(operations, run, options, mode);
  for (const space of spaces) run.beginAnywhere(space);
  watch.start();
  for (const call of order) if (operations.op[call] !== OP.FLUSH && operations.op[call] !== 0) run.step(call, watch);
  return watch.result();
}

function machineOptions(o: Operations, options: WhatIfOptions, mode: WhatIfMode): MachineOptions {
  const { kernel, allocator, magazine, queue, timeout } = options;
  let most = 64 * 1024 ** 2;
  for (let call = 0; call < o.length; ++call) {
    if (o.op[call] === OP.MAP && o.physical[call] > 0) most = Math.max(most, o.physical[call] + o.size[call]);
  }
  const bounces = mode === 'swiotlb' || mode === 'off';
  const pool = options.swiotlb ?? 64 * 1024 ** 2;
  return {
    ...(kernel !== undefined && { kernel }),
    ram: bounces ? Math.min(256 * 1024 ** 3, Math.ceil((most + pool) / 2 ** 20 + 1) * 2 ** 20) : '64MiB',
    iommu: {
      mode: mode === 'swiotlb' ? 'off' : mode,
      ...(allocator !== undefined && { allocator }),
      ...(magazine !== undefined && { magazine }),
      flushQueue: {
        ...(queue !== undefined && { entries: queue }),
        ...(timeout !== undefined && { milliseconds: timeout }),
      },
    },
    swiotlb: bounces ? { size: pool, force: mode === 'swiotlb' } : false,
  };
}

/** What is noted while a configuration runs. */
class Watch implements RunObserver {
  private readonly o: Operations;
  private readonly run: ReplayRun;
  private readonly options: WhatIfOptions;
  private readonly mode: WhatIfMode;
  private readonly domains: DmaDomain[];
  private maps = 0;
  private failures = 0;
  private firstFailure: number | null = null;
  private readonly reasons: Record<string, number> = {};
  private tablePages = 0;
  private largestHole = Number.POSITIVE_INFINITY;
  private calls = 0;
  private started = { page: 0, domain: 0 };
  /** Bytes bounced before the trace's own calls. */
  private bounced = 0;
  /** Times at which ranges that wait were unmapped, by domain; and its flushes so far. */
  private readonly waiting = new Map<DmaDomain, { times: number[]; flushes: number }>();
  private stale = { ranges: 0, total: 0, max: 0, most: 0 };
  private search = { allocations: 0, steps: 0, max: 0 };
  private earlier = { ranges: 0, start: 0 };

  constructor(o: Operations, run: ReplayRun, options: WhatIfOptions, mode: WhatIfMode) {
    this.o = o;
    this.run = run;
    this.options = options;
    this.mode = mode;
    const all = run.devices.map((device) => device?.domain).filter((it) => it instanceof DmaDomain);
    this.domains = [...new Set(all)];
    for (const domain of this.domains) this.waiting.set(domain, { times: [], flushes: 0 });
  }

  /** The trace's own calls begin. */
  start(): void {
    const { page, domain } = this.run.machine.iommu.iotlb.invalidations;
    this.started = { page, domain };
    const pool = this.run.machine.swiotlb?.stats;
    this.bounced = pool ? pool.bytesIn + pool.bytesOut : 0;
  }

  private domainOf(call: number): DmaDomain | undefined {
    const domain = this.run.devices[this.o.device[call]]?.domain;
    return domain instanceof DmaDomain ? domain : undefined;
  }

  before(call: number): void {
    const domain = this.domainOf(call);
    if (domain === undefined) return;
    this.noteFlushes(domain, call);
    this.earlier = { ranges: rangesOf(domain), start: searchStart(domain) };
  }

  mapped(call: number, address: number): void {
    ++this.maps;
    const domain = this.domainOf(call);
    if (address === DMA_MAPPING_ERROR) {
      ++this.failures;
      this.firstFailure ??= this.o.time[call] / 1e9;
      const reason = this.run.devices[this.o.device[call]]?.reason ?? 'UNKNOWN';
      this.reasons[reason] = (this.reasons[reason] ?? 0) + 1;
    } else if (domain !== undefined && rangesOf(domain) > this.earlier.ranges) {
      this.noteSearch(domain, address);
    }
    this.sample();
  }

  private noteSearch(domain: DmaDomain, address: number): void {
    const steps = searchSteps(domain, this.earlier.start, Math.floor(address / PAGE_SIZE));
    ++this.search.allocations;
    this.search.steps += steps;
    this.search.max = Math.max(this.search.max, steps);
  }

  unmapped(call: number): void {
    const domain = this.domainOf(call);
    if (domain === undefined || !domain.lazy) return;
    const { times } = this.waiting.get(domain)!;
    times.push(this.o.time[call]);
    this.stale.most = Math.max(this.stale.most, times.length);
    this.noteFlushes(domain, call);
  }

  private noteFlushes(domain: DmaDomain, call: number): void {
    if (!domain.lazy) return;
    const waiting = this.waiting.get(domain)!;
    const { full, timer } = domain.flushes;
    if (full + timer === waiting.flushes || waiting.times.length === 0) {
      waiting.flushes = full + timer;
      return;
    }
    waiting.flushes = full + timer;
    // The first waiting range armed the timer; a full ring is flushed at once.
    const timeout = (this.options.timeout ?? 10) * 1e6;
    const now = Math.min(this.o.time[call], waiting.times[0] + timeout);
    for (const time of waiting.times.splice(0)) {
      const age = Math.max(0, now - time) / 1e6;
      ++this.stale.ranges;
      this.stale.total += age;
      this.stale.max = Math.max(this.stale.max, age);
    }
  }

  private sample(): void {
    if (++this.calls % SAMPLE !== 1 || this.domains.length === 0) return;
    const { machine } = this.run;
    this.tablePages = Math.max(this.tablePages, machine.iommu.stats.tablePages);
    const limit = this.options.mask === undefined ? TOP_32BIT - 1 : 2 ** Math.min(40, this.options.mask - 12) - 1;
    for (const domain of this.domains) {
      this.largestHole = Math.min(this.largestHole, domain.iovaStats(limit).largestGap * PAGE_SIZE);
    }
  }

  result(): WhatIfResult {
    const { machine } = this.run;
    const { page, domain } = machine.iommu.iotlb.invalidations;
    const { stale, search } = this;
    const kernels = !ALLOCATORS[this.run.machine.config.iommu.allocator].spans && this.domains.length > 0;
    const pool = machine.swiotlb?.stats;
    return {
      ...{ options: this.options, maps: this.maps, failures: this.failures, firstFailure: this.firstFailure },
      ...{ reasons: this.reasons, tablePages: this.tablePages },
      invalidations: { page: page - this.started.page, domain: domain - this.started.domain },
      largestHole: this.domains.length > 0 ? this.largestHole : null,
      ...{
        bounceHighWater: pool ? pool.highWater * 2048 : null,
        bouncedBytes: pool ? pool.bytesIn + pool.bytesOut - this.bounced : 0,
      },
      stale:
        this.mode === 'lazy'
          ? {
              ...{ ranges: stale.ranges, meanMilliseconds: stale.ranges === 0 ? 0 : stale.total / stale.ranges },
              ...{ maxMilliseconds: stale.max, most: stale.most },
            }
          : null,
      search: kernels
        ? {
            allocations: search.allocations,
            meanSteps: search.allocations === 0 ? 0 : search.steps / search.allocations,
            maxSteps: search.max,
          }
        : null,
    };
  }
}
