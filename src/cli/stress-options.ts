import { type Command, Option } from 'commander';
import { readText } from '../files/text.js';
import { ALLOCATOR_NAMES, type AllocatorName } from '../iova/allocators.js';
import { KERNEL_NAMES, type KernelName } from '../kernels/kernels.js';
import type { IommuMode, MachineOptions } from '../machine/config.js';
import { IOMMU_MODES } from '../machine/config.js';
import type { StressProfile } from '../stress/world/profile.js';
import { PROFILE_NAMES, PROFILES, type ProfileName } from '../stress-i915/profiles.js';
import { FAIL_NTH_SCENARIOS, repertoireOf, type StressOptions, stressConfig } from '../workload/stress.js';
import { completed } from './completion.js';
import { withDmesg } from './dmesg.js';
import { asUsageError, UsageError, usage } from './exit.js';
import { command } from './frame.js';
import { integerOption, machineOption, numberOption, readJson, sizeOption } from './options.js';
import { type GivenPolicy, policyOption } from './policy-file.js';

const DMA_DEBUG = ['on', 'off'] as const;

/** A user's profile, and its file. */
interface ProfileFile {
  file: string;
  profile: StressProfile;
}

/** What commander gives for gemdma stress. */
export interface StressCommandOptions {
  profile: ProfileName | ProfileFile;
  list?: boolean;
  seed: number;
  seeds: number;
  shard?: string;
  ops: number;
  time: number;
  policy?: string;
  kernel?: KernelName;
  iommu?: IommuMode;
  allocator?: AllocatorName;
  ram?: number;
  dmaDebug?: (typeof DMA_DEBUG)[number];
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
  html?: string;
  replay?: string;
  events?: boolean;
  failNth?: string | true;
  threads?: number;
  merge?: string[];
  json?: boolean;
}

/** The command with all its options, without what it does. */
export function stressOptionsCommand(): Command {
  return withDmesg(command('stress', 'drive devices through millions of random operations and check everything'))
    .option(
      '--profile <name>',
      `what to do: ${PROFILE_NAMES.join(', ')}, or a JSON file`,
      profileOption,
      'churn' as ProfileName,
    )
    .addOption(mode('--list', 'show the profiles'))
    .option('--seed <n>', 'decides everything random', integerOption('--seed', 0, 0xffffffff), 1)
    .option('--ops <n>', 'operations (1k, 10M)', integerOption('--ops', 1), 1_000_000)
    .option('--time <seconds>', 'stop earlier after so many seconds', numberOption('--time', 0.001, 1e9), 60)
    .addOption(policyOption())
    .addOption(new Option('--kernel <preset>', 'DMA stack').choices(KERNEL_NAMES))
    .addOption(new Option('--iommu <mode>', 'back end').choices(IOMMU_MODES))
    .addOption(new Option('--allocator <name>', 'IOVA allocator').choices(ALLOCATOR_NAMES))
    .option('--ram <size>', "emulated RAM, instead of the profile's", sizeOption('--ram'))
    .addOption(new Option('--dma-debug <on|off>', 'whether dma-debug watches').choices(DMA_DEBUG))
    .option('--machine <json>', 'any options of the machine, such as \'{"swiotlb":{"size":"1MiB"}}\'', machineOption)
    .option('--weight <op=n,...>', 'how often an operation comes, over the profile; 0: never', weightOption)
    .option('--sizes <pages[:weight],...>', 'sizes of objects and lists, such as 1:30,16:5,1024', sizesOption)
    .option('--objects <n>', 'most live objects', integerOption('--objects', 1, 1e6))
    .option('--contexts <n>', 'most live contexts', integerOption('--contexts', 0, 1e5))
    .option('--mappings <n>', 'most live mappings of devices without a driver', integerOption('--mappings', 0, 1e6))
    .option('--check-every <n>', 'operations between complete checks', integerOption('--check-every', 1))
    .option('--faults <p>', 'probability that an allocation near an operation fails', numberOption('--faults', 0, 1))
    .option('--shrink <seconds>', 'how long to cut a failing run down; 0: not at all', numberOption('--shrink', 0, 1e6))
    .option('--html <file>', 'write a report with pictures, one HTML file (one run)')
    .option('--trace <file>', 'write the failing operations to a file (.gz: compressed), and the program to FILE.mjs')
    .addOption(
      completed(
        mode('--fail-nth [scenario]', 'make every allocation of a scenario (default: of each) fail in turn'),
        FAIL_NTH_SCENARIOS.map(({ name }) => name),
      ),
    )
    .addOption(
      mode('--threads <n>', 'workers on one shared memory, all on the same domain').argParser(
        integerOption('--threads', 1, 63),
      ),
    )
    .addOption(mode('--replay <file>', 'apply the operations of such a file'))
    .option('--events', 'with --replay: show what the machine does in each operation')
    .option(
      '--seeds <n>',
      'a campaign: so many seeds, from --seed on, a JSON line each',
      integerOption('--seeds', 1),
      1,
    )
    .option('--shard <I/N>', 'of a campaign, take every N-th seed from the I-th on')
    .addOption(mode('--merge <files...>', 'sum the JSON lines of campaigns'))
    .addHelpText(
      'after',
      `\nOperations: ${repertoireOf().names.join(' ')}.\n` +
        'A campaign on many machines, each with its own I:\n' +
        '  gemdma stress --seeds 1000 --shard $I/8 > part-$I.jsonl\n' +
        '  gemdma stress --merge part-*.jsonl',
    );
}

const OF_MACHINE = ['kernel', 'iommu', 'allocator', 'ram', 'dmaDebug', 'machine'] as const;
const OF_RUN = [
  ...['profile', 'seed', 'seeds', 'shard', 'ops', 'time', 'policy', 'weight', 'sizes', 'objects', 'contexts'],
  ...['mappings', 'checkEvery', 'faults', 'shrink', 'trace', 'html', 'events'],
];

/** Kinds of work of which a call does one, with the options that each obeys: what it would ignore is refused. */
const MODES: Readonly<Record<string, readonly string[]>> = {
  failNth: [...OF_MACHINE, 'policy'],
  threads: [...OF_MACHINE, 'seed', 'ops'],
  replay: ['policy', 'events'],
  merge: [],
  list: [],
};

function mode(flags: string, description: string): Option {
  const option = new Option(flags, description);
  const obeys = [...MODES[option.attributeName()], option.attributeName()];
  return option.conflicts([...Object.keys(MODES), ...OF_MACHINE, ...OF_RUN].filter((name) => !obeys.includes(name)));
}

function profileOption(text: string): ProfileName | ProfileFile {
  if (text.endsWith('.json')) {
    const json = usage(() => readText(text));
    const profile = readJson<StressProfile>(`--profile ${text}`, json);
    if (typeof profile !== 'object' || profile === null) throw new UsageError(`--profile ${text}: not a profile`);
    try {
      stressConfig({ profile });
    } catch (error) {
      const told = asUsageError(error);
      throw told instanceof UsageError ? new UsageError(`--profile ${text}: ${told.message}`) : told;
    }
    return { file: text, profile };
  }
  if (!PROFILE_NAMES.includes(text as ProfileName)) {
    throw new UsageError(`--profile is one of ${PROFILE_NAMES.join(', ')} or a .json file, not '${text}'`);
  }
  return text as ProfileName;
}

/** Reads `bind=30,exec=0`; the option may come several times. */
function weightOption(text: string, before: Record<string, number> = {}): Record<string, number> {
  const weights = { ...before };
  for (const part of text.split(',')) {
    const [name, weight] = part.split('=');
    if (!repertoireOf().names.includes(name))
      throw new UsageError(`--weight: there is no operation '${name}' (see --help)`);
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
  const { profile, allocator, kernel, ram, dmaDebug, machine } = options;
  const known: StressProfile = typeof profile === 'string' ? PROFILES[profile] : profile.profile;
  const before: MachineOptions['iommu'] = machine?.iommu ?? known.machine?.iommu;
  const details = typeof before === 'object' ? before : before && { mode: before };
  const iommu = { ...details, ...(options.iommu && { mode: options.iommu }), ...(allocator && { allocator }) };
  return {
    ...machine,
    ...(kernel && { kernel }),
    ...((options.iommu || allocator) && { iommu }),
    ...(ram !== undefined && { ram }),
    ...(dmaDebug && { dmaDebug: dmaDebug === 'on' }),
  };
}

/** The options of one run. */
export function stressOptions(options: StressCommandOptions, seed: number, given: GivenPolicy): StressOptions {
  const { objects, contexts, mappings, profile } = options;
  return {
    ...{ profile: typeof profile === 'string' ? profile : profile.profile, seed, machine: machineOptions(options) },
    policy: given.policy,
    sources: {
      ...(given.source && { policy: given.source }),
      ...(typeof profile === 'object' && { profile: profile.file }),
    },
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
