import { Command } from 'commander';
import { runMainJob } from '../workload/main-job.js';
import {
  DRIVER_NAMES,
  type DriverName,
  type Scenario,
  type ScenarioResult,
  type ScenarioStep,
} from '../workload/scenario.js';
import { scenarios } from '../workload/scenarios/index.js';
import { describeMainJob } from './main-job.js';
import { choiceOption, Interrupted, integerOption, interruptSignal, UsageError } from './options.js';
import { bold, bytes, dim, green, json, number, red } from './print.js';
import { describeSteps } from './steps.js';

interface RunOptions {
  list?: boolean;
  driver?: DriverName;
  seed: number;
  events?: boolean;
  json?: boolean;
}

/** gemdma run: named scenarios, by default the main job. */
export function runCommand(): Command {
  return new Command('run')
    .description('run the main job, or a named scenario, and say what came of it')
    .argument('[name]', 'scenario; --list shows them all; without one: the main job')
    .option('--list', 'show every scenario')
    .option(
      '--driver <preset>',
      `mapping policy of i915: ${DRIVER_NAMES.join(', ')}`,
      choiceOption('--driver', DRIVER_NAMES),
    )
    .option('--seed <n>', 'decides everything random', integerOption('--seed', 0, 0xffffffff), 1)
    .option('--events', 'show every step and what the machine does in it (leak paths)')
    .option('--json', 'results as JSON: one object with --driver, else an array with one a driver')
    .addHelpText('after', '\nExit code 0: everything came out as the kernel has it; 1: something did not.')
    .action(run);
}

function run(name: string | undefined, options: RunOptions): void {
  if (options.list) {
    list(options);
    return;
  }
  if (name === undefined) {
    if (options.events) throw new UsageError('--events goes with the name of a scenario');
    mainJob(options);
    return;
  }
  const scenario = scenarios.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!scenario) throw new UsageError(`there is no scenario '${name}': gemdma run --list shows them all`);
  if (options.events && !scenario.steps)
    throw new UsageError(`${scenario.name} cannot be shown step by step: --events is for L1 to L7`);
  const signal = interruptSignal();
  const results: ScenarioResult[] = [];
  for (const driver of driversOf(scenario, options.driver)) {
    if (signal.aborted) break;
    const steps: ScenarioStep[] = [];
    const onStep = options.events ? (step: ScenarioStep) => steps.push(step) : undefined;
    const result = scenario.run({ driver, seed: options.seed, signal, ...(onStep && { onStep }) });
    results.push(onStep ? { ...result, steps } : result);
  }
  if (options.json) json(options.driver || results.length === 1 ? results[0] : results);
  else
    for (const result of results)
      console.log([...describe(scenario, result), ...describeSteps((result.steps as ScenarioStep[]) ?? [])].join('\n'));
  if (signal.aborted) throw new Interrupted();
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
}

function mainJob({ driver, seed, json: asJson }: RunOptions): void {
  if (driver) throw new UsageError('the main job compares drivers: gemdma run leak --driver ... runs one');
  const signal = interruptSignal();
  const result = runMainJob(seed, signal);
  if (signal.aborted) throw new Interrupted();
  if (asJson) json(result);
  else console.log(describeMainJob(result));
  process.exitCode = result.ok ? 0 : 1;
}

function driversOf(scenario: Scenario, wanted: DriverName | undefined): readonly DriverName[] {
  if (scenario.drivers.length === 0) {
    if (wanted) throw new UsageError(`${scenario.name} has no i915 device: it takes no --driver`);
    return [DRIVER_NAMES[0]];
  }
  if (!wanted) return scenario.drivers;
  if (!scenario.drivers.includes(wanted)) {
    throw new UsageError(`${scenario.name} runs under ${scenario.drivers.join(', ')}, not ${wanted}`);
  }
  return [wanted];
}

function describe(scenario: Scenario, result: ScenarioResult): string[] {
  const verdict = result.ok ? green('as the kernel has it') : red('NOT as the kernel has it');
  return [
    `${bold(scenario.name)}${result.driver ? ` under ${bold(result.driver)}` : ''}  ${scenario.title}`,
    ...(scenario.describe?.(result) ?? [
      `  mapped ${number(result.maps)}, unmapped ${number(result.unmaps)}, live ${number(result.live)}, ` +
        `leaked ${number(result.leakedMappings)} (${bytes(result.leakedIovaBytes)} of IOVA)`,
    ]),
    `  ${verdict}`,
  ];
}

function list(options: RunOptions): void {
  if (options.json) {
    json(scenarios.map(({ name, title, group, drivers }) => ({ name, title, group, drivers })));
    return;
  }
  let group = '';
  const width = Math.max(...scenarios.map(({ name }) => name.length), 0);
  for (const scenario of scenarios) {
    if (scenario.group !== group) {
      group = scenario.group;
      console.log(bold(group));
    }
    console.log(`  ${scenario.name.padEnd(width)}  ${dim(scenario.title)}`);
  }
}
