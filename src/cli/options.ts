import { GemDmaError, parseSize } from '../core/errors.js';
import { RecordingError } from '../recordings/recording.js';

/** Wrong use of the command line: said in one line, exit code 2, no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Turns what the library says of options that cannot be, of files that cannot be read and of machines that cannot be made
 * into wrong use. Anything else is a bug and stays what it is.
 */
export function asUsageError(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  const told = GemDmaError.is(error) || error instanceof RecordingError || String(code).startsWith('ERR_');
  return told ? new UsageError(message) : error;
}

/** Does something that only wrong use makes fail. */
export function usage<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asUsageError(error);
  }
}

/** Ctrl-C, after the command has reported what it had. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const MULTIPLES: Record<string, number> = { '': 1, k: 1e3, K: 1e3, M: 1e6 };

/** A reader for commander that takes whole numbers, with `1k`, `10k`, `1M` for thousands and millions. */
export function integerOption(name: string, min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const match = /^(\d+)([kKM]?)$/.exec(text.trim());
    const value = match ? Number(match[1]) * MULTIPLES[match[2]] : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
    throw new UsageError(`${name} takes a whole number ${range}, not '${text}'`);
  };
}

/** A reader for seconds and other quantities with a fraction. */
export function numberOption(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new UsageError(`${name} takes a number from ${min} to ${max}, not '${text}'`);
  };
}

/** A reader for sizes such as 4096, 64KiB, 4MiB. */
export function sizeOption(name: string): (text: string) => number {
  return (text) => {
    try {
      return parseSize(name, text);
    } catch {
      throw new UsageError(`${name} takes a size such as 4096, 64KiB or 4MiB, not '${text}'`);
    }
  };
}

/** A reader for one of several names. */
export function choiceOption<T extends string>(name: string, allowed: readonly T[]): (text: string) => T {
  return (text) => {
    if (allowed.includes(text as T)) return text as T;
    throw new UsageError(`${name} is one of ${allowed.join(', ')}, not '${text}'`);
  };
}

/**
 * A signal that Ctrl-C sets: long work stops at its next step and reports what it has. A second Ctrl-C ends the
 * process at once.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
