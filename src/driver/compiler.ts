import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GemDmaError } from '../core/errors.js';
import type { CompilerChoice } from './compiler-choice.js';

/**
 * clang and wasm-ld: those of the system where there are any, else those of the npm package @yowasp/clang, which is clang
 * compiled to WebAssembly.
 */

export interface ToolResult {
  code: number;
  /** Diagnostics, as the tool prints them. */
  output: string;
}

/** One of them, found. */
export interface Compiler {
  /** Says which compiler it is; part of the cache's key. */
  readonly version: string;
  readonly kind: 'system' | 'npm';
  /**
   * Runs clang. Paths are absolute.
   * @param outputs files that it writes
   * @param roots folders that it reads from
   * @param signal ends the process of a clang that is one
   */
  clang(
    args: readonly string[],
    outputs: readonly string[],
    roots: readonly string[],
    signal?: AbortSignal,
  ): Promise<ToolResult>;
  /** Runs wasm-ld in the same way. */
  link(
    args: readonly string[],
    outputs: readonly string[],
    inputs: readonly string[],
    signal?: AbortSignal,
  ): Promise<ToolResult>;
  /** A build is over. */
  done(): Promise<void>;
}

const VERSIONS = ['', '-22', '-21', '-20', '-19', '-18', '-17', '-16', '-15'];
const PACKAGE = '@yowasp/clang';
export const INSTALL = `install one: 'apt install clang lld', or 'npm install ${PACKAGE}' where your program runs`;

/** @throws GemDmaError ENOENT with the line that installs one */
export async function findCompiler(choice: CompilerChoice = 'auto'): Promise<Compiler> {
  const found = (choice !== 'npm' ? system() : null) ?? (choice !== 'system' ? await npm() : null);
  if (found) return found;
  throw new GemDmaError(
    'ENOENT',
    'execve',
    `there is no clang that compiles to WebAssembly, with its wasm-ld: ${INSTALL}`,
  );
}

let known: Compiler | null | undefined;

function system(): Compiler | null {
  if (known !== undefined) return known;
  known = null;
  for (const suffix of VERSIONS) {
    const clang = spawnSync(`clang${suffix}`, ['--version'], { encoding: 'utf8' });
    if (clang.status !== 0) continue;
    const major = /version (\d+)/.exec(clang.stdout)?.[1];
    if (Number(major) < 15) continue;
    const linker = [`wasm-ld${suffix}`, `wasm-ld-${major}`].find((name) => spawnSync(name, ['--version']).status === 0);
    if (!linker) continue;
    const version = clang.stdout.split('\n')[0];
    known = {
      kind: 'system',
      version,
      clang: (args, _outputs, _roots, signal) => execute(`clang${suffix}`, args, signal),
      link: (args, _outputs, _inputs, signal) => execute(linker, args, signal),
      done: async () => {},
    };
    break;
  }
  return known;
}

function execute(command: string, args: readonly string[], signal?: AbortSignal): Promise<ToolResult> {
  return new Promise((done) => {
    execFile(command, [...args], { maxBuffer: 2 ** 26, ...(signal && { signal }) }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      done({ code, output: `${stdout}${stderr}` });
    });
  });
}

/** A folder as the package has it: names to contents. */
interface Tree {
  [name: string]: Tree | Uint8Array | string;
}

/** Folder of a tree that stands for the host's root. */
export const ROOT = '__root__';

interface Package {
  runLLVM(args: string[], files: Tree, options: Record<string, unknown>): Promise<Tree>;
}

async function npm(): Promise<Compiler | null> {
  let main: string | undefined;
  for (const from of [import.meta.url, pathToFileURL(`${process.cwd()}/package.json`).href]) {
    try {
      main = createRequire(from).resolve(PACKAGE);
      break;
    } catch (error) {
      // The package is a module only: its exports may not have a path for require.
      const path = /(\/[^']*node_modules\/@yowasp\/clang)\//.exec(String(error))?.[1];
      if (path) main = `${path}/gen/bundle.js`;
    }
  }
  if (!main) return null;
  const loaded = (await import(pathToFileURL(main).href)) as Package;
  const { version } = JSON.parse(readFileSync(findUp(main, 'package.json'), 'utf8')) as { version: string };
  return {
    kind: 'npm',
    version: `${PACKAGE} ${version}`,
    clang: (args, outputs, roots) => runPackage(loaded, 'clang', args, outputs, roots),
    link: (args, outputs, inputs) => runPackage(loaded, 'wasm-ld', args, outputs, inputs),
    done: async () => (await import('./tree-copy.js')).forget(),
  };
}

function findUp(from: string, name: string): string {
  for (let folder = dirname(from); ; folder = dirname(folder)) {
    try {
      const path = resolve(folder, name);
      readFileSync(path);
      return path;
    } catch (error) {
      if (folder === dirname(folder)) throw error;
    }
  }
}

/** Runs a tool of the package on a copy of the files that it needs, whose paths are those of the host below /host. */
async function runPackage(
  loaded: Package,
  tool: string,
  args: readonly string[],
  outputs: readonly string[],
  roots: readonly string[],
): Promise<ToolResult> {
  const { collect } = await import('./tree-copy.js');
  const files: Tree = {};
  for (const root of roots) collect(files, root);
  for (const output of outputs) folderOf(files, dirname(output));
  let output = '';
  const write = (bytes: Uint8Array | null): void => {
    if (bytes) output += Buffer.from(bytes).toString('utf8');
  };
  try {
    // Diagnostics name files by their paths on the host.
    const names = tool === 'clang' ? [`-ffile-prefix-map=${ROOT}/=/`] : [];
    const made = await loaded.runLLVM([tool, ...names, ...args.map(relative)], files, {
      stdout: write,
      stderr: write,
      fetchProgress: () => {},
    });
    for (const path of outputs) {
      const bytes = lookUp(made, path);
      if (!bytes) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
    }
    return { code: 0, output: output.replaceAll(`${ROOT}/`, '/') };
  } catch (error) {
    const code = (error as { code?: number }).code;
    if (code === undefined) throw error;
    return { code, output: output.replaceAll(`${ROOT}/`, '/') };
  }
}

// The package's files lie in its working directory: absolute paths become relative to it.
function relative(arg: string): string {
  return arg.replace(/^(-I|-o|-MF|-include|-ffile-prefix-map=|)\/(?=[^/])/, '$1__root__/');
}

export function folderOf(files: Tree, path: string): Tree {
  let at = files;
  for (const name of [ROOT, ...path.split('/').filter(Boolean)]) {
    at = (at[name] ??= {}) as Tree;
  }
  return at;
}

function lookUp(files: Tree, path: string): Uint8Array | null {
  let at: Tree | Uint8Array | string | undefined = files;
  for (const name of [ROOT, ...path.split('/').filter(Boolean)]) {
    if (at === undefined || typeof at === 'string' || at instanceof Uint8Array) return null;
    at = at[name];
  }
  if (typeof at === 'string') return Buffer.from(at);
  return at instanceof Uint8Array ? at : null;
}

export type { Tree };
