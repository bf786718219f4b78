import { median } from 'simple-statistics';
import { Bench } from 'tinybench';

/**
 * What all benchmark suites share. A suite is a list of tasks; a task's `run` performs a whole batch of operations, large
 * enough to stand far above the timer's resolution, and its figure is the time of one operation. Figures are compared
 * within one run only: beside the physical limit of the same machine in the same minute, and beside what somebody would
 * otherwise write.
 *
 * Each suite is run in several rounds, variant after variant, each in a process of its own: a slow spell of a shared
 * machine falls on all of them, and the compiler sees one machine and one way of use, as in most programs (calls into
 * WebAssembly cost 2 ns while a call site knows one instance, and 20 more when it has seen several). A figure is the
 * median over the rounds of each round's median.
 */

export interface Task {
  name: string;
  /** Operations that one call of `run` performs. */
  operations: number;
  run(): void;
  /** Brings back the state that `run` starts from; not timed. */
  before?(): void;
  /** Name of the task that shows what the machine can do at all; of any variant of the suite. */
  limit?: string;
  /** Name of the task that does the same in plain TypeScript. */
  peer?: string;
  /** A figure to reach: at most `ratio` times the task `of`, or at most `ns` nanoseconds. */
  reach?: { of: string; ratio: number } | { ns: number };
}

/** What a round tells of a task. */
export interface Sample extends Omit<Task, 'run' | 'before'> {
  /** Median nanoseconds of one call of `run`. */
  ns: number;
}

export interface Suite {
  /** File name of the suite, without .bench.ts. */
  name: string;
  title: string;
  /** Ways to run it that must not share a process. Default one. */
  variants?: readonly string[];
  /** Least milliseconds of warm-up, for suites that run much JavaScript: it is compiled late. Not of a quick run. */
  warmup?: number;
  tasks(variant: string): Task[] | Promise<Task[]>;
}

export interface Figure {
  name: string;
  /** Nanoseconds an operation: the median over the rounds, and the fastest and slowest round. */
  ns: number;
  fastest: number;
  slowest: number;
  /** Nanoseconds of one sample: whether it stands above the timer. */
  sample: number;
  /** This figure divided by the limit's; the peer's divided by this one (how many times faster). */
  overLimit?: number;
  overPeer?: number;
  reach?: { text: string; met: boolean };
}

export interface FrameOptions {
  /** Milliseconds a task and round. */
  time: number;
  rounds: number;
}

export const FULL: FrameOptions = { time: 150, rounds: 7 };
/** For checks that every suite works; the figures of such a run are worth nothing. */
export const QUICK: FrameOptions = { time: 5, rounds: 1 };

/** Below this a sample is too close to what reading the clock costs. */
export const SHORTEST_SAMPLE_NS = 2000;

/** One round of one variant. */
export async function measure(suite: Suite, variant: string, time: number): Promise<Sample[]> {
  const tasks = await suite.tasks(variant);
  if (new Set(tasks.map(({ name }) => name)).size !== tasks.length) {
    throw new Error(`suite ${suite.name} names two tasks alike`);
  }
  const warmupTime = time > QUICK.time ? Math.max(time / 2, suite.warmup ?? 0) : time;
  const bench = new Bench({ time, iterations: 5, warmupTime, warmupIterations: 5, throws: true });
  for (const { name, run, before } of tasks) {
    bench.add(name, () => run(), { async: false, ...(before && { beforeEach: before }) });
  }
  await bench.run();
  return tasks.map(({ run: _run, before: _before, ...task }, i) => {
    const { result } = bench.tasks[i];
    if (result.state !== 'completed') throw new Error(`${suite.name}: ${task.name} ended as ${result.state}`);
    return { ...task, ns: result.latency.p50 * 1e6 };
  });
}

/** The figures of a suite from the samples of all its rounds. */
export function figures(all: readonly Sample[]): Figure[] {
  const tasks = [...new Map(all.map((sample) => [sample.name, sample])).values()];
  const times = (task: string): number[] => all.filter(({ name }) => name === task).map(({ ns }) => ns);
  const perOperation = new Map(tasks.map(({ name, operations }) => [name, median(times(name)) / operations] as const));
  const of = (name: string): number => {
    const ns = perOperation.get(name);
    if (ns === undefined) throw new Error(`there is no task '${name}' to compare with`);
    return ns;
  };
  return tasks.map(({ name, operations, limit, peer, reach }) => {
    const samples = times(name);
    const ns = of(name);
    const figure: Figure = {
      name,
      ns,
      fastest: Math.min(...samples) / operations,
      slowest: Math.max(...samples) / operations,
      sample: ns * operations,
    };
    if (limit !== undefined) figure.overLimit = ns / of(limit);
    if (peer !== undefined) figure.overPeer = of(peer) / ns;
    if (reach !== undefined) {
      figure.reach =
        'ns' in reach
          ? { text: `${reach.ns} ns`, met: ns <= reach.ns }
          : { text: `${Number(reach.ratio.toFixed(2))}x ${reach.of}`, met: ns <= reach.ratio * of(reach.of) };
    }
    return figure;
  });
}

/** A suite's figures as a table of at most 100 columns. */
export function format(suite: Suite, all: readonly Figure[]): string {
  const head = ['', 'ns/op', 'range', 'x limit', 'faster than peer', 'to reach'];
  const rows = all.map((figure) => [
    figure.sample < SHORTEST_SAMPLE_NS ? `${figure.name} (?)` : figure.name,
    digits(figure.ns),
    `${digits(figure.fastest)}-${digits(figure.slowest)}`,
    figure.overLimit === undefined ? '' : figure.overLimit.toFixed(2),
    figure.overPeer === undefined ? '' : `${figure.overPeer.toFixed(figure.overPeer < 10 ? 1 : 0)}x`,
    figure.reach === undefined ? '' : `${figure.reach.text} ${figure.reach.met ? 'ok' : 'NOT MET'}`,
  ]);
  const used = head.map((_, column) => column < 2 || rows.some((row) => row[column] !== ''));
  const width = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = (row: string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(width[column]) : cell.padStart(width[column])))
      .filter((_, column) => used[column])
      .join('  ')
      .trimEnd();
  const doubtful = all.some(({ sample }) => sample < SHORTEST_SAMPLE_NS)
    ? ['(?) a sample is so short that reading the clock counts in it']
    : [];
  return [`${suite.name}: ${suite.title}`, line(head), ...rows.map(line), ...doubtful].join('\n');
}

function digits(ns: number): string {
  return ns < 10 ? ns.toFixed(2) : ns < 1000 ? ns.toFixed(1) : ns.toFixed(0);
}
