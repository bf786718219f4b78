import { fileURLToPath } from 'node:url';
import { Argument, type Command, Option } from 'commander';
import { inSlices } from '../core/slices.js';
import type { MachineEvent } from '../events/events.js';
import type { PolicySource } from '../stress-i915/policy.js';
import { runMainJob } from '../workload/scenarios/main-job.js';
import { POLICY_NAMES, type Scenario, type ScenarioResult, type ScenarioStep } from '../workload/scenarios/scenario.js';
import { scenarios } from '../workload/scenarios.js';
import { completed } from './completion.js';
import { withDmesg } from './dmesg.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { htmlPage } from './html-page.js';
import { type RunOfScenario, runReport } from './html-reports.js';
import { announceMainJob, describeMainJob } from './main-job.js';
import { integerOption } from './options.js';
import { policyError, policyOption, readPolicy } from './policy-file.js';
import { bold, bytes, dim, green, number, red, yellow } from './print.js';
import { describeSteps } from './steps.js';
import { traceOutput } from './trace-out.js';

/** A real 6.12 kernel's domain filled until allocations fail, a third of it freed, and again. */
const RECORDING = 'test/golden/iova/c_full.txt.gz';

interface RunOptions {
  list?: boolean;
  policy?: string;
  seed: number;
  events?: boolean;
  traceOut?: string;
  html?: string;
}

/** gemdma run: named scenarios, by default the main job. */
export function runCommand(): Command {
  return withDmesg(command('run', 'run the main job, or a named scenario, and say what came of it'))
    .addArgument(
      completed(
        new Argument('[name]', 'scenario; --list shows them all; without one: the main job'),
        scenarios.map(({ name }) => name),
      ),
    )
    .addOption(new Option('--list', 'show every scenario').conflicts(['policy', 'events', 'seed', 'traceOut', 'html']))
    .addOption(policyOption())
    .option('--seed <n>', 'decides everything random', integerOption('--seed', 0, 0xffffffff), 1)
    .option('--events', 'show every step and what the machine does in it (leak paths)')
    .option(
      '--trace-out <file>',
      'write what the machine does: ftrace text for .txt, else a Perfetto trace (leak paths)',
    )
    .option('--html <file>', 'write a report with pictures, one HTML file (named scenarios)')
    .addHelpText('after', '\n--json gives one object with --policy, else an array with one per policy.')
    .action(
      framed((frame, name: string | undefined, options: RunOptions) =>
        run(frame, name, options).catch((error) => {
          throw policyError(error, options.policy);
        }),
      ),
    );
}

async function run(frame: Frame, name: string | undefined, options: RunOptions): Promise<ExitCode> {
  if (options.list) return list(frame);
  if (name === undefined) return mainJob(frame, options);
  const scenario = scenarios.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!scenario) throw new UsageError(`there is no scenario '${name}': gemdma run --list shows them all`);
  if (options.events && !scenario.steps)
    throw new UsageError(`${scenario.name} cannot be shown step by step: --events is for L1 to L7`);
  const out = frame.output('--trace-out', options.traceOut);
  if (out && !scenario.steps)
    throw new UsageError(`${scenario.name} has no steps to trace: --trace-out is for L1 to L7`);
  const html = frame.output('--html', options.html);
  const policies = await policiesOf(frame, scenario, options.policy);
  if (out && policies.length > 1) {
    throw new UsageError('--trace-out writes one run: choose a --policy');
  }
  const events: MachineEvent[] = [];
  const { signal } = frame;
  const results: ScenarioResult[] = [];
  const runs: RunOfScenario[] = [];
  for (const policy of policies) {
    if (signal.aborted) break;
    const steps: ScenarioStep[] = [];
    const onStep =
      options.events || out || html
        ? (step: ScenarioStep) => {
            if (options.events || html) steps.push(step);
            if (out) events.push(...step.events);
          }
        : undefined;
    const work = scenario.run({ policy, seed: options.seed, signal, ...(onStep && { onStep }) });
    const result = await inSlices(work, frame.bar().update);
    runs.push({ result, steps });
    results.push(options.events ? { ...result, steps } : result);
  }
  const ok = results.every((result) => result.ok);
  if (options.traceOut !== undefined) out?.set(await traceOutput(options.traceOut, events));
  html?.set(htmlPage(runReport(scenario.title, runs), process.argv.slice(2)));
  frame.show(
    options.policy || results.length === 1 ? results[0] : results,
    () =>
      results.flatMap((result) => [
        ...describe(scenario, result),
        ...describeSteps((result.steps as ScenarioStep[]) ?? []),
      ]),
    { wrong: !ok },
  );
  return ok ? EXIT.ok : EXIT.findings;
}

async function mainJob(frame: Frame, { policy, seed, events, traceOut, html }: RunOptions): Promise<ExitCode> {
  if (html) throw new UsageError('--html goes with the name of a scenario, such as leak or L1');
  if (events || traceOut) throw new UsageError(`--${events ? 'events' : 'trace-out'} goes with the name of a scenario`);
  if (policy) throw new UsageError('the main job compares policies: gemdma run leak --policy ... runs one');
  if (!frame.json) frame.show(seed, announceMainJob);
  const recording = { path: fileURLToPath(new URL(`../../${RECORDING}`, import.meta.url)), name: RECORDING };
  const result = await runMainJob(seed, recording, { signal: frame.signal, onProgress: frame.bar().update });
  frame.show(result, describeMainJob, { wrong: !result.ok });
  return result.ok ? EXIT.ok : EXIT.findings;
}

async function policiesOf(
  frame: Frame,
  scenario: Scenario,
  wanted: string | undefined,
): Promise<readonly PolicySource[]> {
  if (scenario.policies.length === 0) {
    if (wanted) throw new UsageError(`${scenario.name} has no i915 device: it takes no --policy`);
    return [POLICY_NAMES[0]];
  }
  if (!wanted) return scenario.policies;
  const { policy } = await readPolicy(wanted, frame.signal);
  if (typeof policy === 'string' ? !scenario.policies.includes(policy) : !scenario.anyPolicy) {
    throw new UsageError(`${scenario.name} runs under ${scenario.policies.join(', ')}, not ${wanted}`);
  }
  return [policy];
}

function describe(scenario: Scenario, result: ScenarioResult): string[] {
  const verdict = result.interrupted
    ? yellow('interrupted: the figures are of a part of it')
    : result.ok
      ? green(isPreset(result) ? 'as the kernel has it' : 'nothing lost')
      : red(isPreset(result) ? 'NOT as the kernel has it' : 'mappings lost');
  return [
    `${bold(scenario.name)}${result.policy ? ` under ${bold(result.policy)}` : ''}  ${scenario.title}`,
    ...(scenario.describe?.(result) ?? [
      `  mapped ${number(result.maps)}, unmapped ${number(result.unmaps)}, live ${number(result.live)}, ` +
        `leaked ${number(result.leakedMappings)} (${bytes(result.leakedIovaBytes)} of IOVA)`,
    ]),
    `  ${verdict}`,
  ];
}

/** Whether a kernel's behaviour is known: a preset of i915 ran, or no policy. */
function isPreset({ policy }: ScenarioResult): boolean {
  return policy === undefined || (POLICY_NAMES as readonly string[]).includes(policy);
}

function list(frame: Frame): ExitCode {
  const width = Math.max(...scenarios.map(({ name }) => name.length), 0);
  frame.show(
    scenarios.map(({ name, title, group, policies }) => ({ name, title, group, policies })),
    (all) =>
      all.flatMap(({ name, title, group }, i) => [
        ...(group === all[i - 1]?.group ? [] : [bold(group)]),
        `  ${name.padEnd(width)}  ${dim(title)}`,
      ]),
  );
  return EXIT.ok;
}
