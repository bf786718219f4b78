import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkLongCall, checkString, LONG_CALL, oneOf, optionNames, readList } from '../core/arguments.js';
import { GemDmaError, invalidType } from '../core/errors.js';
import type { LongCallOptions } from '../core/slices.js';
import { type Compiler, findCompiler, ROOT } from './compiler.js';
import type { CompilerChoice } from './compiler-choice.js';
import { explain } from './diagnostics.js';
import { Digests, digest } from './digest.js';
import { checkDriverOptions, DRIVER_OPTIONS } from './driver.js';
import { configOf } from './kconfig.js';
import { definedFunctions } from './module.js';
import { OWN_HEADERS, RUNTIME } from './sources.js';
import { treeHeaders } from './tree.js';

/**
 * Compiles and links C drivers. Objects are kept by what they are made of: the compiler, the flags, the source and every
 * header that the compiler has read for it.
 */

export interface BuildOptions extends LongCallOptions {
  /** C files of the driver. */
  files: readonly string[];
  /** Root of a kernel tree: its headers are used (tree mode). Without one, gemdma's own (own mode). */
  kernel?: string;
  /** Files of the tree to compile besides, such as lib/scatterlist.c. */
  with?: readonly string[];
  /** More folders of headers. */
  include?: readonly string[];
  /** Macros, `NAME` or `NAME=value`. */
  define?: readonly string[];
  /** Check the CPU's accesses. Default true. */
  kasan?: boolean;
  /** Bits of dma_addr_t: 64 (default) or 32. */
  dmaBits?: 32 | 64;
  /** The clang that compiles: one of the system, or the npm package @yowasp/clang. Default: the first that is found. */
  compiler?: CompilerChoice;
  /** Where objects are kept. Default `gemdma` in the user's cache folder. */
  cache?: string;
}

/** A compiled and linked driver. */
export interface BuiltDriver {
  /** The module, to be written to a file or loaded. */
  wasm: Uint8Array;
  /** What the compiler said besides. */
  warnings: string;
  /** Which compiler it was. */
  compiler: string;
  /** Files that were compiled now, not taken from the cache. */
  compiled: number;
}

/** gemdma's C: beside this file in the sources, and in dist. */
const C_FOLDER = fileURLToPath(new URL('../driver/c/', import.meta.url)).replace(/\/$/, '');
const BASE_FLAGS = [
  '--target=wasm32',
  '-std=gnu11',
  '-O2',
  '-g',
  '-gdwarf-4',
  '-fPIC',
  '-ffreestanding',
  '-fwrapv',
  '-fno-strict-aliasing',
  '-fno-delete-null-pointer-checks',
  '-mbulk-memory',
  '-nostdinc',
];
const KASAN_FLAGS = [
  '-Xclang',
  '-fsanitize=kernel-address',
  '-Xclang',
  '-fsanitize-recover=kernel-address',
  '-mllvm',
  '-asan-instrumentation-with-call-threshold=0',
  '-mllvm',
  '-asan-stack=0',
  '-mllvm',
  '-asan-globals=0',
  '-mllvm',
  '-asan-opt-same-temp=0',
  '-mllvm',
  '-asan-kernel-mem-intrinsic-prefix=1',
  // Excludes the store that notes a call site from the checked accesses.
  '-mllvm',
  '-asan-instrument-atomics=0',
];
const LINK_FLAGS = ['-shared', '--experimental-pic', '--import-memory', '--allow-undefined'];

interface Job {
  source: string;
  flags: string[];
}

/** Where objects are kept unless the caller says otherwise. */
export function defaultCache(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gemdma', 'driver');
}

/** Files, folders or macros of a build. */
const MAX_FILES = 100_000;

const BUILD_OPTIONS = optionNames<BuildOptions>({
  ...DRIVER_OPTIONS,
  ...{ files: true, kernel: true, with: true, include: true, define: true, compiler: true, cache: true },
  ...LONG_CALL,
});

function checkBuildOptions(given: BuildOptions): BuildOptions {
  const options = checkLongCall(given, BUILD_OPTIONS);
  checkDriverOptions(options);
  checkString('kernel', options.kernel);
  checkString('cache', options.cache);
  if (options.compiler !== undefined) oneOf('compiler', options.compiler, ['auto', 'system', 'npm']);
  const lists = (['files', 'with', 'include', 'define'] as const).map((name) => {
    const least = name === 'files' ? 1 : 0;
    const list = readList(name, options[name] ?? [], [least, MAX_FILES], (one) => {
      if (typeof one !== 'string' || one === '') throw invalidType(name, 'an array of strings', one);
      return one;
    });
    return [name, list] as const;
  });
  return { ...options, ...Object.fromEntries(lists) };
}

/**
 * Builds a driver.
 * @throws GemDmaError ENOENT without a compiler or a file, EINVAL with the compiler's diagnostics in the message; the
 *   signal's reason, by default an AbortError, when it was aborted: what is compiled stays in the cache
 * @example
 * const { wasm } = await buildDriver({ files: ['ring_nic.c'] });
 */
export async function buildDriver(options: BuildOptions): Promise<BuiltDriver> {
  options = checkBuildOptions(options);
  const { signal } = options;
  // What processes are started with is Node's own.
  const controller = new AbortController();
  const abort = (): void => controller.abort((signal as { reason?: unknown }).reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort);
  try {
    return await build({ ...options, signal: controller.signal });
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** A build with a signal that processes can be started with. */
interface Build extends Omit<BuildOptions, 'signal'> {
  signal?: AbortSignal;
}

async function build(options: Build): Promise<BuiltDriver> {
  const compiler = await findCompiler(options.compiler);
  const cache = resolve(options.cache ?? defaultCache());
  const jobs = plan(options, cache);
  const digests = new Digests();
  let done = 0;
  const told = (what: string): void => options.onProgress?.({ done, total: jobs.length, what });
  told('compiling');
  const results = await inParallel(jobs, options.signal, async (job) => {
    const compiled = await compile(compiler, job, options, cache, digests);
    ++done;
    told(basename(job.source));
    return compiled;
  });
  options.signal?.throwIfAborted();
  const failed = results.filter(({ object }) => object === null);
  if (failed.length > 0) {
    const diagnostics = failed.map(({ output }) => output).join('\n');
    throw new GemDmaError('EINVAL', 'clang', explain(diagnostics, options.kernel !== undefined), {
      reason: 'DRIVER_COMPILE',
    });
  }
  const objects = results.map(({ object }) => object as string);
  const own = objects.slice(0, options.files.length + (options.with?.length ?? 0));
  // What is not static in the driver is its test's to call.
  const exported = [...new Set(own.flatMap((object) => definedFunctions(readFileSync(object))))];
  const flags = [...LINK_FLAGS, ...exported.map((name) => `--export=${name}`)];
  const key = digest([compiler.version, ...flags, ...objects]);
  const linked = join(cache, `${key}.wasm`);
  if (!existsSync(linked)) {
    const fresh = `${linked}.${process.pid}`;
    const { code, output } = await compiler.link([...flags, ...objects, '-o', fresh], [fresh], objects, options.signal);
    options.signal?.throwIfAborted();
    if (code !== 0) throw new GemDmaError('EINVAL', 'wasm-ld', output.trim(), { reason: 'DRIVER_LINK' });
    renameSync(fresh, linked);
  }
  await compiler.done();
  const wasm = readFileSync(linked);
  return {
    wasm: withCalls(wasm, own, exported),
    warnings: results.map(({ output }) => output).join(''),
    compiler: compiler.version,
    compiled: results.filter(({ fresh }) => fresh).length,
  };
}

/**
 * Compiles one file of a kernel tree and links nothing.
 * @returns the compiler's errors, null where there are none
 */
export async function compileDriver(file: string, kernel: string): Promise<string | null> {
  const options: Build = { files: [file], kernel };
  const cache = defaultCache();
  const [job] = plan(options, cache);
  const compiler = await findCompiler();
  const { object, output } = await compile(compiler, job, options, cache, new Digests());
  await compiler.done();
  return object === null ? output : null;
}

/** Adds a custom section with the names of the functions that the driver's own objects leave to others. */
function withCalls(wasm: Uint8Array, objects: readonly string[], exported: readonly string[]): Uint8Array {
  const own = new Set(exported);
  const names = new Set<string>();
  for (const object of objects) {
    for (const { name, kind } of WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(object)))) {
      if (kind === 'function' && !own.has(name) && !name.startsWith('__asan_')) names.add(name);
    }
  }
  const title = Buffer.from('gemdma.calls');
  const text = Buffer.from([...names].sort().join('\n'));
  const body = Buffer.concat([Buffer.from([title.length]), title, text]);
  const size: number[] = [];
  for (let rest = body.length; ; rest >>>= 7) {
    size.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([wasm, Buffer.from([0, ...size]), body]);
}

function plan(options: Build, cache: string): Job[] {
  const { kernel, kasan = true, dmaBits = 64 } = options;
  const sources = [...options.files, ...(options.with ?? [])].map((file) => resolve(file));
  for (const source of sources) {
    if (!source.endsWith('.c')) throw new GemDmaError('EINVAL', 'open', `${source} is no C file: its name ends in .c`);
    if (!existsSync(source)) throw new GemDmaError('ENOENT', 'open', `there is no file ${source}`);
  }
  const common = join(C_FOLDER, 'common');
  const mode = kernel === undefined ? ownHeaders(cache) : treeHeaders(resolve(kernel), join(C_FOLDER, 'tree'), cache);
  // The last one that fits is taken.
  const maps = [`-ffile-prefix-map=${process.cwd()}/=`];
  if (kernel !== undefined) maps.push(`-ffile-prefix-map=${resolve(kernel)}/=`);
  maps.push(`-ffile-prefix-map=${C_FOLDER}/=gemdma/`);
  const width = dmaBits === 32 ? ['-DGD_DMA32'] : [];
  const shared = [...BASE_FLAGS, ...mode, `-I${common}`, ...maps, ...width];
  // The runtime shares structures with the driver, and with them what is selected; the driver's own symbols are its own.
  const configs = sources.map((source) => (kernel === undefined ? null : configOf(resolve(kernel), source, cache)));
  const selected = [...new Set(configs.flatMap((config) => config?.selected ?? []))].sort().map(macroOf);
  shared.push(...selected);
  const include = (options.include ?? []).map((folder) => `-I${resolve(folder)}`);
  const define = (options.define ?? []).map((macro) => `-D${macro}`);
  const own = [
    ...shared,
    ...include,
    ...define,
    ...(kasan ? KASAN_FLAGS : []),
    '-include',
    'gemdma/site.h',
    '-Wno-everything',
  ];
  const modname = (source: string): string => basename(source, '.c').replace(/[^A-Za-z0-9_]/g, '_');
  return [
    ...sources.map((source, i) => ({
      source,
      flags: [
        ...own,
        ...(configs[i]?.own ?? []).map(macroOf),
        ...(configs[i]?.flags ?? []),
        ...(kernel !== undefined && source.startsWith(join(resolve(kernel), 'drivers/gpu/')) ? ['-DGD_NO_NET'] : []),
        `-I${dirname(source)}`,
        `-DKBUILD_MODNAME="${modname(source)}"`,
        `-DKBUILD_BASENAME="${modname(source)}"`,
      ],
    })),
    {
      source: join(C_FOLDER, 'runtime', RUNTIME),
      flags: [...shared, '-fvisibility=hidden', '-w', '-DKBUILD_MODNAME="gemdma"', '-DKBUILD_BASENAME="gemdma"'],
    },
  ];
}

function macroOf(symbol: string): string {
  return `-DCONFIG_${symbol}=1`;
}

/** Flags of the own mode: each header of Linux that it knows is one that includes gemdma's. */
function ownHeaders(cache: string): string[] {
  const text = '#include <gemdma/all.h>\n';
  const folder = join(cache, `own-${digest([text, ...OWN_HEADERS]).slice(0, 16)}`);
  if (!existsSync(join(folder, 'complete'))) {
    for (const name of OWN_HEADERS) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    writeFileSync(join(folder, 'complete'), '');
  }
  return [`-I${join(C_FOLDER, 'own')}`, `-I${folder}`];
}

interface Compiled {
  object: string | null;
  output: string;
  fresh: boolean;
}

/** What an object was made of: every file that was read, and a hash of its contents. */
interface Manifest {
  inputs: [string, string][];
  object: string;
  output: string;
}

async function compile(
  compiler: Compiler,
  job: Job,
  options: Build,
  cache: string,
  digests: Digests,
): Promise<Compiled> {
  const key = digest([compiler.version, job.source, ...job.flags]);
  const manifestPath = join(cache, `${key}.json`);
  const known = readManifest(manifestPath, digests);
  if (known) return { object: known.object, output: known.output, fresh: false };
  mkdirSync(cache, { recursive: true });
  const stem = join(cache, `${key}.${process.pid}`);
  const args = [...job.flags, '-c', job.source, '-MD', '-MF', `${stem}.d`, '-o', `${stem}.o`];
  const roots = [
    job.source,
    C_FOLDER,
    ...job.flags.filter((flag) => flag.startsWith('-I')).map((flag) => flag.slice(2)),
    ...(options.kernel === undefined ? [] : [join(resolve(options.kernel), 'include')]),
  ];
  const { code, output } = await compiler.clang(
    args,
    [`${stem}.o`, `${stem}.d`],
    [...new Set(roots)].filter(existsSync),
    options.signal,
  );
  if (code !== 0) return { object: null, output, fresh: true };
  const inputs = dependencies(readFileSync(`${stem}.d`, 'utf8')).map((path): [string, string] => [
    path,
    digests.of(path),
  ]);
  const object = join(cache, `${digest([key, ...inputs.flat()])}.o`);
  renameSync(`${stem}.o`, object);
  const manifest: Manifest = { inputs, object, output };
  writeFileSync(`${stem}.json`, JSON.stringify(manifest));
  renameSync(`${stem}.json`, manifestPath);
  return { object, output, fresh: true };
}

function readManifest(path: string, digests: Digests): Manifest | null {
  if (!existsSync(path)) return null;
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  const same = manifest.inputs.every(([input, sum]) => existsSync(input) && digests.of(input) === sum);
  return same && existsSync(manifest.object) ? manifest : null;
}

/** Files of a make rule. */
function dependencies(rule: string): string[] {
  const names = rule
    .replaceAll('\\\n', ' ')
    .replace(/^[^:]*:/, '')
    .trim()
    .split(/\s+/);
  return names.map((name) => (name.startsWith(`${ROOT}/`) ? name.slice(ROOT.length) : resolve(name)));
}

async function inParallel<T, R>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  act: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && !signal?.aborted) {
      const i = next++;
      results[i] = await act(items[i]);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return results;
}
