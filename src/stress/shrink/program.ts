import { GemDmaError } from '../../core/errors.js';
import { BaseMachine } from '../../machine/machine.js';
import type { StressFailure } from '../engine/failure.js';
import type { Repertoire } from '../vocabulary.js';

/** What a printed program may import from the package, by name. */
export function exportsFor({ vocabularies }: Repertoire): Readonly<Record<string, unknown>> {
  return Object.assign({ Machine: BaseMachine }, ...vocabularies.map(({ program }) => program.exports));
}

/**
 * Runs a printed program in this process: its text without the imports, whose names are bound to the same things.
 * @returns whether it ends with the failure that it is printed for, and not with a mistake of its own
 */
export function runProgram(program: string, failure: StressFailure, repertoire: Repertoire): boolean {
  const body = program.replace(/^import .*$/gm, '');
  const values = repertoire.vocabularies.map((vocabulary) => vocabulary.program.values);
  const bound: Record<string, unknown> = Object.assign({}, exportsFor(repertoire), ...values);
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
