import { GemDmaError } from '../../../core/errors.js';
import { ScatterTable } from '../../../dma/sg-table.js';
import { Process } from '../../../drm/process.js';
import { deviceRead, deviceWrite } from '../../../iommu/iommu.js';
import { Machine } from '../../../machine.js';
import type { PolicySource } from '../config/policy.js';
import type { StressFailure } from '../engine/failure.js';

/** What a printed program may import from the package. */
const EXPORTS = { Machine, Process, ScatterTable, deviceRead, deviceWrite };

/**
 * Runs a printed program in this process: its text without the imports, whose names are bound to the same things.
 * @returns whether it ends with the failure that it is printed for, and not with a mistake of its own
 */
export function runProgram(program: string, failure: StressFailure, policy: PolicySource | undefined): boolean {
  const body = program.replace(/^import .*$/gm, '');
  const bound = { ...EXPORTS, policy };
  try {
    new Function(...Object.keys(bound), `'use strict'; {\n${body}}`)(...Object.values(bound));
    return false;
  } catch (error) {
    const { name, message } = error as Error;
    // An operation that is refused and was not to be; a name that is not there; text that is no program.
    if (GemDmaError.is(error)) return failure.kind === 'fault' && error.code === 'EFAULT';
    if (error instanceof ReferenceError || error instanceof SyntaxError) return false;
    if (failure.kind === 'finding') return message.startsWith(failure.id);
    return failure.kind !== 'error' || name === failure.id;
  }
}
