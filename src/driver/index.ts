/** gemdma/driver: C drivers under dma-debug. For Node. */

export { benchDriver, type DriverBench, type DriverBenchRow } from './bench.js';
export { type BuildOptions, type BuiltDriver, buildDriver } from './build.js';
export type { CompilerChoice } from './compiler-choice.js';
export type { DeviceDescription, DeviceModel, ModelDevice } from './device-model.js';
export { CDriver, type DriverOptions, DriverStopped, type FaultName, type FaultPoint } from './driver.js';
export type { SourcePlace } from './dwarf.js';
export { type DriverFailNthOptions, type DriverFailNthResult, driverFailNth, type FailureFinding } from './fail-nth.js';
export type { DriverFinding, DriverFindingId, Findings } from './findings.js';
export { loadTest } from './load-test.js';
export { failNthText, findingsText, type ReportOptions, stressText } from './report.js';
export { type Bits, type Ring, type RingNic, RingNicModel, ringNicTest } from './ring-nic.js';
export { type RunOptions, type RunResult, runDriver } from './run.js';
export type { DriverScenario, DriverTest, Packet } from './scenario.js';
export {
  type DriverStressOptions,
  type DriverStressResult,
  driverStress,
  type StressFinding,
  type StressRound,
  stressRound,
} from './stress.js';
