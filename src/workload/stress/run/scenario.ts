import type { StressConfig } from '../config/profiles.js';
import type { Operation } from '../engine/operation.js';

/** A named sequence of operations, written by hand. Ids are the things of the scenario; context 0 is the global GTT. */
export interface OperationScenario {
  name: string;
  title: string;
  /** Changes to the churn profile's configuration: other devices, other back ends. */
  config?: Partial<Pick<StressConfig, 'gpus' | 'devices' | 'machine'>>;
  operations: readonly Operation[];
}
