import { CommanderError } from 'commander';
import { GemDmaError } from '../core/errors.js';
import { RecordingError } from '../files/recording-error.js';

/** Exit codes of every command, and which error leads to which. */

export const EXIT = {
  /** Everything was run and came out as it should. */
  ok: 0,
  /** Findings: something did not come out as it should. */
  findings: 1,
  /** Wrong use: options, input that cannot be read, output that cannot be written. */
  usage: 2,
  /** A bug of gemdma itself. */
  internal: 70,
  /** Ctrl-C, after what there was has been printed. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The table for help texts. */
export const EXIT_HELP = `
Exit codes:
  0    everything was run and came out as it should
  1    findings: something did not
  2    wrong use: options, unreadable input, unwritable output
  70   a bug of gemdma
  130  interrupted; what there was has been printed`;

/** Wrong use of the command line: said in one line, exit code 2, no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Ctrl-C, after the command has reported what it had. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * Turns errors of the library about options, files and machines into wrong use. Any other error is a bug and stays as it is.
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

/** A failed call of the file system: `open` of a file that is not there, `write` to a full disk. */
function isFileError(error: unknown): error is NodeJS.ErrnoException {
  const { code, syscall, errno } = error as NodeJS.ErrnoException;
  return error instanceof Error && typeof code === 'string' && typeof syscall === 'string' && typeof errno === 'number';
}

/** Prints an error on standard error, in one line unless it is a bug, and returns its exit code. */
export function reportError(error: unknown): ExitCode {
  // Help and version end here too, with code 0. Commander has printed its message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof Interrupted) {
    console.error('gemdma: interrupted');
    return EXIT.interrupted;
  }
  if (error instanceof UsageError || error instanceof RecordingError) {
    console.error(`gemdma: ${oneLine(error.message)}`);
    return EXIT.usage;
  }
  if (isFileError(error) && !GemDmaError.is(error)) {
    console.error(`gemdma: ${error.path ?? 'a file'}: ${error.code} (${error.syscall})`);
    return EXIT.usage;
  }
  console.error('gemdma: internal error, please report it with the command that led here');
  console.error(error);
  return EXIT.internal;
}

/** Text of a file can be anything; a terminal obeys what is in it. */
function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/\p{Cc}/gu, '\u{fffd}');
}
