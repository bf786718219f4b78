import type { Command } from 'commander';
import { type CallProgress, inSlices, type Sliced } from '../core/slices.js';
import { readLines } from '../files/text.js';
import { stressThreads } from '../long-calls.js';
import { type Campaign, type CampaignResult, parseShard, shardSeeds, sumResults } from '../stress/campaign.js';
import type { StressProgress } from '../stress/config/configure.js';
import type { Operation } from '../stress/engine/operation.js';
import type { FailNthResult } from '../stress/fail-nth.js';
import { Replayer } from '../stress/shrink/replayer.js';
import type { StressResult } from '../stress/stress.js';
import { readTrace, traceContent } from '../stress/trace.js';
import type { Repertoire } from '../stress/world/vocabulary.js';
import { PROFILE_NAMES, PROFILES } from '../stress-i915/profiles.js';
import { POLICY_NAMES, type PolicyName, type ScenarioStep } from '../workload/scenarios/scenario.js';
import { FAIL_NTH_SCENARIOS, failNthAsync, repertoireOf, stress } from '../workload/stress.js';
import { asUsageError, EXIT, type ExitCode, UsageError, usage } from './exit.js';
import { type Frame, framed } from './frame.js';
import { htmlPage } from './html-page.js';
import { stressReport } from './html-reports.js';
import { policyError, readPolicy } from './policy-file.js';
import { bold, dim, green, number, rate, red, table, yellow } from './print.js';
import { withRun } from './reproducer.js';
import { describeSteps } from './steps.js';
import { machineOptions, type StressCommandOptions, stressOptions, stressOptionsCommand } from './stress-options.js';
import { describe, describeSum, progressOf } from './stress-report.js';

/** gemdma stress: random operations from a seed, everything checked, any failure cut down to a few lines. */
export function stressCommand(): Command {
  return stressOptionsCommand().action(
    framed((frame, options: StressCommandOptions) =>
      run(frame, options).catch((error) => {
        throw policyError(asUsageError(error), options.policy);
      }),
    ),
  );
}

async function run(frame: Frame, options: StressCommandOptions): Promise<ExitCode> {
  if (options.list) return listProfiles(frame);
  if (options.events && options.replay === undefined) throw new UsageError('--events goes with --replay');
  if (options.shard !== undefined && options.seeds === 1) throw new UsageError('--shard goes with --seeds');
  if (options.failNth !== undefined) return runFailNth(frame, options.failNth, options);
  if (options.threads !== undefined) return runThreads(frame, options.threads, options);
  if (options.merge) return merge(frame, options.merge);
  if (options.replay !== undefined) return replay(frame, options.replay, options);
  for (const option of ['trace', 'html'] as const) {
    if (options.seeds > 1 && options[option] !== undefined) throw new UsageError(`--${option} goes with one seed`);
  }
  if (options.seeds > 1 || options.shard !== undefined) return campaign(frame, options);
  const given = await readPolicy(options.policy, frame.signal);
  const trace = frame.output('--trace', options.trace);
  const program = frame.output('--trace', options.trace && `${options.trace.replace(/\.gz$/, '')}.mjs`);
  const html = frame.output('--html', options.html);
  const bar = frame.bar();
  const run = await stress({
    ...stressOptions(options, options.seed, given),
    signal: frame.signal,
    onProgress: (progress) => bar.update(progressOf(progress)),
  });
  const result = await withRun(run, given, frame.signal);
  const { config, failure, reproducer } = result;
  frame.show(result, describe, { wrong: failure !== null });
  html?.set(htmlPage(stressReport('Stress run', result), process.argv.slice(2)));
  if (failure) {
    const { kind, id, message } = failure;
    const operations = reproducer?.operations ?? [];
    trace?.set(traceContent(trace.file, { config, failure: { kind, id, message }, operations }));
    if (reproducer) program?.set(reproducer.program);
  }
  return failure ? EXIT.findings : EXIT.ok;
}

function listProfiles(frame: Frame): ExitCode {
  frame.show(
    PROFILE_NAMES.map((name) => ({ name, title: PROFILES[name].title })),
    (profiles) =>
      table(
        ['profile', ''],
        profiles.map(({ name, title }) => [name, title]),
      ),
  );
  return EXIT.ok;
}

async function runFailNth(frame: Frame, wanted: string | true, options: StressCommandOptions): Promise<ExitCode> {
  const names = FAIL_NTH_SCENARIOS.map(({ name }) => name);
  const scenarios = FAIL_NTH_SCENARIOS.filter(
    ({ name }) => wanted === true || name.toLowerCase() === wanted.toLowerCase(),
  );
  if (scenarios.length === 0) throw new UsageError(`--fail-nth is one of ${names.join(', ')}, not '${String(wanted)}'`);
  const { signal } = frame;
  const bar = frame.bar();
  const given = await readPolicy(options.policy, frame.signal);
  const subject = { policy: given.policy, machine: machineOptions(options) };
  const results: FailNthResult[] = [];
  for (const [i, scenario] of scenarios.entries()) {
    if (signal.aborted) break;
    const onProgress = ({ done, total, what }: CallProgress): void =>
      bar.update({ done: i + done / total, total: scenarios.length, what });
    results.push(await failNthAsync(scenario, { ...subject, signal, onProgress }));
  }
  const points = results.reduce((sum, result) => sum + result.points, 0);
  const failures = results.flatMap((result) =>
    result.failures.map((failure) => ({ ...failure, scenario: result.scenario })),
  );
  const rows = results.map(({ scenario, points: tried, refused, absorbed, failures: wrong }) => {
    const said = Object.values(refused).reduce((sum, count) => sum + count, 0);
    return [scenario, number(tried), number(said), number(absorbed), number(wrong.length)];
  });
  frame.show(
    results,
    () => [
      table(['scenario', 'points', 'refused', 'got along', 'wrong'], rows),
      ...failures.map(
        ({ scenario, operation, op, kind, nth, failure }) =>
          `  ${red('wrong')} ${scenario}, operation ${operation} (${op}), ${kind} allocation ${nth}: ${failure}`,
      ),
      `${bold(number(points))} allocations failed, each once; ${verdict(failures.length, points)}`,
    ],
    { wrong: failures.length > 0 || points === 0 },
  );
  return failures.length > 0 || points === 0 ? EXIT.findings : EXIT.ok;
}

async function runThreads(frame: Frame, threads: number, options: StressCommandOptions): Promise<ExitCode> {
  const result = await stressThreads({
    ...{ threads, seed: options.seed, operations: options.ops },
    ...{ signal: frame.signal, onProgress: frame.bar().update },
    machine: machineOptions(options),
  });
  const { seed, operations, mapped, timing, contention, failures } = result;
  const waited = Object.entries(contention).map(([what, count]) => `${what} ${number(count)}`);
  frame.show(
    result,
    () => [
      `${bold(`${threads} threads`)} on one domain, seed ${seed}: ${number(operations)} operations in ` +
        `${timing.seconds.toFixed(1)} s, ${rate(timing.operationsPerSecond)}/s`,
      dim(`  mapped ${number(mapped)}  locks found held: ${waited.join('  ')}`),
      ...failures.map((failure) => `  ${red('wrong')} ${failure}`),
      ...(failures.length === 0
        ? [`  ${green('every page owned once, all counters add up, all structures check out')}`]
        : []),
    ],
    { wrong: failures.length > 0 },
  );
  return failures.length > 0 ? EXIT.findings : EXIT.ok;
}

function verdict(wrong: number, points: number): string {
  if (points === 0 && wrong === 0) return red('nothing was tried');
  return wrong === 0
    ? green('nothing lost, everything as it was before')
    : red(`${number(wrong)} left something wrong`);
}

async function campaign(frame: Frame, options: StressCommandOptions): Promise<ExitCode> {
  const shard = options.shard === undefined ? undefined : usage(() => parseShard(options.shard!));
  const { signal } = frame;
  const bar = frame.bar();
  const given = await readPolicy(options.policy, frame.signal);
  const seeds = [...shardSeeds(options.seed, options.seeds, shard)];
  if (seeds.length === 0) throw new UsageError(`--shard ${options.shard} has none of ${options.seeds} seeds`);
  let failed = false;
  for (const [i, seed] of seeds.entries()) {
    if (signal.aborted) break;
    const part = {
      onProgress: (progress: StressProgress): void => {
        const { done, total, what } = progressOf(progress);
        bar.update({ done: i + done / total, total: seeds.length, what: `seed ${seed}  ${what}` });
      },
    };
    const run = await stress({ ...stressOptions(options, seed, given), signal, ...part });
    const result = await withRun(run, given, signal);
    failed ||= result.failure !== null;
    // Half a run says nothing that a sum could use.
    const campaign: Campaign = { first: options.seed, seeds: options.seeds, shard: shard ?? { index: 1, of: 1 } };
    if (result.ended !== 'signal') frame.line({ ...result, campaign });
  }
  return failed ? EXIT.findings : EXIT.ok;
}

function merge(frame: Frame, files: string[]): ExitCode {
  const lost: string[] = [];
  const sum = sumResults(files.flatMap((file) => readResults(file, lost)));
  for (const what of lost) frame.note(what);
  // A file may have lost results if the campaign has all its seeds: another run of the shard has them.
  const { missing } = sum;
  const whole = sum.runs > 0 && sum.idle.length === 0 && (missing ? missing.seeds === 0 : lost.length === 0);
  const wrong = sum.failures.length > 0 || sum.differing.length > 0 || !whole;
  frame.show({ ...sum, lost }, () => describeSum(sum, whole), { wrong });
  return wrong ? EXIT.findings : EXIT.ok;
}

/** What happens in each operation, up to the one that fails. */
function stepsOf(replayer: Replayer, operations: readonly Operation[], repertoire: Repertoire): ScenarioStep[] {
  const runner = replayer.after([]);
  const { events } = runner.world.machine;
  events.start();
  const steps: ScenarioStep[] = [];
  for (const operation of operations) {
    const well = runner.apply(operation);
    steps.push({ program: repertoire.kindOf(operation).print(operation), events: events.drain() });
    if (!well) break;
  }
  return steps;
}

/** The results in a file. A job that was killed may leave none, or half of the last one: that is reported, and the others count. */
function readResults(file: string, lost: string[]): CampaignResult[] {
  const lines = usage(() => readLines(file)).filter((line) => line.trim() !== '');
  if (lines.length === 0) lost.push(`${file}: no results`);
  const results: CampaignResult[] = [];
  for (const [i, line] of lines.entries()) {
    const result = parseResult(line);
    if (isResult(result)) results.push(result);
    else if (result === undefined && i === lines.length - 1) {
      lost.push(`${file}:${i + 1}: cut off, left out`);
    } else throw new UsageError(`${file}:${i + 1}: not the result of a stress run`);
  }
  return results;
}

/** Whether a value has what a sum needs of a result. */
function isResult(value: unknown): value is CampaignResult {
  if (typeof value !== 'object' || value === null) return false;
  const { seed, profile, operations, checks, done, refused, config, failure } = value as StressResult;
  return (
    [seed, operations, checks].every(Number.isSafeInteger) &&
    typeof profile === 'string' &&
    [done, refused, config].every((part) => typeof part === 'object' && part !== null) &&
    (failure === null || typeof failure?.id === 'string')
  );
}

function parseResult(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function replay(frame: Frame, file: string, options: StressCommandOptions): Promise<ExitCode> {
  const given = await readPolicy(options.policy, frame.signal);
  const repertoire = repertoireOf({ policy: given.policy });
  const { config, operations, failure } = usage(() => readTrace(file, repertoire));
  if (typeof given.policy === 'string' && !POLICY_NAMES.includes(config.subject as PolicyName)) {
    throw new UsageError(`${file} was made with another policy, '${config.subject}': --policy says where it is`);
  }
  const replayer = new Replayer(config, repertoire);
  const steps = options.events ? stepsOf(replayer, operations, repertoire) : undefined;
  const bar = frame.bar();
  const found = await inSlices(stoppable(replayer.sliced(operations), frame.signal), () =>
    bar.update({ done: 0, total: 1, what: `${number(operations.length)} operations` }),
  );
  frame.show(
    { file, operations: operations.length, recorded: failure, failure: found, steps },
    () => [
      ...(steps ? describeSteps(steps) : []),
      found
        ? `${red(found.kind)} ${bold(found.id)}: ${found.message}`
        : frame.signal.aborted
          ? yellow('interrupted before the last operation')
          : green(`${number(operations.length)} operations, nothing found`),
    ],
    { wrong: found !== null },
  );
  return found ? EXIT.findings : EXIT.ok;
}

/** Work that ends without a result when the signal is aborted. */
function* stoppable<Result>(work: Sliced<Result>, signal: AbortSignal): Sliced<Result | null> {
  for (;;) {
    const slice = work.next();
    if (slice.done) return slice.value;
    yield;
    if (signal.aborted) return null;
  }
}
