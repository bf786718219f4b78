import { checkObject, LONG_CALL, optionNames } from '../core/arguments.js';
import { checkInteger } from '../core/errors.js';
import type { LongCallOptions } from '../core/slices.js';
import { DEFAULT_KERNEL, KERNEL_NAMES } from '../kernels/kernels.js';
import type { MachineOptions } from '../machine/config.js';
import { type DriverFinding, findingKey } from './findings.js';
import { checkRunnerOptions, PointRunner, RUNNER_OPTIONS, type RunnerOptions } from './point-runner.js';

/**
 * Runs a test many times, each round on another machine with allocations that fail at random, several per run, as under memory
 * pressure. The seed determines a round.
 */

export interface DriverStressOptions extends RunnerOptions, LongCallOptions {
  /** Seed of the first round; each next one is one more. Default 1. */
  seed?: number;
  /** Default 100. */
  rounds?: number;
}

const STRESS_OPTIONS = optionNames<DriverStressOptions>({ ...RUNNER_OPTIONS, ...LONG_CALL, seed: true, rounds: true });

/** A finding, and the round that shows it. */
export interface StressFinding {
  /** What the driver did wrong. */
  finding: DriverFinding;
  /** Seed of the first round that led to it. */
  seed: number;
  /** In how many rounds it was found. */
  rounds: number;
}

/** What came of many rounds. */
export interface DriverStressResult {
  /** Bits of the driver's dma_addr_t. */
  dmaBits: 32 | 64;
  /** Seed of the first round; each next round has one more. */
  seed: number;
  /** Rounds that were run; fewer than asked for when the signal was aborted. */
  rounds: number;
  /** Each finding once, in the order in which they were found. */
  findings: StressFinding[];
  /** Only when the signal was aborted: fewer rounds were run than asked for. */
  interrupted?: true;
}

/** What a seed makes of a run: the machine, and how many of 1,000 allocations fail. */
export interface StressRound {
  /** Options of the machine. */
  machine: MachineOptions;
  /** Which allocations fail. */
  random: {
    /** The round's seed. */
    seed: number;
    /** Of 1,000 allocations so many fail. */
    rate: number;
  };
}

const MODES: readonly MachineOptions[] = [
  { iommu: 'strict' },
  { iommu: 'lazy' },
  { iommu: 'off' },
  { iommu: 'off', swiotlb: { force: true } },
  ...KERNEL_NAMES.filter((kernel) => kernel !== DEFAULT_KERNEL).map((kernel) => ({ iommu: 'strict', kernel }) as const),
];
const RATES = [0, 1, 5, 20, 100];
const FRAGMENTATION = [0, 0.5, 1];

/** The round of a seed. Options of the caller's machine are kept. */
export function stressRound(seed: number, machine: MachineOptions = {}): StressRound {
  checkInteger('seed', seed, 0, Number.MAX_SAFE_INTEGER);
  checkObject('machine', machine);
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1;
  const pick = <T>(from: readonly T[]): T => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return from[(state >>> 0) % from.length];
  };
  const ram = { size: '64MiB', fragmentation: pick(FRAGMENTATION) };
  return { machine: { seed, ram, ...pick(MODES), ...machine }, random: { seed, rate: pick(RATES) } };
}

/**
 * Runs a test many times.
 * @param wasm what buildDriver gave
 * @param test URL or path of the test's module
 * @throws TestThrew; GemDmaError if the module is not a driver
 */
export async function driverStress(
  wasm: Uint8Array,
  test:
    | string
    | {
        /** A URL, such as `new URL('nic.test.mjs', import.meta.url)`. */
        readonly href: string;
      },
  options: DriverStressOptions = {},
): Promise<DriverStressResult> {
  options = checkRunnerOptions(options, STRESS_OPTIONS);
  const { dmaBits = 64, seed = 1, rounds = 100, signal } = options;
  checkInteger('seed', seed, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('rounds', rounds, 1, Number.MAX_SAFE_INTEGER);
  const runner = new PointRunner(wasm, test, options);
  const findings = new Map<string, StressFinding>();
  let done = 0;
  try {
    for (; done < rounds && !signal?.aborted; ++done) {
      const at = seed + done;
      const result = await runner.run(stressRound(at, options.machine), options.timeLimit);
      if (signal?.aborted) break;
      for (const finding of result === null ? [runner.hang(null)] : result.findings) {
        const key = findingKey(finding);
        const before = findings.get(key);
        if (before) ++before.rounds;
        else findings.set(key, { finding, seed: at, rounds: 1 });
      }
      options.onProgress?.({ done: done + 1, total: rounds, what: `seed ${at}` });
    }
  } finally {
    await runner.close();
  }
  const interrupted = signal?.aborted ? ({ interrupted: true } as const) : {};
  return { dmaBits, seed, rounds: done, findings: [...findings.values()], ...interrupted };
}
