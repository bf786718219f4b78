import { type Command, Option } from 'commander';
import { readText } from '../files/text.js';
import { ALLOCATOR_NAMES } from '../iova/allocators.js';
import { KERNEL_NAMES } from '../kernels/kernels.js';
import {
  BACKENDS,
  BENCH_DEFAULTS,
  type BenchOptions,
  benchOptions,
  DIRECTIONS,
  defaultBits,
  MODES,
} from '../workload/bench/options.js';
import { type BenchResult, runBench } from '../workload/bench/run.js';
import { runScaling } from '../workload/bench/scaling.js';
import { csv, runSweep, SWEEPABLE, type Sweep, type Sweepable } from '../workload/bench/sweep.js';
import { benchBar } from './bench-bar.js';
import { describeComparison, describeResult, describeScaling, describeSweep } from './bench-report.js';
import type { Comparison } from './compare.js';
import { asUsageError, EXIT, type ExitCode, UsageError, usage } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { htmlPage } from './html-page.js';
import { benchReport } from './html-reports.js';
import { integerOption, numberOption } from './options.js';
import { policyError, policyOption, readPolicy } from './policy-file.js';

/** Back ends that translate, and need an IOVA allocator for it. */
const TRANSLATED: readonly string[] = ['strict', 'lazy'];

interface Options extends Omit<BenchOptions, 'dmaDebug' | 'direction' | 'bits'> {
  bits?: number;
  dir: BenchOptions['direction'];
  dmaDebug?: boolean;
  json?: boolean;
  color?: boolean;
  quiet?: boolean;
  compare?: string[];
  sweep?: Sweep;
  csv?: string;
  html?: string;
}

/** gemdma bench: the kernel's dma_map_benchmark against the emulator, and what only an emulator can vary. */
export function benchCommand(): Command {
  const { threads, seconds, direction, granule, mode, transfer, backend, kernel, live, seed } = BENCH_DEFAULTS;
  const oneOf = (flags: string, what: string, choices: readonly string[], value?: string): Option => {
    const option = new Option(flags, what).choices(choices);
    return value === undefined ? option : option.default(value);
  };
  return (
    command('bench', 'measure mapping throughput and latency, as the kernel’s dma_map_benchmark does')
      .option(
        '-t, --threads <n>',
        'threads that map for one device; prints how it scales',
        integerOption('--threads', 1, 63),
        threads,
      )
      .option('-s, --seconds <s>', 'time to measure, after warm-up', numberOption('--seconds', 0.01, 3600), seconds)
      .addOption(oneOf('-d, --dir <direction>', 'direction of the transfer', DIRECTIONS, direction))
      // No default here: it depends on what lives.
      .option('-b, --bits <n>', 'address bits of the device (32, or 48 for many live)', integerOption('--bits', 20, 64))
      .option('-g, --granule <pages>', 'pages per mapping', integerOption('--granule', 1, 1024), granule)
      .addOption(oneOf('-m, --mode <mode>', 'single buffers, sg lists, or the life of a GEM object', MODES, mode))
      .option('-x, --transfer <ns>', 'virtual time from map to unmap', integerOption('--transfer', 0, 1e9), transfer)
      .addOption(oneOf('--backend <name>', 'DMA back end', BACKENDS, backend))
      .addOption(oneOf('--kernel <preset>', 'DMA stack', KERNEL_NAMES, kernel))
      .addOption(oneOf('--allocator <name>', 'IOVA allocator; default: the kernel’s', ALLOCATOR_NAMES))
      .addOption(policyOption())
      .option('--dma-debug', 'dma-debug watches')
      .option(
        '--fragmentation <share>',
        '0 to 1: scattered RAM, holes between live mappings',
        numberOption('--fragmentation', 0, 1),
        0,
      )
      .option('--live <n>', 'mappings that live throughout (1k, 1M)', integerOption('--live', 0, 4e6), live)
      .option('--batch <n>', 'mappings timed together; 0 finds it', integerOption('--batch', 0, 1024), 0)
      .option('--seed <n>', 'decides everything random', integerOption('--seed', 0, 0xffffffff), seed)
      .option('--sweep <option=values>', `growth curve over ${SWEEPABLE.join(', ')}, such as live=1k,10k`, sweepOption)
      .option('--csv <file>', 'with --sweep: write its figures to a file')
      .option('--html <file>', 'write a report with pictures, one HTML file')
      .addOption(
        new Option('--compare <files...>', 'two results saved with --json, A then B: ratios with intervals').conflicts([
          ...['threads', 'seconds', 'dir', 'bits', 'granule', 'mode', 'transfer', 'backend', 'kernel', 'allocator'],
          ...['policy', 'dmaDebug', 'fragmentation', 'live', 'batch', 'seed', 'sweep', 'csv'],
        ]),
      )
      .addHelpText(
        'after',
        '\nA percentile is one of batch means: see docs/PERFORMANCE.md.\nThe exit code is 0 whatever the figures.',
      )
      .action(framed(bench))
  );
}

async function bench(frame: Frame, options: Options): Promise<ExitCode> {
  if (options.html && (options.sweep || options.threads > 1)) {
    throw new UsageError('--html goes with one thread and without --sweep');
  }
  const html = frame.output('--html', options.html);
  if (options.compare) {
    const { comparison, results } = await compareFiles(options.compare);
    frame.show(comparison, describeComparison);
    html?.set(htmlPage(benchReport('Two benchmarks compared', results), process.argv.slice(2)));
    return EXIT.ok;
  }
  if (options.csv && !options.sweep) throw new UsageError('--csv goes with --sweep');
  checkObeyed(frame, options);
  const wanted = checked(options);
  const file = frame.output('--csv', options.csv);
  const bar = benchBar(frame.bar());
  const given = await readPolicy(options.policy, frame.signal);
  const { policy } = given;
  const hooks = { signal: frame.signal, onProgress: bar.progress, ...(typeof policy !== 'string' && { policy }) };
  try {
    if (options.sweep) {
      const { option, values } = options.sweep;
      const results: BenchResult[] = [];
      bar.start(wanted.seconds * values.length);
      for await (const result of runSweep(options.sweep, wanted, hooks)) {
        results.push(result);
        bar.next();
      }
      frame.show(results, () => describeSweep(option, results));
      file?.set(csv(option, results));
    } else if (wanted.threads > 1) {
      bar.start(wanted.seconds * (1 + Math.ceil(Math.log2(wanted.threads))));
      const { rows, result } = await runScaling(wanted, hooks);
      frame.show({ ...result, scaling: rows }, () => [
        ...(result ? describeResult(result) : []),
        '',
        ...describeScaling(rows),
      ]);
    } else {
      bar.start(wanted.seconds);
      const result = await runBench(wanted, hooks);
      frame.show(result, describeResult);
      html?.set(htmlPage(benchReport('Mapping throughput and latency', [result]), process.argv.slice(2)));
    }
  } catch (error) {
    // What cannot be set up with these options: no room for that many live mappings, no memory.
    throw asUsageError(policyError(error, options.policy));
  }
  return EXIT.ok;
}

/** What a measurement would ignore is refused. */
function checkObeyed(frame: Frame, { mode, backend, sweep }: Options): void {
  if (frame.given('policy') && mode !== 'object') throw new UsageError('--policy goes with --mode object');
  if (frame.given('allocator') && !TRANSLATED.includes(backend)) {
    throw new UsageError(
      `--allocator goes with --backend ${TRANSLATED.join(' or ')}: ${backend} has no IOVA allocator`,
    );
  }
  if (sweep && frame.given(sweep.option)) {
    throw new UsageError(`--${sweep.option} cannot be used with --sweep ${sweep.option}=...`);
  }
}

/** Options that do not go together are wrong usage, not an error of the library. */
function checked(options: Options): BenchOptions {
  const {
    json: _json,
    color: _color,
    quiet: _quiet,
    compare: _compare,
    sweep,
    csv: _csv,
    html: _html,
    dir,
    ...rest
  } = options;
  const wanted = { ...rest, direction: dir, dmaDebug: options.dmaDebug ?? false };
  // A sweep has one device: its address space is that of the largest value.
  if (sweep) wanted.bits ??= defaultBits({ ...wanted, [sweep.option]: Math.max(...sweep.values) });
  try {
    for (const value of sweep?.values ?? []) benchOptions({ ...wanted, [sweep!.option]: value });
    return benchOptions(wanted);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function compareFiles(files: string[]): Promise<{ comparison: Comparison; results: BenchResult[] }> {
  if (files.length !== 2) throw new UsageError('--compare takes two files, A and B');
  // Statistics that no other command needs.
  const { compare, parseResult } = await import('./compare.js');
  const [a, b] = files.map((file) => {
    const text = usage(() => readText(file));
    try {
      return parseResult(text);
    } catch (error) {
      throw new UsageError(`${file}: ${(error as Error).message}`);
    }
  });
  return { comparison: compare(a, b), results: [a, b] };
}

function sweepOption(text: string): Sweep {
  const [option, list = ''] = text.split('=');
  if (!SWEEPABLE.includes(option as Sweepable) || list === '') {
    throw new UsageError(`--sweep takes option=value,value with one of ${SWEEPABLE.join(', ')}, not '${text}'`);
  }
  return { option: option as Sweepable, values: list.split(',').map(integerOption(`--sweep ${option}`, 0)) };
}
