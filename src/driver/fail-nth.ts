import { checkBoolean, LONG_CALL, optionNames } from '../core/arguments.js';
import type { LongCallOptions } from '../core/slices.js';
import type { FaultPoint } from './driver.js';
import { type DriverFinding, findingKey } from './findings.js';
import { checkRunnerOptions, PointRunner, RUNNER_OPTIONS, type RunnerOptions } from './point-runner.js';
import type { RunResult } from './run.js';

/**
 * Every allocation of a driver's test fails once: memory, skbs, mappings, interrupts, PCI steps. A finding after a failure is
 * reported with that failure; findings of a run without failures are reported separately. Points that have their call site
 * and stack in common are a group, of which the first, the second and the last are tried.
 *
 * Each point runs in a worker with a time limit, since an error path may loop for ever.
 */

export interface DriverFailNthOptions extends RunnerOptions, LongCallOptions {
  /** Try every point of each group. Default false. */
  all?: boolean;
}

const FAIL_NTH_OPTIONS = optionNames<DriverFailNthOptions>({ ...RUNNER_OPTIONS, ...LONG_CALL, all: true });

/** A finding, and the failure that led to it. */
export interface FailureFinding {
  /** What the driver did wrong after the failure. */
  finding: DriverFinding;
  /** The allocation that failed: the first of those that led to it. */
  point: FaultPoint;
  /** Points that led to it, of those tried. */
  points: number;
}

/** The result of a test with each allocation failed in turn. */
export interface DriverFailNthResult {
  /** Bits of the driver's dma_addr_t. */
  dmaBits: 32 | 64;
  /** What shows without any failure. */
  baseline: DriverFinding[];
  /** Findings that occur only after a failure, each once. */
  failures: FailureFinding[];
  /** Allocations of the test that can fail. */
  points: number;
  /** Groups of these: points of one place and one stack of calls, of which some are picked. */
  groups: number;
  /** Points that were made to fail. */
  tried: number;
  /** Functions that the driver calls and neither runtime nor driver has. */
  missing: string[];
  /** Only when the signal was aborted: `tried` of the chosen points were tried. */
  interrupted?: true;
}

/** For the run without a failure, whose every point takes a stack. */
const SURVEY_LIMIT = 30_000;

/**
 * Fails each allocation of a test in turn.
 * @param wasm what buildDriver gave
 * @param test URL or path of the test's module: it is loaded in the worker
 * @throws TestThrew; GemDmaError if the module is not a driver
 */
export async function driverFailNth(
  wasm: Uint8Array,
  test:
    | string
    | {
        /** A URL, such as `new URL('nic.test.mjs', import.meta.url)`. */
        readonly href: string;
      },
  options: DriverFailNthOptions = {},
): Promise<DriverFailNthResult> {
  options = checkRunnerOptions(options, FAIL_NTH_OPTIONS);
  checkBoolean('all', options.all, false);
  const { dmaBits = 64, signal } = options;
  const runner = new PointRunner(wasm, test, options);
  try {
    const survey = await runner.run({ survey: true }, SURVEY_LIMIT);
    if (survey === null) return hung(dmaBits, signal?.aborted === true);
    const groups = grouped(survey.points);
    const chosen = groups.flatMap((group) => (options.all ? group : picked(group))).sort((a, b) => a.number - b.number);
    const known = new Set(survey.findings.map(findingKey));
    const failures = new Map<string, FailureFinding>();
    let tried = 0;
    const hanging = new Set<string>();
    // On a busy machine a run may be slow: it is a hang if it needs four times the limit, tried once per place.
    const attempt = async (point: FaultPoint): Promise<RunResult | null> => {
      const first = await runner.run({ nth: point.number });
      const place = `${point.at?.file}:${point.at?.line}`;
      if (first !== null || hanging.has(place) || signal?.aborted) return first;
      const second = await runner.run({ nth: point.number }, 4 * runner.timeLimit);
      if (second === null) hanging.add(place);
      return second;
    };
    for (const point of chosen) {
      if (signal?.aborted) break;
      const result = await attempt(point);
      if (signal?.aborted) break;
      ++tried;
      const findings = result === null ? [runner.hang(point)] : result.findings;
      for (const finding of findings) {
        const key = findingKey(finding);
        if (known.has(key)) continue;
        const before = failures.get(key);
        if (before) ++before.points;
        else failures.set(key, { finding, point, points: 1 });
      }
      options.onProgress?.({ done: tried, total: chosen.length, what: `allocation ${point.number}` });
    }
    return {
      dmaBits,
      baseline: survey.findings,
      failures: [...failures.values()],
      points: survey.pointCount,
      groups: groups.length,
      tried,
      missing: survey.missing,
      ...(signal?.aborted && { interrupted: true }),
    };
  } finally {
    await runner.close();
  }
}

/** First, second and last. */
function picked(group: readonly FaultPoint[]): FaultPoint[] {
  return group.length <= 3 ? [...group] : [group[0], group[1], group[group.length - 1]];
}

function grouped(points: readonly FaultPoint[]): FaultPoint[][] {
  const groups = new Map<string, FaultPoint[]>();
  for (const point of points) {
    const key = `${point.kind}|${point.stack.map(({ file, line }) => `${file}:${line}`).join('|')}`;
    const group = groups.get(key);
    if (group) group.push(point);
    else groups.set(key, [point]);
  }
  return [...groups.values()];
}

function hung(dmaBits: 32 | 64, aborted: boolean): DriverFailNthResult {
  const nothing = { dmaBits, failures: [], points: 0, groups: 0, tried: 0, missing: [] };
  if (aborted) return { ...nothing, baseline: [] };
  const message = `does not come back within ${SURVEY_LIMIT / 1000} s, with no failure at all`;
  const finding: DriverFinding = { id: 'HANG', message, at: null, born: null, stack: [], count: 1 };
  return { ...nothing, baseline: [finding] };
}
