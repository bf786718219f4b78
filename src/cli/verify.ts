import type { Command } from 'commander';
import type { CallProgress } from '../core/slices.js';
import { RecordingError } from '../files/recording-error.js';
import type { VerifyResult } from '../recordings/replay/recording.js';
import { verifyAsync } from '../recordings/verify.js';
import { withDmesg } from './dmesg.js';
import { EXIT, type ExitCode } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { bold, dim, green, number, red, yellow } from './print.js';

/** The longest kind there is: dma-debug-options. */
const KIND_WIDTH = 17;

/** gemdma verify: replays recordings of a real kernel and reports where the emulator diverges. */
export function verifyCommand(): Command {
  return withDmesg(command('verify', 'replay recordings of a real kernel against the emulator, step by step'))
    .argument('<files...>', 'recordings: text or JSON lines, plain or gzip; the kind is in the header')
    .option('--allow-uncounted', 'a recording that does not tell how long it is may match all the same')
    .option('--time', 'also measure: nanoseconds per step, median of several replays run in the core')
    .addHelpText('after', '\n--json gives an array with one object per file.')
    .action(framed(verifyFiles));
}

interface VerifyOptions {
  time?: boolean;
  allowUncounted?: boolean;
}

async function verifyFiles(
  frame: Frame,
  files: string[],
  { time = false, allowUncounted = false }: VerifyOptions,
): Promise<ExitCode> {
  const { signal } = frame;
  const isWrong = (result: VerifyResult): boolean => isUnsound(result, allowUncounted);
  const bar = frame.bar();
  const results: VerifyResult[] = [];
  const errors: RecordingError[] = [];
  const width = Math.min(32, Math.max(...files.map((file) => file.length)));
  for (const [i, file] of files.entries()) {
    if (signal.aborted) break;
    const onProgress = ({ done, total }: CallProgress): void =>
      bar.update({ done: i + done / total, total: files.length, what: file });
    try {
      const result = await verifyAsync(file, { time, signal, onProgress });
      results.push(result);
      if (!frame.json) frame.show(result, (shown) => line(shown, width, allowUncounted), { wrong: isWrong(result) });
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      errors.push(error);
      frame.note(error.message);
    }
  }
  const wrong = results.filter(isWrong).length;
  if (frame.json || files.length > 1) {
    const all = [...results, ...errors.map(({ file, line: at, reason }) => ({ file, error: { line: at, reason } }))];
    const steps = results.reduce((sum, { matched }) => sum + matched, 0);
    const match = results.filter((result) => !isWrong(result) && !result.interrupted).length;
    frame.show(all, () => bold(`${match} of ${files.length} recordings match, ${number(steps)} steps`));
  }
  return errors.length > 0 ? EXIT.usage : wrong > 0 ? EXIT.findings : EXIT.ok;
}

/** A replay that diverged, and a recording that is not known to be whole or has no step to compare. */
function isUnsound({ divergence, cut, steps, interrupted }: VerifyResult, allowUncounted: boolean): boolean {
  if (divergence !== null || typeof cut === 'string') return true;
  return !interrupted && (steps === 0 || (cut === undefined && !allowUncounted));
}

function line(result: VerifyResult, width: number, allowUncounted: boolean): string {
  const { file, kind, steps, matched, divergence, cut, nsPerStep, interrupted } = result;
  const name = file.length > width ? `…${file.slice(file.length - width + 1)}` : file.padEnd(width);
  const head = `${name} ${kind.padEnd(KIND_WIDTH)}`;
  const time = nsPerStep === undefined ? '' : dim(`${nsPerStep.toFixed(1).padStart(9)} ns`);
  const count = `${number(steps).padStart(8)} steps`;
  if (divergence) {
    const { line: at, operation, expected, got } = divergence;
    return (
      `${head} ${red('PARTS')} after ${number(matched)} of ${number(steps)} steps${time}\n` +
      `  line ${at}: ${operation}\n    expected ${expected}\n    got      ${got}`
    );
  }
  if (interrupted) return `${head} ${yellow('interrupted')} after ${number(matched)} steps`;
  if (typeof cut === 'string') return `${head} ${red('CUT OFF')} ${number(matched)} steps match; ${cut}, is missing`;
  if (steps === 0) return `${head} ${red('NOTHING')} to compare`;
  if (cut !== undefined) return `${head} ${green('ok')} ${count}${time}`;
  if (allowUncounted) return `${head} ${green('ok')} ${count}${time}${dim('  (no count: may be cut off)')}`;
  return (
    `${head} ${red('NO COUNT')} ${number(matched)} steps match${time}\n` +
    "  It may be cut off: give it its count ('steps' in the header), or allow that with --allow-uncounted."
  );
}
