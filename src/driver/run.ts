import { checkBoolean, checkBytes, checkObject, checkOptions, optionNames } from '../core/arguments.js';
import { checkInteger } from '../core/errors.js';
import type { MachineOptions } from '../machine/config.js';
import { BaseMachine } from '../machine/machine.js';
import { CDriver, DRIVER_OPTIONS, type DriverOptions, type FaultPoint } from './driver.js';
import type { DriverFinding } from './findings.js';
import { checkTest, type DriverTest, runScenario } from './scenario.js';

export interface RunOptions extends DriverOptions {
  /** The machine; everything has a default. RAM is 64 MiB unless said otherwise. */
  machine?: MachineOptions;
  /** Makes the n-th allocation fail. */
  nth?: number;
  /** Notes every point at which an allocation could fail. */
  survey?: boolean;
  /** Makes allocations fail at random, `rate` of 1,000. */
  random?: { seed: number; rate: number };
}

const RUN_OPTIONS = optionNames<RunOptions>({
  ...DRIVER_OPTIONS,
  ...{ machine: true, nth: true, survey: true, random: true },
});

export interface RunResult {
  findings: DriverFinding[];
  /** What the driver printed. */
  log: string[];
  probed: number;
  /** Allocations that could have failed, and where, with `survey`. */
  pointCount: number;
  points: FaultPoint[];
  /** The allocation that was made to fail. */
  struck: FaultPoint | null;
  /** Functions that nobody has. */
  missing: string[];
}

const DEFAULT_MACHINE: MachineOptions = { ram: '64MiB', memoryLimit: '256MiB' };

/** A machine for a driver: small, since it is made for each failure point anew. */
export function driverMachine(options: MachineOptions = {}): BaseMachine {
  return new BaseMachine({ ...DEFAULT_MACHINE, ...options });
}

/**
 * Runs a test with a driver, on a machine of its own.
 * @throws GemDmaError for a module that is no driver; what a model or a scenario throws
 * @example
 * const { wasm } = await buildDriver({ files: ['ring_nic.c'] });
 * const { findings } = runDriver(wasm, test);
 * expect(findings).toEqual([]);
 */
export function runDriver(wasm: Uint8Array, test: DriverTest, options: RunOptions = {}): RunResult {
  checkBytes('wasm', wasm);
  checkTest(test);
  checkOptions('options', options, RUN_OPTIONS);
  const { kasan, dmaBits } = options;
  if (options.machine !== undefined) checkObject('machine', options.machine);
  if (options.random !== undefined) checkOptions('random', options.random, ['seed', 'rate']);
  checkInteger('nth', options.nth ?? 0, 0, 0xffffffff);
  checkBoolean('survey', options.survey, false);
  const own: DriverOptions = { ...(kasan !== undefined && { kasan }), ...(dmaBits !== undefined && { dmaBits }) };
  const driver = new CDriver(driverMachine(options.machine), wasm, test.device, own);
  if (test.model) driver.model = test.model(driver.hardware);
  if (options.random) driver.armRandomFaults(options.random.seed, options.random.rate);
  else driver.armFault(options.nth ?? 0, options.survey ?? false);
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
