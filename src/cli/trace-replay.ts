import type { CallProgress } from '../core/slices.js';
import { verifyTraceAsync, whatIfAsync } from '../trace/replay/in-thread.js';
import { Rebuild } from '../trace/replay/rebuild.js';
import type { TraceVerification } from '../trace/replay/verify.js';
import { parseWhatIf, type WhatIfResult } from '../trace/replay/what-if.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import type { Frame } from './frame.js';
import { bold, bytes, dim, green, number, red, table } from './print.js';
import type { ProgressSink } from './progress.js';
import { type InputError, readInput } from './trace-input.js';

/** gemdma trace --verify: each trace through the emulator, address for address. */

const SHOWN = 5;

/** Progress of reading one of several inputs, in a bar for all of the work. */
function shareOf(bar: ProgressSink, before: number, total: number): (progress: CallProgress) => void {
  return ({ done, total: all, what }) => bar.update({ done: before + done / Math.max(all, 1), total, what });
}

interface Verified extends TraceVerification {
  file: string;
}

export async function verifyFiles(frame: Frame, files: readonly string[]): Promise<ExitCode> {
  const results: Verified[] = [];
  const errors: InputError[] = [];
  const { signal } = frame;
  const bar = frame.bar();
  for (const [i, file] of files.entries()) {
    if (signal.aborted) break;
    const rebuild = new Rebuild();
    const onProgress = shareOf(bar, 2 * i, files.length * 2);
    const read = await readInput(file, (batch) => rebuild.add(batch), { signal, onProgress });
    if ('message' in read) {
      if (signal.aborted) break;
      errors.push(read);
      frame.note(read.message);
    } else {
      bar.update({ done: 2 * i + 1, total: files.length * 2, what: `replaying ${file}` });
      const result = await verifyTraceAsync(rebuild.finish(), { signal });
      if (result) results.push({ file, ...result });
    }
  }
  const parted = results.some(({ compared, matched }) => matched < compared);
  const value = { verified: results, errors: errors.map(({ message: _, ...rest }) => rest) };
  if (results.length > 0 || frame.json) frame.show(value, () => describe(results), { wrong: parted });
  return errors.length > 0 ? EXIT.usage : parted ? EXIT.findings : EXIT.ok;
}

function describe(results: readonly Verified[]): string {
  const rows = results.map(({ file, mode, compared, matched, inferred }) => [
    ...[file, mode, number(compared), (matched === compared ? green : red)(number(matched))],
    compared === 0 ? '-' : `${((matched / compared) * 100).toFixed(2)} %`,
    ...[inferred.live, inferred.cached, inferred.holes, inferred.fromTree].map(number),
  ]);
  const head = ['trace', 'mode', 'addresses', 'match', '', 'live', 'cached', 'holes', 'from tree'];
  const details = results.flatMap(({ file, differences, compared, matched }) => {
    if (differences.length === 0) return [];
    const shown = differences.slice(0, SHOWN).map(({ time, device, cpu, recorded, got, pages }) => {
      const answer = got === null ? 'refused' : `0x${got.toString(16)}`;
      return `  ${time.toFixed(6)} ${device} CPU ${cpu}, ${number(pages)} pages: recorded 0x${recorded.toString(16)}, emulated ${answer}`;
    });
    const rest = compared - matched - shown.length;
    return ['', bold(file), ...shown, ...(rest > 0 ? [dim(`  and ${number(rest)} more`)] : [])];
  });
  const ticks = results.flatMap(({ file, tick }) =>
    tick
      ? [`\n${file}: lazy; tick of ${tick.hz} Hz, ${number(tick.corrections)} flushes otherwise than the rule says`]
      : [],
  );
  const none = results.filter(({ compared }) => compared === 0);
  const remarks = none.map(({ file }) => `\n${file} has no event of the DMA API with an address: nothing to compare.`);
  return [table(head, rows), ...ticks, ...details, ...remarks].join('\n');
}

/** gemdma trace --what-if: the calls of all files, one after the other, under each configuration. */
export async function whatIfFiles(
  frame: Frame,
  files: readonly string[],
  wanted: readonly string[],
): Promise<ExitCode> {
  const asked = wanted.map((text) => {
    try {
      return { name: text, options: parseWhatIf(text) };
    } catch (error) {
      if (error instanceof TypeError) throw new UsageError(`--what-if: ${error.message}`);
      throw error;
    }
  });
  const rebuild = new Rebuild();
  const errors: InputError[] = [];
  const { signal } = frame;
  const bar = frame.bar();
  const configurations = [{ name: 'recorded', options: {} }, ...asked];
  const steps = files.length + configurations.length;
  for (const [input, file] of files.entries()) {
    if (signal.aborted) break;
    const onProgress = shareOf(bar, input, steps);
    const read = await readInput(file, (batch) => rebuild.add(batch, input), { signal, onProgress });
    if ('message' in read && !signal.aborted) {
      errors.push(read);
      frame.note(read.message);
    }
  }
  const operations = rebuild.finish();
  const runs: { name: string; result: WhatIfResult }[] = [];
  for (const [i, { name, options }] of configurations.entries()) {
    bar.update({ done: files.length + i, total: steps, what: name });
    const result = await whatIfAsync(operations, options, { signal });
    if (result) runs.push({ name, result });
  }
  if (runs.length > 0 || frame.json) frame.show(runs, describeRuns, { wrong: true });
  return errors.length > 0 ? EXIT.usage : EXIT.ok;
}

function describeRuns(runs: readonly { name: string; result: WhatIfResult }[]): string {
  const row = (name: string, value: (result: WhatIfResult) => string): string[] => [
    name,
    ...runs.map(({ result }) => value(result)),
  ];
  const rows = [
    row('maps', ({ maps }) => number(maps)),
    row('failures', ({ failures }) => (failures > 0 ? red(number(failures)) : '0')),
    row('first failure', ({ firstFailure }) => (firstFailure === null ? '-' : `${firstFailure.toFixed(6)} s`)),
    row('IOTLB flushes: ranges', ({ invalidations: { page } }) => number(page)),
    row('  whole domain', ({ invalidations: { domain } }) => number(domain)),
    row('table pages, most', ({ tablePages }) => number(tablePages)),
    row('largest hole, least', ({ largestHole }) => (largestHole === null ? '-' : bytes(largestHole))),
    row('bounce pool, most', ({ bounceHighWater }) => (bounceHighWater === null ? '-' : bytes(bounceHighWater))),
    row('bytes bounced', ({ bouncedBytes }) => (bouncedBytes === 0 ? '-' : bytes(bouncedBytes))),
    row('stale ranges', ({ stale }) => (stale ? number(stale.ranges) : '-')),
    row('  for, mean', ({ stale }) => (stale ? `${stale.meanMilliseconds.toFixed(1)} ms` : '-')),
    row('  at most', ({ stale }) => (stale ? `${stale.maxMilliseconds.toFixed(1)} ms` : '-')),
    row('  at a time', ({ stale }) => (stale ? number(stale.most) : '-')),
    row('searches of the tree', ({ search }) => (search ? number(search.allocations) : '-')),
    row('  nodes visited, mean', ({ search }) => (search ? search.meanSteps.toFixed(1) : '-')),
    row('  most', ({ search }) => (search ? number(search.maxSteps) : '-')),
  ];
  const failed = runs.filter(({ result }) => result.failures > 0);
  const reasons = failed.map(({ name, result }) => {
    const list = Object.entries(result.reasons).map(([reason, n]) => `${reason} ${number(n)}`);
    return `  ${name}: ${list.join(', ')}`;
  });
  return [
    table(['', ...runs.map(({ name }) => name || 'recorded')], rows),
    ...(reasons.length > 0 ? ['', bold('Why'), ...reasons] : []),
  ].join('\n');
}
