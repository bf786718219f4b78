import type { Command } from 'commander';
import { RecordingError, type VerifyResult } from '../recordings/recording.js';
import { verify } from '../recordings/verify.js';
import { EXIT, type ExitCode } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { bold, dim, green, number, red } from './print.js';

/** The longest kind there is: dma-debug-options. */
const KIND_WIDTH = 17;

/** gemdma verify: replays recordings of a real kernel and says where the emulator parts from them. */
export function verifyCommand(): Command {
  return command('verify', 'replay recordings of a real kernel against the emulator, step by step')
    .argument('<files...>', 'recordings: text or JSON lines, plain or gzip; the kind is in the header')
    .option('--time', 'also measure: nanoseconds per step, median of several replays run in the core')
    .addHelpText('after', '\n--json gives an array with one object per file.')
    .action(framed(verifyFiles));
}

async function verifyFiles(frame: Frame, files: string[], { time = false }: { time?: boolean }): Promise<ExitCode> {
  const { signal } = frame;
  const results: VerifyResult[] = [];
  const errors: RecordingError[] = [];
  const width = Math.min(32, Math.max(...files.map((file) => file.length)));
  for (const file of files) {
    if (signal.aborted) break;
    try {
      const result = verify(file, { time, signal });
      results.push(result);
      if (!frame.json) frame.show(result, (shown) => line(shown, width), { wrong: result.divergence !== null });
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      errors.push(error);
      frame.note(error.message);
    }
  }
  const parted = results.filter(({ divergence }) => divergence !== null).length;
  if (frame.json || files.length > 1) {
    const all = [...results, ...errors.map(({ file, line: at, reason }) => ({ file, error: { line: at, reason } }))];
    const steps = results.reduce((sum, { matched }) => sum + matched, 0);
    frame.show(all, () =>
      bold(`${results.length - parted} of ${files.length} recordings match, ${number(steps)} steps`),
    );
  }
  return errors.length > 0 ? EXIT.usage : parted > 0 ? EXIT.findings : EXIT.ok;
}

function line({ file, kind, steps, matched, divergence, nsPerStep }: VerifyResult, width: number): string {
  const name = file.length > width ? `…${file.slice(file.length - width + 1)}` : file.padEnd(width);
  const time = nsPerStep === undefined ? '' : dim(`${nsPerStep.toFixed(1).padStart(9)} ns`);
  if (!divergence) return `${name} ${kind.padEnd(KIND_WIDTH)} ${green('ok')} ${number(steps).padStart(8)} steps${time}`;
  const { line: at, operation, expected, got } = divergence;
  return (
    `${name} ${kind.padEnd(KIND_WIDTH)} ${red('PARTS')} after ${number(matched)} of ${number(steps)} steps${time}\n` +
    `  line ${at}: ${operation}\n    expected ${expected}\n    got      ${got}`
  );
}
