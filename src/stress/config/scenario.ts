import type { MachineOptions } from '../../machine/config.js';
import type { Operation } from '../engine/operation.js';

/** A named sequence of operations, written by hand. Ids are the things of the scenario. */
export interface OperationScenario<Op extends Operation = Operation> {
  /** As on the command line. */
  name: string;
  /** One line: what happens. */
  title: string;
  /** Changes to the default profile: other devices, by the fields of the vocabularies, other back ends. */
  config?: {
    /** Options of the machine, over those of the profile. */
    readonly machine?: MachineOptions;
    readonly [setup: string]: unknown;
  };
  /** What is done, in order. */
  operations: readonly Op[];
}
