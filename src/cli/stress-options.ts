import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { AllocatorName, IommuMode, MachineOptions } from '../machine/config.js';
import { ALLOCATORS, IOMMU_MODES, machineConfig } from '../machine/config.js';
import { KERNEL_NAMES, type KernelName } from '../machine/presets.js';
import { DRIVER_NAMES, type DriverName } from '../workload/scenario.js';
import { OPERATION_NAMES } from '../workload/stress/kinds.js';
import { PROFILE_NAMES, PROFILES, type ProfileName, type StressProfile } from '../workload/stress/profiles.js';
import type { StressOptions } from '../workload/stress/stress.js';
import { choiceOption, integerOption, numberOption, sizeOption, UsageError, usage } from './options.js';

const CHECKER = ['on', 'off'] as const;

/** What commander gives for gemdma stress. */
export interface StressCommandOptions {
  profile: ProfileName | StressProfile;
  list?: boolean;
  seed: number;
  seeds: number;
  shard?: string;
  ops: number;
  time: number;
  driver: DriverName;
  kernel?: KernelName;
  iommu?: IommuMode;
  allocator?: AllocatorName;
  ram?: number;
  checker?: (typeof CHECKER)[number];
  machine?: MachineOptions;
  weight?: Record<string, number>;
  sizes?: StressProfile['pages'];
  objects?: number;
  contexts?: number;
  mappings?: number;
  checkEvery?: number;
  faults?: number;
  shrink?: number;
  trace?: string;
  replay?: string;
  events?: boolean;
  failNth?: string | true;
  threads?: number;
  merge?: string[];
  json?: boolean;
}

/** The command with all its options, without what it does. */
export function stressOptionsCommand(): Command {
  return new Command('stress')
    .description('drive devices through millions of random operations and check everything')
    .option(
      '--profile <name>',
      `what to do: ${PROFILE_NAMES.join(', ')}, or a JSON file`,
      profileOption,
      'churn' as ProfileName,
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
    .option('--allocator <name>', `IOVA allocator: ${ALLOCATORS.join(', ')}`, choiceOption('--allocator', ALLOCATORS))
    .option('--ram <size>', "emulated RAM, instead of the profile's", sizeOption('--ram'))
    .option('--checker <on|off>', 'dma-debug', choiceOption('--checker', CHECKER))
    .option('--machine <json>', 'any options of the machine, such as \'{"swiotlb":{"size":"1MiB"}}\'', machineOption)
    .option('--weight <op=n,...>', 'how often an operation comes, over the profile; 0: never', weightOption)
    .option('--sizes <pages[:weight],...>', 'sizes of objects and lists, such as 1:30,16:5,1024', sizesOption)
    .option('--objects <n>', 'most live objects', integerOption('--objects', 1, 1e6))
    .option('--contexts <n>', 'most live contexts', integerOption('--contexts', 0, 1e5))
    .option('--mappings <n>', 'most live mappings of devices without a driver', integerOption('--mappings', 0, 1e6))
    .option('--check-every <n>', 'operations between complete checks', integerOption('--check-every', 1))
    .option('--faults <p>', 'probability that an allocation near an operation fails', numberOption('--faults', 0, 1))
    .option('--shrink <seconds>', 'how long to cut a failing run down; 0: not at all', numberOption('--shrink', 0, 1e6))
    .option('--trace <file>', 'write the failing operations to a file (.gz: compressed)')
    .option('--fail-nth [scenario]', 'make every single allocation of a scenario fail in turn; default: of all')
    .option('--threads <n>', 'workers on one shared memory, all on the same domain', integerOption('--threads', 1, 63))
    .option('--replay <file>', 'apply the operations of such a file')
    .option('--events', 'with --replay: show what the machine does in each operation')
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
      `\nOperations: ${OPERATION_NAMES.join(' ')}.\n` +
        'Exit code 0: nothing was found; 1: a failure; 2: wrong usage.\n' +
        'A campaign on many machines, each with its own I:\n' +
        '  gemdma stress --seeds 1000 --shard $I/8 > part-$I.jsonl\n' +
        '  gemdma stress --merge part-*.jsonl',
    );
}

function profileOption(text: string): ProfileName | StressProfile {
  if (text.endsWith('.json')) return readJson<StressProfile>('--profile', () => readFileSync(text, 'utf8'));
  return choiceOption('--profile', PROFILE_NAMES)(text);
}

function machineOption(text: string): MachineOptions {
  const options = readJson<MachineOptions>('--machine', () => text);
  usage(() => machineConfig(options));
  return options;
}

function readJson<T>(name: string, read: () => string): T {
  try {
    return JSON.parse(read());
  } catch (error) {
    throw new UsageError(`${name}: ${(error as Error).message}`);
  }
}

/** Reads `bind=30,exec=0`; the option may come several times. */
function weightOption(text: string, before: Record<string, number> = {}): Record<string, number> {
  const weights = { ...before };
  for (const part of text.split(',')) {
    const [name, weight] = part.split('=');
    if (!OPERATION_NAMES.includes(name)) throw new UsageError(`--weight: there is no operation '${name}' (see --help)`);
    weights[name] = numberOption(`--weight ${name}`, 0, 1e9)(weight ?? '');
  }
  return weights;
}

/** Reads `1:30,16:5,1024`: pages, and how often, 1 when nothing is said. */
function sizesOption(text: string): StressProfile['pages'] {
  return text.split(',').map((part) => {
    const [pages, weight = '1'] = part.split(':');
    return [integerOption('--sizes', 1, 2 ** 20)(pages), numberOption('--sizes', 0, 1e9)(weight)] as const;
  });
}

/** The machine as the options have it, over the profile's. */
export function machineOptions(options: StressCommandOptions): MachineOptions {
  const { profile, allocator, kernel, ram, checker, machine } = options;
  const known = typeof profile === 'string' ? PROFILES[profile] : profile;
  const before: MachineOptions['iommu'] = machine?.iommu ?? (known as StressProfile).machine?.iommu;
  const details = typeof before === 'object' ? before : before && { mode: before };
  const iommu = { ...details, ...(options.iommu && { mode: options.iommu }), ...(allocator && { allocator }) };
  return {
    ...machine,
    ...(kernel && { kernel }),
    ...((options.iommu || allocator) && { iommu }),
    ...(ram && { ram }),
    ...(checker && { dmaDebug: checker === 'on' }),
  };
}

/** The options of one run. */
export function stressOptions(options: StressCommandOptions, seed: number): StressOptions {
  const { objects, contexts, mappings } = options;
  return {
    ...{ profile: options.profile, seed, driver: options.driver, machine: machineOptions(options) },
    ...{ operations: options.ops, seconds: options.time },
    limits: {
      ...(objects && { objects }),
      ...(contexts !== undefined && { contexts }),
      ...(mappings !== undefined && { mappings }),
    },
    ...(options.weight && { weights: options.weight }),
    ...(options.sizes && { pages: options.sizes }),
    ...(options.checkEvery && { checkEvery: options.checkEvery }),
    ...(options.faults && { faults: options.faults }),
    ...(options.shrink !== undefined && { shrink: options.shrink }),
  };
}
