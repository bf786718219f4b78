import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { verify } from 'gemdma/recordings';
import { median } from 'simple-statistics';
import { drmMm } from './drm-mm.js';
import { iova } from './iova.js';
import { compile, drive, findCompiler, missing, type Peer, recordingsOf } from './peer.js';

/**
 * The kernel's own C beside ours: `npm run bench:peer -- PATH [NAMES...] [--seconds N]`, where PATH is an unpacked Linux
 * 6.12 source tree (Debian's package linux-source-6.12 has one) and names choose peers. Each peer's file is compiled in
 * a temporary folder and replays the same recordings as ours, turn by turn in one run; nothing of the kernel stays.
 * Figures are ratios of that run. Exit code 0 unless an answer differs; skips with a word about what is missing.
 */

const PEERS: readonly Peer[] = [iova, drmMm];
/** Turns that each side takes, alternating; the figure is the median. */
const TURNS = 3;
const WIDTH = 24;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string' } } });
const [tree, ...names] = positionals;
const seconds = Number(values.seconds ?? 0.3);
const reason = whatIsMissing();
if (reason) {
  console.log(`bench:peer skipped: ${reason}`);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'gemdma-peer-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const compiler = findCompiler()!;
  console.log(`Linux ${version(tree)}, ${compiler} -O2; ${cpus()[0].model}, Node ${process.version}`);
  for (const peer of PEERS) {
    if (names.length === 0 || names.includes(peer.name)) run(peer, compiler, folder);
  }
}

function whatIsMissing(): string | null {
  if (!tree) return 'give the path of an unpacked Linux source tree (Debian: package linux-source-6.12)';
  if (!findCompiler()) return 'no C compiler (tried $CC, gcc, cc, clang)';
  const lacking = PEERS.flatMap((peer) => missing(peer, tree));
  return lacking.length > 0 ? `${tree} has no ${lacking.slice(0, 3).join(', ')}` : null;
}

function version(root: string): string {
  let makefile = '';
  try {
    makefile = readFileSync(join(root, 'Makefile'), 'utf8');
  } catch {}
  const field = (name: string) => new RegExp(`^${name} *= *(\\d+)`, 'm').exec(makefile)?.[1];
  return field('VERSION') ? `${field('VERSION')}.${field('PATCHLEVEL')}.${field('SUBLEVEL')}` : 'of unknown version';
}

interface Measured {
  steps: number;
  kernel: number;
  ours: number;
}

function run(peer: Peer, compiler: string, folder: string): void {
  const program = compile(peer, tree, compiler, folder);
  console.log(`\n${peer.title}\n${''.padEnd(WIDTH)}    steps  kernel ns    ours ns   ratio  to reach`);
  for (const recording of recordingsOf(peer)) {
    const name = basename(recording).replace(/\.txt(\.gz)?$/, '');
    const whole = measure(name, program, recording, folder);
    if (!whole) continue;
    const fill = peer.fill?.(name);
    show(name, whole, fill === undefined ? peer.reach(name) : undefined);
    if (fill === undefined) continue;
    const part = measure(name, program, beginning(recording, fill, folder), folder);
    if (part) show(`${name}, filled`, after(whole, part), peer.reach(name));
  }
}

/** Both sides turn by turn, nanoseconds per step; null, with a word about it, when an answer differs. */
function measure(name: string, program: string, recording: string, folder: string): Measured | null {
  const kernel: number[] = [];
  const ours: number[] = [];
  let steps = 0;
  for (let turn = 0; turn < TURNS; ++turn) {
    const { nsPerStep, divergence } = verify(recording, { time: true });
    const driven = drive(program, recording, folder, seconds);
    if (divergence || driven.parted !== 0) {
      const who = divergence ? `ours, line ${divergence.line}` : `the kernel's file, line ${driven.parted}`;
      console.log(`${name.padEnd(WIDTH)} answers differ from the recording: ${who}`);
      process.exitCode = 1;
      return null;
    }
    ours.push(nsPerStep!);
    kernel.push(driven.nsPerStep);
    steps = driven.steps;
  }
  return { steps, kernel: median(kernel), ours: median(ours) };
}

/** What the steps after a beginning took. */
function after(whole: Measured, part: Measured): Measured {
  const steps = whole.steps - part.steps;
  const rest = (side: 'kernel' | 'ours') => (whole[side] * whole.steps - part[side] * part.steps) / steps;
  return { steps, kernel: rest('kernel'), ours: rest('ours') };
}

/** A recording's first steps as a recording. */
function beginning(recording: string, steps: number, folder: string): string {
  const bytes = readFileSync(recording);
  const lines = String(recording.endsWith('.gz') ? gunzipSync(bytes) : bytes).split('\n');
  let left = steps;
  const end = lines.findIndex((line) => /^[A-Za-z]/.test(line) && --left < 0);
  lines[0] += ` steps=${steps}`; // Else it would count as a recording that is cut off.
  const path = join(folder, basename(recording).replace(/\.gz$/, ''));
  writeFileSync(path, `${lines.slice(0, end).join('\n')}\n`);
  return path;
}

function show(name: string, { steps, kernel, ours }: Measured, reach: number | undefined): void {
  const ratio = ours / kernel;
  const verdict = reach === undefined ? '' : `${reach} ${ratio <= reach ? 'ok' : 'NOT MET'}`;
  const loss = ratio > 1 ? ' slower' : '';
  console.log(
    `${name.padEnd(WIDTH)} ${String(steps).padStart(8)} ${digits(kernel).padStart(10)} ` +
      `${digits(ours).padStart(10)} ${ratio.toFixed(ratio < 0.1 ? 4 : 2).padStart(7)}  ${verdict}${loss}`,
  );
}

function digits(ns: number): string {
  return ns.toFixed(ns < 100 ? 1 : 0);
}
