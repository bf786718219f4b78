import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, Command as Group, Option } from 'commander';
import { GemDmaError } from '../core/errors.js';
import type { CallProgress } from '../core/slices.js';
import type { DriverBench } from '../driver/bench.js';
import { type BuiltDriver, buildDriver } from '../driver/build.js';
import { driverFailNth } from '../driver/fail-nth.js';
import { PointRunner, TestThrew } from '../driver/point-runner.js';
import { failNthText, findingsText, stressText } from '../driver/report.js';
import { DRIVER_MACHINE, type RunResult } from '../driver/run.js';
import { driverStress, stressRound } from '../driver/stress.js';
import { symbolsOf } from '../driver/symbols.js';
import { KERNEL_NAMES, type KernelName } from '../kernels/kernels.js';
import { IOMMU_MODES, type IommuMode, type MachineOptions, machineConfig } from '../machine/config.js';
import { shellWord } from '../stress/config/literal.js';
import { withDmesg } from './dmesg.js';
import { asUsageError, EXIT, type ExitCode, UsageError, usage } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { integerOption } from './options.js';
import { dim, table } from './print.js';

interface MachineFlags {
  iommu?: IommuMode;
  swiotlb?: boolean;
  kernelPreset?: KernelName;
  machine?: string;
  test: string;
  kasan: boolean;
  stacks?: boolean;
}

/** gemdma driver: C drivers under dma-debug. */
export function driverCommand(): Command {
  const group = new Group('driver').description(
    "compile a driver's unmodified C to WebAssembly and run it in a machine, with a model of its device",
  );
  const subs = [buildCommand(), symbolsCommand(), runCommand(), failNthCommand(), stressCommand(), benchCommand()];
  for (const sub of subs) group.addCommand(sub);
  return group;
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function buildCommand(): Command {
  return command('build', 'compile and link C files; both widths of dma_addr_t, the narrow one as NAME.dma32.wasm')
    .argument('<file...>', 'C files of the driver')
    .option('--kernel <dir>', "a kernel tree whose headers are used; without one, gemdma's own")
    .option(
      '--with <file>',
      'a file of the tree to compile besides, such as lib/scatterlist.c; repeatable',
      collect,
      [],
    )
    .option('--include <dir>', 'a folder of headers; repeatable', collect, [])
    .option('--define <macro>', 'NAME or NAME=value; repeatable', collect, [])
    .option('-o, --output <file>', 'where the module goes; default NAME.wasm of the first file')
    .option('--no-kasan', "do not check the CPU's accesses")
    .addOption(new Option('--compiler <which>', 'whose clang').choices(['auto', 'system', 'npm']).default('auto'))
    .option('--cache <dir>', 'where objects are kept')
    .action(framed(build));
}

interface BuildFlags {
  kernel?: string;
  with: string[];
  include: string[];
  define: string[];
  output?: string;
  kasan: boolean;
  compiler: 'auto' | 'system' | 'npm';
  cache?: string;
}

async function build(frame: Frame, files: string[], flags: BuildFlags): Promise<ExitCode> {
  const wide = frame.output('--output', flags.output ?? `${basename(files[0], '.c')}.wasm`);
  const narrowed = frame.output('--output', narrow(wide.file));
  const built: BuiltDriver[] = [];
  const { kernel, include, define, kasan, compiler, cache } = flags;
  const options = { files, kernel, with: flags.with, include, define, kasan, compiler, cache };
  const bar = frame.bar();
  for (const dmaBits of [64, 32] as const) {
    const what = `compiling, dma_addr_t of ${dmaBits} bits`;
    const onProgress = ({ done, total }: CallProgress): void => bar.update({ done, total, what });
    try {
      built.push(await buildDriver({ ...options, dmaBits, signal: frame.signal, onProgress }));
    } catch (error) {
      if (frame.signal.aborted) return EXIT.interrupted;
      if (!GemDmaError.is(error)) throw error;
      // Diagnostics of the compiler are shown as they are.
      if (!error.reason?.startsWith('DRIVER_')) throw asUsageError(error);
      console.error(error.message.replace(/^E[A-Z]+: /, ''));
      return EXIT.usage;
    }
  }
  if (built[0].warnings !== '') console.error(built[0].warnings.trimEnd());
  wide.set(built[0].wasm);
  narrowed.set(built[1].wasm);
  const paths = [wide.file, narrowed.file];
  const result = built.map(({ wasm, compiler, compiled }, i) => ({
    file: paths[i],
    bytes: wasm.length,
    compiler,
    compiled,
  }));
  frame.show(result, (all) =>
    all.map(
      ({ file, bytes, compiler, compiled }) => `${file}: ${bytes} bytes, ${compiled} files compiled by ${compiler}`,
    ),
  );
  return EXIT.ok;
}

function narrow(path: string): string {
  return path.replace(/(\.wasm)?$/, '.dma32.wasm');
}

function symbolsCommand(): Command {
  return command('symbols', 'say of each function that a driver calls who has it: real, constant, or nobody')
    .argument('<module>', 'what gemdma driver build wrote')
    .action(framed(symbols));
}

function symbols(frame: Frame, path: string): ExitCode {
  const all = usage(() => symbolsOf(read(path)));
  const wrong = all.some(({ kind }) => kind === 'missing');
  frame.show(all, () => all.map(({ name, kind, text }) => `${kind.padEnd(9)} ${name.padEnd(32)} ${dim(text)}`), {
    wrong,
  });
  return wrong ? EXIT.findings : EXIT.ok;
}

function withMachine(made: Command): Command {
  return withDmesg(made)
    .argument('<module>', 'what gemdma driver build wrote')
    .requiredOption('--test <file>', "the test's module: device, model and scenario")
    .addOption(new Option('--iommu <mode>', 'mode of the IOMMU').choices(IOMMU_MODES))
    .option('--swiotlb', 'bounce every mapping (swiotlb=force)')
    .addOption(new Option('--kernel-preset <name>', 'whose DMA stack').choices(KERNEL_NAMES))
    .option('--machine <json>', 'the whole machine as JSON')
    .option('--no-kasan', "do not check the CPU's accesses")
    .option('--stacks', 'show the calls that led to each finding');
}

function runCommand(): Command {
  return withMachine(command('run', 'run a test once'))
    .option('--nth <n>', 'make the n-th allocation fail', integerOption('--nth', 0), 0)
    .option(
      '--stress-seed <n>',
      'a round of stress: its machine and its failures',
      integerOption('--stress-seed', 0, 0xffffffff),
    )
    .option('--log', 'show what the driver printed')
    .option('--time-limit <ms>', 'for the run', integerOption('--time-limit', 10, 3_600_000), 30_000)
    .action(framed(run));
}

interface RunFlags extends MachineFlags {
  nth: number;
  log?: boolean;
  stressSeed?: number;
  timeLimit: number;
}

async function run(frame: Frame, path: string, flags: RunFlags): Promise<ExitCode> {
  const { nth, kasan, timeLimit } = flags;
  const machine = usage(() => machineOf(flags));
  const round = flags.stressSeed === undefined ? {} : stressRound(flags.stressSeed, machine);
  // In a worker: a driver that loops for ever must not keep Ctrl-C from being seen.
  const runner = new PointRunner(read(path), flags.test, {
    machine,
    kasan,
    dmaBits: widthOf(path),
    timeLimit,
    signal: frame.signal,
  });
  let result: RunResult;
  try {
    result = (await runner.run({ nth, ...round })) ?? runner.stuck();
  } catch (error) {
    throw testError(error);
  } finally {
    await runner.close();
  }
  if (frame.signal.aborted) return EXIT.interrupted;
  const wrong = result.findings.length > 0;
  const idle = nth > 0 && result.struck === null;
  if (wrong || !idle) frame.show(result, () => describeRun(result, flags), { wrong });
  if (idle)
    throw new UsageError(`--nth ${nth}: the run made ${result.pointCount} allocations, and none of them failed`);
  return wrong ? EXIT.findings : EXIT.ok;
}

function describeRun(result: RunResult, { log, stacks }: RunFlags): string[] {
  const { missing, findings } = result;
  return [
    ...(log ? result.log.map(dim) : []),
    ...(missing.length > 0 ? [dim(`not modelled: ${missing.join(', ')}`)] : []),
    findingsText(findings, { stacks }),
  ];
}

function failNthCommand(): Command {
  return withMachine(command('fail-nth', 'make each allocation of a test fail in turn, in both widths of dma_addr_t'))
    .option('--all', 'every point, not the first, second and last of each place and stack')
    .option('--time-limit <ms>', 'for one point', integerOption('--time-limit', 10, 3_600_000), 5000)
    .action(framed(failNth));
}

interface FailNthFlags extends MachineFlags {
  all?: boolean;
  timeLimit: number;
}

async function failNth(frame: Frame, path: string, flags: FailNthFlags): Promise<ExitCode> {
  const machine = usage(() => machineOf(flags));
  const { all, timeLimit, kasan } = flags;
  const results = await inBothWidths(frame, path, flags, (wasm, more) =>
    driverFailNth(wasm, flags.test, { machine, all, timeLimit, kasan, ...more }),
  );
  const wrong = results.some(
    ([, { baseline, failures, tried }]) => baseline.length + failures.length > 0 || tried === 0,
  );
  frame.show(
    results.map(([, result]) => result),
    () =>
      results.flatMap(([command, result], i) => [
        ...(i > 0 ? [''] : []),
        failNthText(result, { stacks: flags.stacks, command }),
      ]),
    { wrong },
  );
  return wrong ? EXIT.findings : EXIT.ok;
}

interface Shared {
  dmaBits: 32 | 64;
  signal: AbortSignal;
  onProgress(progress: CallProgress): void;
}

/**
 * Runs work with a module, and with its variant of the other width of dma_addr_t. Each result has the command that runs its module.
 */
async function inBothWidths<T>(
  frame: Frame,
  path: string,
  flags: MachineFlags,
  act: (wasm: Uint8Array, shared: Shared) => Promise<T>,
): Promise<[string, T][]> {
  const files = [path];
  const narrowed = narrow(path);
  if (widthOf(path) === 64 && existsSync(narrowed)) files.push(narrowed);
  const bar = frame.bar();
  const results: [string, T][] = [];
  for (const file of files) {
    if (frame.signal.aborted) break;
    const wasm = read(file);
    const onProgress = ({ done, total, what }: CallProgress): void =>
      bar.update({ done, total, what: `${file}: ${what}` });
    try {
      const result = await act(wasm, { dmaBits: widthOf(file), signal: frame.signal, onProgress });
      results.push([
        `gemdma driver run ${shellWord(file)} --test ${shellWord(flags.test)}${machineText(flags)}`,
        result,
      ]);
    } catch (error) {
      throw testError(error);
    }
  }
  return results;
}

function stressCommand(): Command {
  return withMachine(
    command('stress', 'run a test again and again, on random machines, with random failures of allocations'),
  )
    .option('--seed <n>', 'seed of the first round', integerOption('--seed', 0, 0xffffffff), 1)
    .option('--rounds <n>', 'how many', integerOption('--rounds', 1, 1e9), 100)
    .option('--time-limit <ms>', 'for one round', integerOption('--time-limit', 10, 3_600_000), 5000)
    .action(framed(stress));
}

interface StressFlags extends MachineFlags {
  seed: number;
  rounds: number;
  timeLimit: number;
}

async function stress(frame: Frame, path: string, flags: StressFlags): Promise<ExitCode> {
  const machine = usage(() => machineOf(flags));
  const { seed, rounds, timeLimit, kasan } = flags;
  const results = await inBothWidths(frame, path, flags, (wasm, more) =>
    driverStress(wasm, flags.test, { machine, seed, rounds, timeLimit, kasan, ...more }),
  );
  const wrong = results.some(([, { findings }]) => findings.length > 0);
  frame.show(
    results.map(([, result]) => result),
    () =>
      results.flatMap(([command, result], i) => [
        ...(i > 0 ? [''] : []),
        stressText(result, { stacks: flags.stacks, command }),
      ]),
    { wrong },
  );
  return wrong ? EXIT.findings : EXIT.ok;
}

function benchCommand(): Command {
  return command('bench', 'what a mapping from C costs beside the core, loading, and a test')
    .argument('<module>', 'what gemdma driver build wrote')
    .requiredOption('--test <file>', "the test's module: device, model and scenario")
    .option('--plain <module>', 'the same driver, built with --no-kasan: says what the checks of accesses cost')
    .action(framed(bench));
}

async function bench(frame: Frame, path: string, flags: { test: string; plain?: string }): Promise<ExitCode> {
  const plain = flags.plain === undefined ? undefined : read(flags.plain);
  const runner = new PointRunner(read(path), flags.test, { dmaBits: widthOf(path), signal: frame.signal });
  try {
    const result = await runner.bench(plain);
    if (result) frame.show(result, describeBench);
  } catch (error) {
    throw testError(error);
  } finally {
    await runner.close();
  }
  return EXIT.ok;
}

function describeBench({ rows, load, test, kasan }: DriverBench): string[] {
  const ns = (value: number): string => `${value.toFixed(1)} ns`;
  return [
    table(
      ['map + mapping_error + unmap of a page', 'from C', 'core', 'ratio'],
      rows.map(({ what, c, core, ratio }) => [what, ns(c), ns(core), ratio.toFixed(2)]),
    ),
    '',
    `machine and driver loaded in ${load.toFixed(1)} ms`,
    `the test: ${test.toFixed(1)} ms`,
    ...(kasan === undefined ? [] : [`${kasan.toFixed(2)} times what it takes without the checks of accesses`]),
  ];
}

/** A test that throws, or ends its process, is the user's to mend. */
function testError(error: unknown): unknown {
  return error instanceof TestThrew ? new UsageError(error.message) : asUsageError(error);
}

function widthOf(path: string): 32 | 64 {
  return path.endsWith('.dma32.wasm') ? 32 : 64;
}

function machineOf(flags: MachineFlags): MachineOptions {
  const machine = givenMachine(flags);
  machineConfig({ ...DRIVER_MACHINE, ...machine });
  return machine;
}

function givenMachine({ iommu, swiotlb, kernelPreset, machine }: MachineFlags): MachineOptions {
  let given: MachineOptions = {};
  if (machine !== undefined) {
    try {
      given = JSON.parse(machine) as MachineOptions;
    } catch (error) {
      throw new UsageError(`--machine takes JSON: ${(error as Error).message}`);
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new UsageError(`--machine takes an object with options of the machine, not ${machine}`);
    }
  }
  // Only without translation a mapping can bounce.
  if (swiotlb)
    return { ...given, iommu: iommu ?? 'off', swiotlb: { force: true }, ...(kernelPreset && { kernel: kernelPreset }) };
  return { ...given, ...(iommu && { iommu }), ...(kernelPreset && { kernel: kernelPreset }) };
}

function machineText({ iommu, swiotlb, kernelPreset, machine }: MachineFlags): string {
  return [
    iommu ? ` --iommu ${iommu}` : '',
    swiotlb ? ' --swiotlb' : '',
    kernelPreset ? ` --kernel-preset ${kernelPreset}` : '',
    machine ? ` --machine ${shellWord(machine)}` : '',
  ].join('');
}

function read(path: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
  if (!WebAssembly.validate(bytes as BufferSource)) {
    throw new UsageError(`${path} is no WebAssembly module: gemdma driver build makes one`);
  }
  return bytes;
}
