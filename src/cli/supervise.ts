import { fork } from 'node:child_process';
import { Console } from 'node:console';
import { EXIT, type ExitCode } from './exit.js';

/**
 * A user's code, such as a mapping policy, runs in a child process: it may loop for ever, end its process or leave timers behind. The
 * parent waits for the child, forwards signals, and reports how it ended.
 */

/** Set in the environment of a process that runs the user's code. */
const MARK = 'GEMDMA_SUPERVISED';
/** Milliseconds after which a process that does not answer to Ctrl-C or to a signal is killed. */
const GRACE = 400;
/** Clears the bar's line, shows the cursor and switches line wrap on: a killed process cannot. */
const GIVE_BACK = '\r\u001b[K\u001b[?25h\u001b[?7h';
/** The exit code of Node when the main module awaits something that can never come. */
const NEVER_SETTLES = 13;

/** Messages to and from the supervisor. */
type ToChild = 'interrupt';
type ToSupervisor = 'seen' | { done: ExitCode };

let supervised = false;

/** Whether this process runs under a supervisor. */
export function isSupervised(): boolean {
  return supervised;
}

/**
 * To be called at the start of a process: finds out whether it has a supervisor. If it does, what the user's code prints goes
 * to standard error, since results are on standard output.
 */
export function joinSupervisor(): void {
  supervised = process.env[MARK] !== undefined && process.send !== undefined;
  delete process.env[MARK];
  if (!supervised) return;
  globalThis.console = new Console(process.stderr, process.stderr);
  // A terminal sends Ctrl-C to both processes; only the supervisor obeys.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit(EXIT.interrupted));
  process.channel?.unref();
}

/** Ends the process: what has been left running ends with it. */
export function leave(code: ExitCode): void {
  if (supervised && process.connected) process.send!({ done: code } satisfies ToSupervisor, () => process.exit(code));
  else process.exit(code);
}

/**
 * Calls a function at each Ctrl-C.
 * @returns what ends that
 */
export function onInterrupt(stop: () => void): () => void {
  if (!supervised) {
    process.on('SIGINT', stop);
    return () => void process.removeListener('SIGINT', stop);
  }
  const heard = (message: ToChild): void => {
    if (message !== 'interrupt') return;
    process.send!('seen' satisfies ToSupervisor);
    stop();
  };
  process.on('message', heard);
  // Code that awaits what can never come is to end, not to be kept by this.
  process.channel?.unref();
  return () => void process.removeListener('message', heard);
}

/**
 * Runs the same command in a child process and waits for it.
 * @param whose where the user's code comes from, for messages
 */
export async function supervise(whose: string): Promise<ExitCode> {
  const child = fork(process.argv[1], process.argv.slice(2), { env: { ...process.env, [MARK]: '1' } });
  let done: ExitCode | undefined;
  let interrupts = 0;
  let ending: NodeJS.Signals | undefined;
  let patience: NodeJS.Timeout | undefined;
  const kill = (): void => void child.kill('SIGKILL');
  const stop = (): void => {
    if (interrupts++ > 0) kill();
    else patience = setTimeout(kill, GRACE);
    if (child.connected) child.send('interrupt' satisfies ToChild, () => {});
  };
  const end = (signal: NodeJS.Signals): void => {
    ending = signal;
    child.kill(signal);
    setTimeout(kill, GRACE).unref();
  };
  process.on('SIGINT', stop);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  child.on('message', (message: ToSupervisor) => {
    if (message === 'seen') clearTimeout(patience);
    else done = message.done;
  });
  const exited = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]));
  });
  // What was sent before the end arrives before the channel is closed.
  const told = new Promise((resolve) => child.once('disconnect', resolve));
  const [code, signal] = await exited;
  await told;
  clearTimeout(patience);
  process.removeListener('SIGINT', stop);
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.removeListener(name, end);
  if (done !== undefined && ending === undefined) return done;
  if (process.stderr.isTTY) process.stderr.write(GIVE_BACK);
  if (ending !== undefined) {
    process.kill(process.pid, ending);
    return EXIT.interrupted;
  }
  if (interrupts > 0) {
    console.error(`gemdma: interrupted; ${whose} had not come back`);
    return EXIT.interrupted;
  }
  console.error(`gemdma: ${whose} ${becameOf(code, signal)}`);
  return EXIT.usage;
}

/** The message for a process that ended before its command was finished. */
function becameOf(code: number | null, signal: NodeJS.Signals | null): string {
  if (code === NEVER_SETTLES) return 'awaits something that never comes';
  return `has ended the process (${signal ?? `exit code ${code}`}): nothing is known of the run`;
}
