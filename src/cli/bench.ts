import { readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { GemDmaError } from '../core/errors.js';
import { KERNEL_NAMES } from '../machine/presets.js';
import { type Comparison, compare, parseResult } from '../workload/bench/compare.js';
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
import { DRIVER_NAMES } from '../workload/scenario.js';
import { benchBar } from './bench-bar.js';
import { describeComparison, describeResult, describeScaling, describeSweep } from './bench-report.js';
import { choiceOption, Interrupted, integerOption, interruptSignal, numberOption, UsageError } from './options.js';
import { json } from './print.js';

interface Options extends Omit<BenchOptions, 'checker' | 'direction' | 'bits'> {
  bits?: number;
  dir: BenchOptions['direction'];
  checker?: boolean;
  json?: boolean;
  compare?: string[];
  sweep?: Sweep;
  csv?: string;
}

const ALLOCATORS = ['linux-4.2', 'linux-6.12', 'rcache', 'fast'] as const;

/** gemdma bench: the kernel's dma_map_benchmark against the emulator, and what only an emulator can vary. */
export function benchCommand(): Command {
  const { threads, seconds, direction, granule, mode, transfer, backend, kernel, policy, live, seed } = BENCH_DEFAULTS;
  return (
    new Command('bench')
      .description('measure mapping throughput and latency, as the kernel’s dma_map_benchmark does')
      .option(
        '-t, --threads <n>',
        'threads that map for one device; prints how it scales',
        integerOption('--threads', 1, 63),
        threads,
      )
      .option('-s, --seconds <s>', 'time to measure, after warm-up', numberOption('--seconds', 0.01, 3600), seconds)
      .option('-d, --dir <direction>', DIRECTIONS.join(', '), choiceOption('--dir', DIRECTIONS), direction)
      // No default here: it depends on what lives.
      .option(
        '-b, --bits <n>',
        'bits of address of the device (32, or 48 for many live)',
        integerOption('--bits', 20, 64),
      )
      .option('-g, --granule <pages>', 'pages of a mapping', integerOption('--granule', 1, 1024), granule)
      .option(
        '-m, --mode <mode>',
        'single buffers, sg lists, or the life of a GEM object',
        choiceOption('--mode', MODES),
        mode,
      )
      .option('-x, --transfer <ns>', 'virtual time from map to unmap', integerOption('--transfer', 0, 1e9), transfer)
      .option('--backend <name>', BACKENDS.join(', '), choiceOption('--backend', BACKENDS), backend)
      .option('--kernel <preset>', KERNEL_NAMES.join(', '), choiceOption('--kernel', KERNEL_NAMES), kernel)
      .option('--allocator <name>', `IOVA allocator: ${ALLOCATORS.join(', ')}`, choiceOption('--allocator', ALLOCATORS))
      .option(
        '--policy <driver>',
        `with --mode object: ${DRIVER_NAMES.join(', ')}`,
        choiceOption('--policy', DRIVER_NAMES),
        policy,
      )
      .option('--checker', 'dma-debug watches')
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
      .option('--csv <file>', 'where a sweep writes its figures (default: gemdma-<option>.csv)')
      .option('--compare <files...>', 'two results saved with --json, A then B: ratios with intervals')
      .option('--json', 'the result as JSON')
      .addHelpText(
        'after',
        '\nA percentile is one of batch means: see docs/PERFORMANCE.md.\n' +
          'Exit code 0, whatever the figures; 130 after Ctrl-C, with the figures so far.',
      )
      .action(bench)
  );
}

async function bench(options: Options): Promise<void> {
  if (options.compare) {
    show(options, compareFiles(options.compare), describeComparison);
    return;
  }
  if (options.csv && !options.sweep) throw new UsageError('--csv goes with --sweep');
  const signal = interruptSignal();
  const wanted = checked(options);
  const bar = benchBar();
  const hooks = { signal, onProgress: bar.progress };
  try {
    if (options.sweep) {
      const { option, values } = options.sweep;
      const results: BenchResult[] = [];
      bar.start(wanted.seconds * values.length);
      for await (const result of runSweep(options.sweep, wanted, hooks)) {
        results.push(result);
        bar.next();
      }
      bar.stop();
      const file = options.csv ?? `gemdma-${option}.csv`;
      if (results.length > 0) writeFileSync(file, csv(option, results));
      show(options, results, (all) => describeSweep(option, all, file));
    } else if (wanted.threads > 1) {
      bar.start(wanted.seconds * (1 + Math.ceil(Math.log2(wanted.threads))));
      const { rows, result } = await runScaling(wanted, { ...hooks, onProgress: bar.progress });
      bar.stop();
      show(options, { ...result, scaling: rows }, () => [
        ...(result ? describeResult(result) : []),
        '',
        ...describeScaling(rows),
      ]);
    } else {
      bar.start(wanted.seconds);
      const result = await runBench(wanted, hooks);
      bar.stop();
      show(options, result, describeResult);
    }
  } catch (error) {
    // What cannot be set up with these options: no room for that many live mappings, no memory.
    throw GemDmaError.is(error) ? new UsageError(error.message) : error;
  } finally {
    bar.stop();
  }
  if (signal.aborted) throw new Interrupted();
}

/** Options that do not go together are wrong usage, not an error of the library. */
function checked(options: Options): BenchOptions {
  const { json: _json, compare: _compare, sweep, csv: _csv, dir, ...rest } = options;
  const wanted = { ...rest, direction: dir, checker: options.checker ?? false };
  // A sweep has one device: its address space is that of the largest value.
  if (sweep) wanted.bits ??= defaultBits({ ...wanted, [sweep.option]: Math.max(...sweep.values) });
  try {
    for (const value of sweep?.values ?? []) benchOptions({ ...wanted, [sweep!.option]: value });
    return benchOptions(wanted);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function compareFiles(files: string[]): Comparison {
  if (files.length !== 2) throw new UsageError('--compare takes two files, A and B');
  const [a, b] = files.map((file) => {
    try {
      return parseResult(readFileSync(file, 'utf8'));
    } catch (error) {
      throw new UsageError(`${file}: ${(error as Error).message}`);
    }
  });
  return compare(a, b);
}

function sweepOption(text: string): Sweep {
  const [option, list = ''] = text.split('=');
  if (!SWEEPABLE.includes(option as Sweepable) || list === '') {
    throw new UsageError(`--sweep takes option=value,value with one of ${SWEEPABLE.join(', ')}, not '${text}'`);
  }
  return { option: option as Sweepable, values: list.split(',').map(integerOption(`--sweep ${option}`, 0)) };
}

function show<T>(options: Options, value: T, describe: (value: T) => string[]): void {
  if (options.json) json(value);
  else console.log(describe(value).join('\n'));
}
