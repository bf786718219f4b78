/** Files that commands need. */
export interface Inputs {
  trace: string;
  module: string;
  test: string;
  hang: string;
  source: string;
  /** Whether there is a compiler that built the driver. */
  built: boolean;
}

export interface LongCommand {
  /** The arguments, for a shell. */
  command(files: Inputs): string;
  /** What is on the screen when the work has begun. */
  started: RegExp;
  /** What is printed after an interruption. */
  printed: RegExp;
  /** It needs a driver that was built. */
  driver?: true;
}

export const CLI: string;
export const COMMANDS: readonly LongCommand[];
export function inputs(folder: string): Inputs;
export function libraryCalls(): Promise<Record<string, (signal: AbortSignal) => Promise<unknown>>>;
