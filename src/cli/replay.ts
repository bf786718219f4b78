import { type Command, Option } from 'commander';
import { RecordingError } from '../files/recording-error.js';
import { PROFILE_NAMES } from '../i915/uapi/profiles.js';
import { KERNEL_NAMES, type KernelName } from '../kernels/kernels.js';
import type { IommuMode, MachineOptions } from '../machine/config.js';
import { IOMMU_MODES } from '../machine/config.js';
import type { StreamReplayOptions, StreamReplayResult } from '../replay/replay.js';
import { newPolicy } from '../stress-i915/policy.js';
import { withDmesg } from './dmesg.js';
import { EXIT, type ExitCode, usage } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { integerOption, machineOption, sizeOption } from './options.js';
import { policyOption, readPolicy } from './policy-file.js';
import { bold, bytes, dim, green, number, rate, red, table, yellow } from './print.js';

const PROFILES = ['auto', ...PROFILE_NAMES] as const;

type I915Options = NonNullable<StreamReplayOptions['i915']>;

interface ReplayOptions {
  profile: (typeof PROFILES)[number];
  policy?: string;
  gen?: number;
  platform?: I915Options['platform'];
  ppgtt?: I915Options['ppgtt'];
  kernel?: KernelName;
  iommu?: IommuMode;
  ram?: number;
  machine?: MachineOptions;
}

/** gemdma replay: streams of requests that programs made of a kernel's i915. */
export function replayCommand(): Command {
  return withDmesg(command('replay', 'replay the ioctls that a program made of i915, under any mapping policy'))
    .argument('<files...>', 'JSON lines of requests, or what gem_exec_tracer of IGT writes; plain or gzip')
    .addOption(
      new Option('--profile <name>', 'whose interface; auto looks at the stream').choices(PROFILES).default('auto'),
    )
    .addOption(policyOption())
    .option('--gen <n>', 'generation of the GPU', integerOption('--gen', 2, 9))
    .option('--platform <name>', 'part of that generation, such as bdw')
    .option('--ppgtt <mode>', 'address spaces of contexts: none, aliasing, full, full-48bit')
    .addOption(new Option('--kernel <preset>', 'DMA stack').choices(KERNEL_NAMES))
    .addOption(new Option('--iommu <mode>', 'back end').choices(IOMMU_MODES))
    .option('--ram <size>', 'emulated RAM (default: 1GiB)', sizeOption('--ram'))
    .option('--machine <json>', 'any options of the machine, such as \'{"dmaDebug":false}\'', machineOption)
    .addHelpText('after', '\n--json gives an array with one object per file.')
    .action(framed(replayFiles));
}

async function replayFiles(frame: Frame, files: string[], options: ReplayOptions): Promise<ExitCode> {
  const { replayStreamAsync } = await import('../replay/replay.js');
  const { signal } = frame;
  const { policy } = await readPolicy(options.policy, signal);
  const { profile, gen, platform, ppgtt, kernel, iommu, ram } = options;
  const machine: MachineOptions = {
    ...options.machine,
    ...(kernel && { kernel }),
    ...(iommu && { iommu }),
    ...(ram !== undefined && { ram }),
  };
  const bar = frame.bar();
  const results: StreamReplayResult[] = [];
  const errors: RecordingError[] = [];
  for (const [i, file] of files.entries()) {
    if (signal.aborted) break;
    const i915: I915Options = {
      policy: newPolicy(policy),
      ...(gen !== undefined && { gen }),
      ...(platform && { platform }),
      ...(ppgtt && { ppgtt }),
    };
    try {
      const onProgress = ({ done, total }: { done: number; total: number }): void =>
        bar.update({ done: i + done / Math.max(total, 1), total: files.length, what: file });
      const result = await replayStreamAsync(file, { profile, machine, i915, signal, onProgress }).catch((error) =>
        usage(() => {
          throw error;
        }),
      );
      results.push(result);
      if (!frame.json) frame.show(result, describe, { wrong: isWrong(result) });
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      errors.push(error);
      frame.note(error.message);
    }
  }
  if (frame.json) {
    const broken = errors.map(({ file, line, reason }) => ({ file, error: { line, reason } }));
    frame.show([...results, ...broken], () => []);
  }
  return errors.length > 0 ? EXIT.usage : results.some(isWrong) ? EXIT.findings : EXIT.ok;
}

/** A result other than the recorded one, a finding, a leak. */
function isWrong({ compared, matched, structs, findings, leaked, warnings }: StreamReplayResult): boolean {
  const parted = matched < compared || structs.matched < structs.compared;
  return parted || leaked > 0 || warnings.length > 0 || Object.keys(findings).length > 0;
}

function describe(result: StreamReplayResult): string[] {
  const { file, format, profile, policy, requests, compared, matched, structs, statistics, errnos } = result;
  const share = (all: number, same: number): string =>
    all === 0 ? dim('none recorded') : (same === all ? green : red)(`${number(same)} of ${number(all)}`);
  const failed = Object.entries(errnos).map(([name, count]) => `${name} ${number(count)}`);
  const rows = [
    ['requests', `${number(requests)}${result.interrupted ? yellow('  interrupted') : ''}`],
    ['results as recorded', share(compared, matched)],
    ['structs as recorded', share(structs.compared, structs.matched)],
    ['failed', failed.length > 0 ? failed.join(', ') : '0'],
    ['files, most handles', `${number(statistics.files)}, ${number(statistics.handles)}`],
    ['batches', number(statistics.batches)],
    ['pread and pwrite', bytes(statistics.bytesMoved)],
    ['rate', `${rate(result.rate)} requests/s`],
    ['mappings left', (result.leaked > 0 ? red : green)(number(result.leaked))],
    ...Object.entries(result.findings).map(([check, count]) => [`finding ${check}`, red(number(count))]),
  ];
  const shown = result.differences.map(
    ({ step, request, field, expected, got }) =>
      `  step ${step}: ${request}: ${field} ${expected} recorded, ${got} now`,
  );
  const parameters = result.parameters.map(({ param }) => param);
  return [
    bold(`${file}`) + dim(`  ${format}, profile ${profile}, policy ${policy}`),
    table(['', ''], rows),
    ...shown,
    ...(parameters.length > 0
      ? [dim(`  parameters that only one of the two machines has: ${parameters.join(', ')}`)]
      : []),
    ...result.warnings.map((text) => red(`  warning: ${text}`)),
    '',
  ];
}
