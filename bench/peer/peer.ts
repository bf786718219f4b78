import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * A program made of a file of the kernel and a driver of ours: the file itself and the headers it really needs come from
 * an unpacked source tree, every other header is a stub of ours (stubs/kernel.h).
 */
export interface KernelProgram {
  name: string;
  /** What the kernel's file is called there. */
  title: string;
  /** Files of the kernel to compile, and headers of it to use, as paths inside its tree. */
  sources: string[];
  headers: string[];
  /** Headers that those include and that stubs/kernel.h stands for, such as `linux/slab.h`. */
  stubs: string[];
  /** Our driver, as a path below bench/. */
  driver: string;
}

/** A part of the core with its peer in the kernel: `driver RECORDING SECONDS` prints one line of JSON, a DriverResult. */
export interface Peer extends KernelProgram {
  /** Recordings to run, in test/golden. */
  recordings: { folder: string; pattern: RegExp };
  /** The share of the kernel's time that ours is to stay below, by recording; none where nothing was set. */
  reach(recording: string): number | undefined;
  /** Steps at a recording's beginning that only fill what the rest works on; what comes after them is judged alone. */
  fill?(recording: string): number | undefined;
}

/** What a driver prints: the kernel's median time, and the first line where its answers and the recording part, or 0. */
export interface DriverResult {
  steps: number;
  nsPerStep: number;
  parted: number;
}

/** The repository's own folder; this file runs from build/bench/peer. */
const ROOT = join(import.meta.dirname, '../../..');
const BENCH = join(ROOT, 'bench');

/** The first C compiler that answers, or null. */
export function findCompiler(): string | null {
  for (const name of [process.env.CC, 'gcc', 'cc', 'clang']) {
    if (!name) continue;
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' });
      return name;
    } catch {}
  }
  return null;
}

/** Files of a program that a tree lacks. */
export function missing(peer: KernelProgram, tree: string): string[] {
  return [...peer.sources, ...peer.headers].filter((file) => !existsSync(join(tree, file)));
}

/** Compiles a program with the optimisation the kernel is built with; returns the program. Throws with the compiler's words. */
export function compile(peer: KernelProgram, tree: string, compiler: string, folder: string): string {
  const include = join(folder, peer.name, 'include');
  const write = (header: string, put: (path: string) => void): void => {
    const path = join(include, header);
    mkdirSync(dirname(path), { recursive: true });
    put(path);
  };
  for (const stub of peer.stubs) write(stub, (path) => writeFileSync(path, '#include <peer/kernel.h>\n'));
  for (const header of peer.headers) {
    write(header.replace(/^include\//, ''), (path) => copyFileSync(join(tree, header), path));
  }
  write('peer/kernel.h', (path) => copyFileSync(join(BENCH, 'peer/stubs/kernel.h'), path));
  const program = join(folder, peer.name, peer.name);
  const sources = [join(BENCH, peer.driver), ...peer.sources.map((file) => join(tree, file))];
  // The tree's own folders come last: a driver may include one of the kernel's files by its path.
  const flags = [
    '-O2',
    '-std=gnu11',
    '-fno-strict-aliasing',
    '-w',
    '-include',
    'peer/kernel.h',
    `-I${include}`,
    `-I${tree}`,
  ];
  const { status, stderr } = spawnSync(compiler, [...flags, '-o', program, ...sources], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${compiler} cannot compile ${peer.title} of this tree:\n${stderr}`);
  return program;
}

/** Recordings of a peer, the paths that the library's `verify` takes. */
export function recordingsOf(peer: Peer): string[] {
  const folder = join(ROOT, 'test/golden', peer.recordings.folder);
  return readdirSync(folder)
    .filter((name) => peer.recordings.pattern.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Runs the kernel's code on a recording for about that many seconds. */
export function drive(program: string, recording: string, folder: string, seconds: number): DriverResult {
  const plain = join(folder, 'recording');
  const bytes = readFileSync(recording);
  writeFileSync(plain, recording.endsWith('.gz') ? gunzipSync(bytes) : bytes);
  return JSON.parse(execFileSync(program, [plain, String(seconds)], { encoding: 'utf8' })) as DriverResult;
}
