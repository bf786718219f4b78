import { BaseMachine } from '../../machine/machine.js';
import type { StressFailure } from '../engine/failure.js';
import type { Repertoire } from '../world/vocabulary.js';

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
    return isFailure(error, failure);
  }
}

/** What is known of a failure, and of the error that a program ended with. */
export type KnownFailure = Pick<StressFailure, 'kind' | 'id' | 'message'>;

/**
 * Whether what a program threw is the failure that it is printed for. Anything else is a mistake of the program: an operation
 * that is refused and was not to be, a name or a module that is not there, text that is no program.
 */
export function isFailure(thrown: unknown, { kind, id, message }: KnownFailure): boolean {
  const { name = 'Error', message: said = String(thrown), code } = (thrown ?? {}) as NodeJS.ErrnoException;
  switch (kind) {
    case 'finding':
      return said.startsWith(`${id}: `);
    case 'fault':
      return name === 'GemDmaError' && code === 'EFAULT';
    case 'error':
      return name === id && shape(said) === shape(message);
    case 'structure':
      return shape(said) === shape(message);
    case 'contents':
      return said.startsWith(`the ${id} reads `);
    default:
      return /^-?\d+ DMA mappings are left$/.test(said);
  }
}

/** A message without its numbers: addresses and names of objects are others in a program. */
function shape(message: string): string {
  return message.replace(/0x[0-9a-f]+|\d+/gi, '#');
}
