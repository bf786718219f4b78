import type { MachineOptions } from '../../machine/config.js';
import type { Operation } from '../engine/operation.js';

/** A named sequence of operations, written by hand. Ids are the things of the scenario. */
export interface OperationScenario<Op extends Operation = Operation> {
  name: string;
  title: string;
  /** Changes to the default profile: other devices, by the fields of the vocabularies, other back ends. */
  config?: { readonly machine?: MachineOptions; readonly [setup: string]: unknown };
  operations: readonly Op[];
}
