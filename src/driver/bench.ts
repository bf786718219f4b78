import { median } from 'simple-statistics';
import { checkBytes } from '../core/arguments.js';
import type { MachineOptions } from '../machine/config.js';
import { CDriver } from './driver.js';
import { driverMachine } from './run.js';
import { checkTest, type DriverTest, runScenario } from './scenario.js';

/**
 * Costs of a driver in C: map, mapping_error and unmap of a page from C and from the core's own code; loading; a whole test.
 */

/** One figure. */
export interface DriverBenchRow {
  /** What was timed, such as `map and unmap of a page`. */
  what: string;
  /** Nanoseconds for a page, called from C. */
  c: number;
  /** Nanoseconds for the same calls in the core's own code. */
  core: number;
  /** c / core: the median over rounds in which both were timed one after the other. */
  ratio: number;
}

/** What `benchDriver` has measured. */
export interface DriverBench {
  /** Calls of the DMA API, one row each. */
  rows: DriverBenchRow[];
  /** Milliseconds for a machine with the driver loaded. */
  load: number;
  /** Milliseconds for the test. */
  test: number;
  /** The test's time over that of the same driver built without kasan, in rounds of both; absent without one. */
  kasan?: number;
}

const PAGES = 256;
const BATCH = 20;
const ROUNDS = 41;
const LOADS = 15;

const MACHINES: readonly [string, MachineOptions][] = [
  ['direct', { iommu: 'off', dmaDebug: false }],
  ['direct, dma-debug', { iommu: 'off' }],
  ['strict', { iommu: 'strict', dmaDebug: false }],
  ['strict, dma-debug', { iommu: 'strict' }],
];

/**
 * Times a driver.
 * @param plain the same driver, built without kasan
 * @throws TypeError if the argument is not a module; TestThrew
 */
export function benchDriver(wasm: Uint8Array, test: DriverTest, plain?: Uint8Array): DriverBench {
  checkBytes('wasm', wasm);
  checkTest(test);
  if (plain !== undefined) checkBytes('plain', plain);
  const rows = MACHINES.map(([what, machine]) => row(what, wasm, test, machine));
  const load = median(
    Array.from({ length: LOADS }, () => timed(() => new CDriver(driverMachine(), wasm, test.device))),
  );
  const whole = Array.from({ length: LOADS }, () => scenario(wasm, test));
  const result = { rows, load, test: median(whole) };
  if (plain === undefined) return result;
  const pairs = Array.from({ length: ROUNDS }, () => scenario(wasm, test) / scenario(plain, test));
  return { ...result, kasan: median(pairs) };
}

function scenario(wasm: Uint8Array, test: DriverTest): number {
  const driver = new CDriver(driverMachine(), wasm, test.device);
  if (test.model) driver.model = test.model(driver.hardware);
  return timed(() => runScenario(driver, test));
}

function row(what: string, wasm: Uint8Array, test: DriverTest, machine: MachineOptions): DriverBenchRow {
  const driver = new CDriver(driverMachine(machine), wasm, test.device, { kasan: false });
  driver.call('gd_bench_prepare', PAGES);
  for (let i = 0; i < 20; ++i) for (const from of ['c', 'core'] as const) driver.time(from, PAGES, BATCH);
  const pairs = Array.from({ length: ROUNDS }, () => [
    driver.time('c', PAGES, BATCH),
    driver.time('core', PAGES, BATCH),
  ]);
  return {
    what,
    c: median(pairs.map(([c]) => c)),
    core: median(pairs.map(([, core]) => core)),
    ratio: median(pairs.map(([c, core]) => c / core)),
  };
}

function timed(act: () => unknown): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}
