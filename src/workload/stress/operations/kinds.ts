import type { Operation, OperationKind } from '../engine/operation.js';
import { dmaOperations } from './dma-operations.js';
import { faultOperation } from './faults.js';
import { gemOperations } from './gem-operations.js';
import type { World } from './world.js';

/** Every kind of operation there is. */
export const ALL_KINDS: readonly OperationKind<World>[] = [...gemOperations, ...dmaOperations, faultOperation];

/** Names of all operations, for weights. */
export const OPERATION_NAMES: readonly string[] = ALL_KINDS.map(({ name }) => name);

/** The kind of an operation, by its name. */
export function kindOf(operation: Operation): OperationKind<World> {
  const kind = ALL_KINDS.find(({ name }) => name === operation.op);
  if (kind === undefined) throw new TypeError(`there is no operation '${operation.op}'`);
  return kind;
}
