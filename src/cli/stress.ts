import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ScenarioStep } from '../workload/scenario.js';
import { parseShard, shardSeeds, sumResults } from '../workload/stress/campaign.js';
import { failNth } from '../workload/stress/fail-nth.js';
import { FAIL_NTH_SCENARIOS } from '../workload/stress/fail-nth-scenarios.js';
import { kindOf } from '../workload/stress/kinds.js';
import type { Operation } from '../workload/stress/operation.js';
import { Replayer } from '../workload/stress/replayer.js';
import { type StressResult, stress } from '../workload/stress/stress.js';
import { readLines, readTrace, writeTrace } from '../workload/stress/trace.js';
import { asUsageError, interruptSignal, UsageError, usage } from './options.js';
import { bold, dim, green, json, number, rate, red, table } from './print.js';
import { describeSteps } from './steps.js';
import { machineOptions, type StressCommandOptions, stressOptions, stressOptionsCommand } from './stress-options.js';
import { describe, describeSum, listProfiles, progressBar } from './stress-report.js';

/** gemdma stress: random operations from a seed, everything checked, any failure cut down to a few lines. */
export function stressCommand(): Command {
  return stressOptionsCommand().action((options) =>
    run(options).catch((error) => {
      throw asUsageError(error);
    }),
  );
}

async function run(options: StressCommandOptions): Promise<void> {
  if (options.list) return listProfiles(options.json);
  if (options.failNth !== undefined) return runFailNth(options.failNth, options);
  if (options.threads !== undefined) return runThreads(options.threads, options);
  if (options.merge) return merge(options.merge, options);
  if (options.replay !== undefined) return replay(options.replay, options);
  if (options.seeds > 1 || options.shard !== undefined) return campaign(options);
  const signal = interruptSignal();
  const bar = options.json ? undefined : progressBar();
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
  const sum = sumResults(files.flatMap(readResults));
  if (options.json) json(sum);
  else console.log(describeSum(sum).join('\n'));
  process.exitCode = sum.failures.length > 0 || sum.differing.length > 0 ? 1 : 0;
}

/** What happens in each operation, up to the one that fails. */
function stepsOf(replayer: Replayer, operations: readonly Operation[]): ScenarioStep[] {
  const runner = replayer.after([]);
  const { events } = runner.world.machine;
  events.start();
  const steps: ScenarioStep[] = [];
  for (const operation of operations) {
    const well = runner.apply(operation);
    steps.push({ program: kindOf(operation).print(operation), events: events.drain() });
    if (!well) break;
  }
  return steps;
}

/** The results in a file. A job that was killed may leave none, or half of the last: that is said, and the rest counts. */
function readResults(file: string): StressResult[] {
  const lines = usage(() => readLines(file));
  if (lines.length === 0) console.error(`gemdma: ${file}: no results`);
  const results: StressResult[] = [];
  for (const [i, line] of lines.entries()) {
    const result = parseResult(line);
    if (typeof result?.seed === 'number' && typeof result.profile === 'string') results.push(result);
    else if (result === undefined && i > 0 && i === lines.length - 1) {
      console.error(`gemdma: ${file}:${i + 1}: cut off, left out`);
    } else throw new UsageError(`${file}:${i + 1}: not the result of a stress run`);
  }
  return results;
}

function parseResult(line: string): StressResult | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function replay(file: string, options: StressCommandOptions): void {
  const { config, operations, failure } = usage(() => readTrace(file));
  const replayer = new Replayer(config);
  const steps = options.events ? stepsOf(replayer, operations) : undefined;
  const found = replayer.run(operations);
  if (options.json) json({ file, operations: operations.length, recorded: failure, failure: found, steps });
  else {
    if (steps) console.log(describeSteps(steps).join('\n'));
    if (found) console.log(`${red(found.kind)} ${bold(found.id)}: ${found.message}`);
    else console.log(green(`${number(operations.length)} operations, nothing found`));
  }
  process.exitCode = found ? 1 : 0;
}

function saveTrace(file: string, { config, failure, reproducer }: StressResult): void {
  const { kind, id, message } = failure!;
  writeTrace(file, { config, failure: { kind, id, message }, operations: reproducer?.operations ?? [] });
  if (reproducer) writeFileSync(`${file.replace(/\.gz$/, '')}.mjs`, reproducer.program);
}
