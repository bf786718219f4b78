import { writeFileSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import type { IommuMode, MachineOptions } from '../machine/config.js';
import { KERNEL_NAMES, type KernelName } from '../machine/presets.js';
import { RecordingError } from '../trace/recording.js';
import { DRIVER_NAMES, type DriverName } from '../workload/scenario.js';
import { type CampaignSum, parseShard, shardSeeds, sumResults } from '../workload/stress/campaign.js';
import { failNth } from '../workload/stress/fail-nth.js';
import { FAIL_NTH_SCENARIOS } from '../workload/stress/fail-nth-scenarios.js';
import { PROFILE_NAMES, PROFILES, type ProfileName } from '../workload/stress/profiles.js';
import { Replayer } from '../workload/stress/replayer.js';
import { type StressProgress, type StressResult, stress } from '../workload/stress/stress.js';
import { readLines, readTrace, writeTrace } from '../workload/stress/trace.js';
import { choiceOption, integerOption, interruptSignal, numberOption, sizeOption, UsageError } from './options.js';
import { bold, dim, green, json, number, rate, red, table } from './print.js';

const IOMMU_MODES: readonly IommuMode[] = ['strict', 'lazy', 'passthrough', 'off'];
const CHECKER = ['on', 'off'] as const;

interface StressCommandOptions {
  profile: ProfileName;
  list?: boolean;
  seed: number;
  seeds: number;
  shard?: string;
  ops: number;
  time: number;
  driver: DriverName;
  kernel?: KernelName;
  iommu?: IommuMode;
  ram?: number;
  checker?: (typeof CHECKER)[number];
  objects?: number;
  checkEvery?: number;
  faults?: number;
  shrink?: number;
  trace?: string;
  replay?: string;
  failNth?: string | true;
  threads?: number;
  merge?: string[];
  json?: boolean;
}

/** gemdma stress: random operations from a seed, everything checked, any failure cut down to a few lines. */
export function stressCommand(): Command {
  return new Command('stress')
    .description('drive devices through millions of random operations and check everything')
    .option(
      '--profile <name>',
      `what to do: ${PROFILE_NAMES.join(', ')}`,
      choiceOption('--profile', PROFILE_NAMES),
      'churn',
    )
    .option('--list', 'show the profiles')
    .option('--seed <n>', 'decides everything random', integerOption('--seed', 0, 0xffffffff), 1)
    .option('--ops <n>', 'operations (1k, 10M)', integerOption('--ops', 1), 1_000_000)
    .option('--time <seconds>', 'stop earlier after so many seconds', numberOption('--time', 0.001, 1e9), 60)
    .option(
      '--driver <preset>',
      `mapping policy of i915: ${DRIVER_NAMES.join(', ')}`,
      choiceOption('--driver', DRIVER_NAMES),
      'linux-4.2',
    )
    .option('--kernel <preset>', `DMA stack: ${KERNEL_NAMES.join(', ')}`, choiceOption('--kernel', KERNEL_NAMES))
    .option('--iommu <mode>', `back end: ${IOMMU_MODES.join(', ')}`, choiceOption('--iommu', IOMMU_MODES))
    .option('--ram <size>', "emulated RAM, instead of the profile's", sizeOption('--ram'))
    .option('--checker <on|off>', 'dma-debug', choiceOption('--checker', CHECKER))
    .option('--objects <n>', 'most live objects', integerOption('--objects', 1, 1e6))
    .option('--check-every <n>', 'operations between complete checks', integerOption('--check-every', 1))
    .option('--faults <p>', 'probability that an allocation near an operation fails', numberOption('--faults', 0, 1))
    .option('--shrink <seconds>', 'how long to cut a failing run down; 0: not at all', numberOption('--shrink', 0, 1e6))
    .option('--trace <file>', 'write the failing operations to a file (.gz: compressed)')
    .option('--fail-nth [scenario]', 'make every single allocation of a scenario fail in turn; default: of all')
    .option('--threads <n>', 'workers on one shared memory, all on the same domain', integerOption('--threads', 1, 63))
    .option('--replay <file>', 'apply the operations of such a file')
    .option(
      '--seeds <n>',
      'a campaign: so many seeds, from --seed on, a JSON line each',
      integerOption('--seeds', 1),
      1,
    )
    .option('--shard <I/N>', 'of a campaign, take every N-th seed from the I-th on')
    .option('--merge <files...>', 'sum the JSON lines of campaigns')
    .option('--json', 'results as JSON')
    .addHelpText(
      'after',
      '\nExit code 0: nothing was found; 1: a failure; 2: wrong usage.\n' +
        'A campaign on many machines, each with its own I:\n' +
        '  gemdma stress --seeds 1000 --shard $I/8 > part-$I.jsonl\n' +
        '  gemdma stress --merge part-*.jsonl',
    )
    .action(run);
}

async function run(options: StressCommandOptions): Promise<void> {
  if (options.list) return list(options);
  if (options.failNth !== undefined) return runFailNth(options.failNth, options);
  if (options.threads !== undefined) return runThreads(options.threads, options);
  if (options.merge) return merge(options.merge, options);
  if (options.replay !== undefined) return replay(options.replay, options);
  if (options.seeds > 1 || options.shard !== undefined) return campaign(options);
  const signal = interruptSignal();
  const bar = progressBar(options);
  const result = await stress({
    ...stressOptions(options, options.seed),
    signal,
    ...(bar && { onProgress: bar.update }),
  });
  bar?.stop();
  if (options.trace !== undefined && result.failure) saveTrace(options.trace, result);
  if (options.json) json(result);
  else console.log(describe(result).join('\n'));
  process.exitCode = result.failure ? 1 : 0;
}

function machineOptions(options: StressCommandOptions): MachineOptions {
  return {
    ...(options.kernel && { kernel: options.kernel }),
    ...(options.iommu && { iommu: options.iommu }),
    ...(options.ram && { ram: options.ram }),
    ...(options.checker && { dmaDebug: options.checker === 'on' }),
  };
}

function stressOptions(options: StressCommandOptions, seed: number): Parameters<typeof stress>[0] {
  const machine = machineOptions(options);
  return {
    ...{ profile: options.profile, seed, driver: options.driver, machine },
    ...{ operations: options.ops, seconds: options.time },
    ...(options.objects && { limits: { objects: options.objects } }),
    ...(options.checkEvery && { checkEvery: options.checkEvery }),
    ...(options.faults && { faults: options.faults }),
    ...(options.shrink !== undefined && { shrink: options.shrink }),
  };
}

function runFailNth(wanted: string | true, options: StressCommandOptions): void {
  const names = FAIL_NTH_SCENARIOS.map(({ name }) => name);
  const scenarios = FAIL_NTH_SCENARIOS.filter(
    ({ name }) => wanted === true || name.toLowerCase() === wanted.toLowerCase(),
  );
  if (scenarios.length === 0) throw new UsageError(`--fail-nth is one of ${names.join(', ')}, not '${String(wanted)}'`);
  const signal = interruptSignal();
  const results = scenarios.map((scenario) =>
    failNth(scenario, { driver: options.driver, machine: machineOptions(options), signal }),
  );
  const points = results.reduce((sum, result) => sum + result.points, 0);
  const failures = results.flatMap((result) =>
    result.failures.map((failure) => ({ ...failure, scenario: result.scenario })),
  );
  if (options.json) json(results);
  else {
    const rows = results.map(({ scenario, points: tried, refused, absorbed, failures: wrong }) => {
      const said = Object.values(refused).reduce((sum, count) => sum + count, 0);
      return [scenario, number(tried), number(said), number(absorbed), number(wrong.length)];
    });
    console.log(table(['scenario', 'points', 'refused', 'got along', 'wrong'], rows));
    for (const { scenario, operation, op, kind, nth, failure } of failures) {
      console.log(
        `  ${red('wrong')} ${scenario}, operation ${operation} (${op}), ${kind} allocation ${nth}: ${failure}`,
      );
    }
    console.log(`${bold(number(points))} allocations failed, each once; ${verdict(failures.length)}`);
  }
  process.exitCode = failures.length > 0 ? 1 : 0;
}

async function runThreads(threads: number, options: StressCommandOptions): Promise<void> {
  // Loaded only now: nothing else of the command needs worker threads.
  const { stressThreads } = await import('../workload/stress/threads.js');
  const result = await stressThreads({
    ...{ threads, seed: options.seed, operations: options.ops, signal: interruptSignal() },
    machine: machineOptions(options),
  });
  if (options.json) json(result);
  else {
    const { operations, mapped, timing, contention, failures } = result;
    const waited = Object.entries(contention).map(([what, count]) => `${what} ${number(count)}`);
    console.log(
      `${bold(`${threads} threads`)} on one domain, seed ${result.seed}: ${number(operations)} operations in ` +
        `${timing.seconds.toFixed(1)} s, ${rate(timing.operationsPerSecond)}/s`,
    );
    console.log(dim(`  mapped ${number(mapped)}  locks found held: ${waited.join('  ')}`));
    for (const failure of failures) console.log(`  ${red('wrong')} ${failure}`);
    if (failures.length === 0)
      console.log(`  ${green('every page owned once, all counters add up, all structures check out')}`);
  }
  process.exitCode = result.failures.length > 0 ? 1 : 0;
}

function verdict(wrong: number): string {
  return wrong === 0
    ? green('nothing lost, everything as it was before')
    : red(`${number(wrong)} left something wrong`);
}

async function campaign(options: StressCommandOptions): Promise<void> {
  const shard = options.shard === undefined ? undefined : usage(() => parseShard(options.shard!));
  const signal = interruptSignal();
  let failed = false;
  for (const seed of shardSeeds(options.seed, options.seeds, shard)) {
    if (signal.aborted) break;
    const result = await stress({ ...stressOptions(options, seed), signal });
    failed ||= result.failure !== null;
    console.log(JSON.stringify(result));
  }
  process.exitCode = failed ? 1 : 0;
}

function merge(files: string[], options: StressCommandOptions): void {
  const results = files.flatMap((file) =>
    usage(() => readLines(file)).map((line, i) => {
      let result: StressResult | undefined;
      try {
        result = JSON.parse(line);
      } catch {}
      if (typeof result?.seed !== 'number' || typeof result.profile !== 'string') {
        throw new UsageError(`${file}:${i + 1}: not the result of a stress run`);
      }
      return result;
    }),
  );
  const sum = sumResults(results);
  if (options.json) json(sum);
  else console.log(describeSum(sum).join('\n'));
  process.exitCode = sum.failures.length > 0 || sum.differing.length > 0 ? 1 : 0;
}

function replay(file: string, options: StressCommandOptions): void {
  const { config, operations, failure } = usage(() => readTrace(file));
  const found = new Replayer(config).run(operations);
  if (options.json) json({ file, operations: operations.length, recorded: failure, failure: found });
  else if (found) console.log(`${red(found.kind)} ${bold(found.id)}: ${found.message}`);
  else console.log(green(`${number(operations.length)} operations, nothing found`));
  process.exitCode = found ? 1 : 0;
}

function usage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RecordingError || (error as { code?: string }).code === 'ERR_INVALID_ARG_VALUE') {
      throw new UsageError((error as Error).message);
    }
    throw error;
  }
}

function saveTrace(file: string, { config, failure, reproducer }: StressResult): void {
  const { kind, id, message } = failure!;
  writeTrace(file, { config, failure: { kind, id, message }, operations: reproducer?.operations ?? [] });
  if (reproducer) writeFileSync(`${file.replace(/\.gz$/, '')}.mjs`, reproducer.program);
}

function progressBar({ json: asJson }: StressCommandOptions) {
  if (asJson || !process.stderr.isTTY) return undefined;
  const bar = new SingleBar({
    format:
      '{bar} {percentage}%  {ops} ops  {rate}/s  {objects} objects  {mappings} mapped  IOVA {iova}  {findings} findings',
    hideCursor: true,
    clearOnComplete: true,
    barsize: 16,
  });
  let started = false;
  return {
    update(progress: StressProgress): void {
      const { operations, total, seconds, objects, mappings, iovaUse, findings } = progress;
      const shown = {
        ops: number(operations),
        rate: rate(operations / Math.max(seconds, 1e-3)),
        objects: number(objects),
        mappings: number(mappings),
        iova: `${(iovaUse * 100).toFixed(iovaUse < 0.1 ? 2 : 0)}%`,
        findings,
      };
      if (!started) bar.start(total, operations, shown);
      started = true;
      bar.update(operations, shown);
    },
    stop: () => bar.stop(),
  };
}

const WHY: Record<StressResult['ended'], string> = {
  operations: '',
  seconds: ', stopped by time',
  signal: ', interrupted',
  failure: '',
};

function describe(result: StressResult): string[] {
  const { profile, seed, driver, operations, done, refused, checks, failure, reproducer, timing } = result;
  const busiest = Object.entries(done)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
  const lines = [
    `${bold(profile)} under ${bold(driver)}, seed ${seed}: ${number(operations)} operations in ` +
      `${timing.seconds.toFixed(1)} s, ${rate(timing.operationsPerSecond)}/s${WHY[result.ended]}`,
    dim(`  ${busiest.map(([name, count]) => `${name} ${number(count)}`).join('  ')}`),
    dim(`  refused: ${list2(refused)}  complete checks: ${number(checks)}`),
  ];
  if (!failure) return [...lines, `  ${green('nothing found')}`];
  lines.push(
    `  ${red(failure.kind)} ${bold(failure.id)} at step ${number(failure.step)}: ${failure.message}`,
    `  again: ${result.replay}`,
  );
  if (reproducer) {
    const { operations: few, tries, minimal, program } = reproducer;
    lines.push(
      '',
      `  ${bold(`cut down to ${few.length} operations`)} in ${number(tries)} tries${minimal ? '' : ', not minimal yet'}:`,
      '',
      ...program
        .trimEnd()
        .split('\n')
        .map((line) => `    ${line}`),
    );
  }
  return lines;
}

function list2(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  return entries.length === 0 ? 'none' : entries.map(([name, count]) => `${name} ${number(count)}`).join('  ');
}

function describeSum(sum: CampaignSum): string[] {
  const lines = [
    `${bold(number(sum.runs))} runs, ${number(sum.operations)} operations, ${number(sum.checks)} complete checks`,
  ];
  for (const { kind, id, runs, seed, step, message, replay: command } of sum.failures) {
    lines.push(
      `  ${red(kind)} ${bold(id)} in ${runs} runs, first seed ${seed} at step ${number(step)}: ${message}`,
      `    ${command}`,
    );
  }
  if (sum.differing.length > 0) {
    lines.push(`  ${red('not deterministic')}: seeds ${sum.differing.join(', ')} came out differently`);
  }
  if (sum.failures.length === 0 && sum.differing.length === 0) lines.push(`  ${green('nothing found')}`);
  return lines;
}

function list(options: StressCommandOptions): void {
  const profiles = PROFILE_NAMES.map((name) => ({ name, title: PROFILES[name].title }));
  if (options.json) json(profiles);
  else
    console.log(
      table(
        ['profile', ''],
        profiles.map(({ name, title }) => [name, title]),
      ),
    );
}
