import { checkBoolean, checkBytes, checkObject, checkOptions, optionNames } from '../core/arguments.js';
import { checkInteger } from '../core/errors.js';
import type { MachineOptions } from '../machine/config.js';
import { BaseMachine } from '../machine/machine.js';
import { CDriver, DRIVER_OPTIONS, type DriverOptions, type FaultPoint } from './driver.js';
import type { DriverFinding } from './findings.js';
import { checkTest, type DriverTest, runScenario } from './scenario.js';

/** Options of one run of a driver's test. */
export interface RunOptions extends DriverOptions {
  /** The machine; everything has a default. RAM is 64 MiB unless said otherwise. */
  machine?: MachineOptions;
  /** Makes the n-th allocation fail. */
  nth?: number;
  /** Notes every point at which an allocation could fail. */
  survey?: boolean;
  /** Makes allocations fail at random. */
  random?: {
    /** Decides which. */
    seed: number;
    /** Of 1,000 allocations so many fail, 0 to 1,000. */
    rate: number;
  };
}

const RUN_OPTIONS = optionNames<RunOptions>({
  ...DRIVER_OPTIONS,
  ...{ machine: true, nth: true, survey: true, random: true },
});

/** What came of one run. */
export interface RunResult {
  /** What the driver did wrong; empty when nothing was found. */
  findings: DriverFinding[];
  /** What the driver printed. */
  log: string[];
  /** What probe returned: 0, or a negative errno. */
  probed: number;
  /** Allocations that could have failed. */
  pointCount: number;
  /** Where these are; only with `survey`. */
  points: FaultPoint[];
  /** The allocation that was made to fail. */
  struck: FaultPoint | null;
  /** Functions that the driver calls and neither runtime nor driver has. */
  missing: string[];
}

/** What holds for options that a caller does not give. */
export const DRIVER_MACHINE: MachineOptions = { ram: '64MiB', memoryLimit: '256MiB' };

/** A machine for a driver: small, since it is made for each failure point anew. */
export function driverMachine(options: MachineOptions = {}): BaseMachine {
  return new BaseMachine({ ...DRIVER_MACHINE, ...options });
}

/**
 * Runs a test with a driver, on a machine of its own.
 * @throws GemDmaError if the module is not a driver; what a model or a scenario throws
 * @example
 * const { wasm } = await buildDriver({ files: ['ring_nic.c'] });
 * const { findings } = runDriver(wasm, test);
 * expect(findings).toEqual([]);
 */
export function runDriver(wasm: Uint8Array, test: DriverTest, options: RunOptions = {}): RunResult {
  checkBytes('wasm', wasm);
  checkTest(test);
  const { kasan, dmaBits, machine, random, nth = 0, survey } = checkOptions('options', options, RUN_OPTIONS);
  if (machine !== undefined) checkObject('machine', machine);
  const chance = random === undefined ? undefined : checkOptions('random', random, ['seed', 'rate']);
  checkInteger('nth', nth, 0, 0xffffffff);
  const surveyed = checkBoolean('survey', survey, false);
  const own: DriverOptions = { ...(kasan !== undefined && { kasan }), ...(dmaBits !== undefined && { dmaBits }) };
  const driver = new CDriver(driverMachine(machine), wasm, test.device, own);
  if (test.model) driver.model = test.model(driver.hardware);
  if (chance !== undefined) driver.armRandomFaults(chance.seed, chance.rate);
  else driver.armFault(nth, surveyed);
  const { probed } = runScenario(driver, test);
  return {
    findings: driver.findings.list,
    log: driver.log,
    probed,
    pointCount: driver.faultCount,
    points: driver.points,
    struck: driver.struck,
    missing: [...driver.missing],
  };
}
