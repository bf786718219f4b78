import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { DmesgCollector } from './dmesg.js';
import { EXIT, type ExitCode, Interrupted, reportError, UsageError } from './exit.js';
import { isOwnPolicy } from './policy-file.js';
import { json, printLines } from './print.js';
import { ProgressBar, type ProgressSink } from './progress.js';
import { isSupervised, leave, onInterrupt, supervise } from './supervise.js';

/**
 * The frame that every command runs in: interruption, progress, output, files, exit code. How to write a command:
 *
 *   export function traceCommand(): Command {
 *     return command('trace', 'audit a trace of a real machine')   // has --json and --quiet
 *       .argument('<file>', 'the trace')
 *       .option('--csv <file>', 'write the mappings as CSV')
 *       .action(framed(trace));
 *   }
 *
 *   async function trace(frame: Frame, file: string, options: TraceOptions): Promise<ExitCode> {
 *     const csv = frame.output('--csv', options.csv);              // refused now when it cannot be written
 *     const bar = frame.bar();
 *     const result = await audit(file, { signal: frame.signal, onProgress: bar.update });
 *     frame.show(result, describe, { wrong: result.findings > 0 });
 *     csv?.set(toCsv(result));                                     // written when everything has been printed
 *     return result.findings > 0 ? EXIT.findings : EXIT.ok;
 *   }
 *
 * What the frame promises in return:
 *
 *   Ctrl-C       aborts `frame.signal`. The command stops at its next slice (core/slices.ts: within 50 ms), shows what it
 *                has and returns as always; the exit code is 130 whatever it returns. A second Ctrl-C ends the process.
 *   own policy   a --policy that is no preset runs the command in a process of its own (supervise.ts): it may loop for ever,
 *                or end its process, which is exit code 2.
 *   SIGTERM      gives the terminal back and ends the process by that signal.
 *   bar          on a terminal, nothing elsewhere, not with --quiet. `show` and `note` take it away first; the next update
 *                brings it back. It is gone when the action is over.
 *   show         --json: the value. Otherwise the lines that `describe` makes of it. --quiet: only what is wrong.
 *   --dmesg      where withDmesg (dmesg.ts) has added it: what the kernels printed comes behind the results, with --json on
 *                standard error.
 *   note         a remark on standard error, in one line; for what a reader of the results has to know.
 *   output       checks a target before any work. Content that was `set` is written after all else was printed; a failed
 *                write is exit code 2 in one line.
 *   errors       UsageError (exit.ts), RecordingError and errors of the file system are exit code 2 in one line; anything
 *                else that is thrown is a bug: exit code 70 with its stack. `usage()` of exit.ts wraps calls of the library
 *                whose refusal is wrong use.
 */
export class Frame {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #controller = new AbortController();
  readonly #outputs: Output[] = [];
  #bar: ProgressBar | undefined;

  readonly #dmesg: boolean;

  readonly #command: Command;

  constructor({ json = false, quiet = false, dmesg = false }: FrameOptions, command: Command) {
    this.#command = command;
    this.json = json;
    this.quiet = quiet;
    this.#dmesg = dmesg;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether an option was given, and is not only its default. */
  given(option: string): boolean {
    return this.#command.getOptionValueSource(option) === 'cli';
  }

  /** The progress bar; the same one at every call. */
  bar(): ProgressSink {
    this.#bar ??= new ProgressBar(
      process.stderr,
      !this.quiet && process.stderr.isTTY === true && process.env.TERM !== 'dumb',
    );
    return this.#bar;
  }

  /**
   * Prints a result: `describe` makes the lines of the text output. @param wrong whether the result is a finding: --quiet does not hide it
   */
  show<T>(value: T, describe: (value: T) => string | readonly string[], { wrong = false } = {}): void {
    this.#bar?.hide();
    if (this.json) json(value);
    else if (!this.quiet || wrong) printLines(describe(value));
  }

  /** One of many results, as a line of JSON, whether or not --json was asked for. */
  line(value: unknown): void {
    this.#bar?.hide();
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A remark on standard error. */
  note(text: string): void {
    this.#bar?.hide();
    console.error(`gemdma: ${text}`);
  }

  /**
   * Checks that a file can be written, before the work that fills it.
   * @param option the option that names it, for the message
   * @throws UsageError when it cannot
   */
  output(option: string, file: string): Output;
  output(option: string, file: string | undefined): Output | undefined;
  output(option: string, file: string | undefined): Output | undefined {
    if (file === undefined) return undefined;
    checkWritable(option, file);
    const output = new Output(option, file);
    this.#outputs.push(output);
    return output;
  }

  /** Runs an action from its first signal handler to its last file. Returns the exit code. */
  async run(action: () => Promise<ExitCode> | ExitCode): Promise<ExitCode> {
    const stop = (): void => {
      this.#bar?.close();
      if (this.signal.aborted) endNow();
      this.#controller.abort();
    };
    const end = (signal: NodeJS.Signals): void => {
      this.#bar?.close();
      process.removeListener(signal, end);
      process.kill(process.pid, signal);
    };
    const deaf = onInterrupt(stop);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
    const dmesg = this.#dmesg ? new DmesgCollector() : undefined;
    try {
      const code = await action();
      this.#bar?.close();
      this.#kernelLog(dmesg);
      for (const output of this.#outputs) output.write();
      if (this.signal.aborted) throw new Interrupted();
      return code;
    } catch (error) {
      this.#bar?.close();
      return reportError(error);
    } finally {
      dmesg?.end();
      deaf();
      for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.removeListener(signal, end);
      // A read that waits for a terminal or a pipe cannot be called off, and would keep the process.
      if (this.signal.aborted) setTimeout(endNow, STUCK).unref();
    }
  }

  /** What the kernel printed. It is no part of the value of --json. */
  #kernelLog(dmesg: DmesgCollector | undefined): void {
    const lines = dmesg?.end() ?? [];
    if (this.json) for (const line of lines) console.error(line);
    else if (dmesg) printLines(['', ...(lines.length > 0 ? lines : ['(the kernel printed nothing)'])]);
  }
}

/** Milliseconds that an interrupted process has to end by itself. */
const STUCK = 200;

/** Ends an interrupted process. A signal does that even where exit(2) would wait for a read in another thread. */
function endNow(): void {
  if (isSupervised()) leave(EXIT.interrupted);
  else {
    process.removeAllListeners('SIGINT');
    process.kill(process.pid, 'SIGINT');
  }
}

interface FrameOptions {
  dmesg?: boolean;
  json?: boolean;
  quiet?: boolean;
}

/** A file that a command was asked to write. */
export class Output {
  readonly file: string;
  readonly #option: string;
  #content: string | Uint8Array | undefined;

  constructor(option: string, file: string) {
    this.#option = option;
    this.file = file;
  }

  /** What goes into the file when everything has been printed. */
  set(content: string | Uint8Array): void {
    this.#content = content;
  }

  /** @throws UsageError when the file cannot be written after all */
  write(): void {
    if (this.#content === undefined) return;
    try {
      writeFileSync(this.file, this.#content);
    } catch (error) {
      throw new UsageError(`${this.#option}: ${this.file} was not written: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
}

// Opening detects more than access(2): read-only file systems, folders, names that are too long. A file that it creates is removed:
// the command may write nothing.
function checkWritable(option: string, file: string): void {
  const existed = existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new UsageError(`${option}: ${file} cannot be written: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (!existed) rmSync(file);
}

/** A command with what all commands have. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'results as JSON')
    .option('--no-color', 'no colours, whatever the terminal can do')
    .option('-q, --quiet', 'no progress, and nothing printed but what is wrong');
}

type Action<Args extends unknown[]> = (frame: Frame, ...args: Args) => Promise<ExitCode> | ExitCode;

/** The handler for commander of an action in its frame. */
export function framed<Args extends unknown[]>(action: Action<Args>): (...args: unknown[]) => Promise<void> {
  return async (...all) => {
    // Commander gives the arguments, then the options, then the command itself.
    const args = all.slice(0, -1) as Args;
    const options = args.at(-1) as FrameOptions & { policy?: string };
    if (isOwnPolicy(options.policy) && !isSupervised()) {
      process.exitCode = await supervise(`--policy: ${options.policy}`);
      return;
    }
    const frame = new Frame(options, all.at(-1) as Command);
    process.exitCode = await frame.run(() => action(frame, ...args));
  };
}
