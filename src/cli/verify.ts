import { Command } from 'commander';
import { RecordingError, type VerifyResult } from '../recordings/recording.js';
import { verify } from '../recordings/verify.js';
import { Interrupted, interruptSignal } from './options.js';
import { bold, dim, green, json, number, red } from './print.js';

interface VerifyOptions {
  json?: boolean;
  time?: boolean;
}

/** The longest kind there is: dma-debug-options. */
const KIND_WIDTH = 17;

/** gemdma verify: replays recordings of a real kernel and says where the emulator parts from them. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('replay recordings of a real kernel against the emulator, step by step')
    .argument('<files...>', 'recordings: text or JSON lines, plain or gzip; the kind is in the header')
    .option('--time', 'also measure: nanoseconds a step, median of several replays run in the core')
    .option('--json', 'an array with an object a file: file, kind, steps, matched, divergence, nsPerStep')
    .addHelpText('after', '\nExit code 0: all as recorded; 1: a replay parted from its recording; 2: not a recording.')
    .action(verifyFiles);
}

function verifyFiles(files: string[], options: VerifyOptions): void {
  const signal = interruptSignal();
  const results: VerifyResult[] = [];
  const errors: RecordingError[] = [];
  const width = Math.min(32, Math.max(...files.map((file) => file.length)));
  for (const file of files) {
    if (signal.aborted) break;
    try {
      const result = verify(file, { time: options.time ?? false, signal });
      results.push(result);
      if (!options.json) console.log(line(result, width));
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      errors.push(error);
      console.error(`gemdma: ${error.message}`);
    }
  }
  const parted = results.filter(({ divergence }) => divergence !== null).length;
  if (options.json) {
    json([...results, ...errors.map(({ file, line, reason }) => ({ file, error: { line, reason } }))]);
  } else if (files.length > 1) {
    const steps = results.reduce((sum, { matched }) => sum + matched, 0);
    console.log(bold(`${results.length - parted} of ${files.length} recordings match, ${number(steps)} steps`));
  }
  if (signal.aborted) throw new Interrupted();
  process.exitCode = errors.length > 0 ? 2 : parted > 0 ? 1 : 0;
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
