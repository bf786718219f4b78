import type { CallProgress } from '../core/slices.js';
import type { CampaignSum } from '../stress/campaign.js';
import type { StressProgress } from '../stress/config/configure.js';
import type { StressResult } from '../stress/stress.js';
import { bold, dim, green, number, rate, red } from './print.js';
import type { RunReproducer } from './reproducer.js';

/** What gemdma stress shows: progress, results, sums of campaigns. */

/** Progress of a run in the words of a bar. */
export function progressOf(progress: StressProgress): CallProgress {
  const { operations, total, seconds, objects, mappings, iovaUse, findings } = progress;
  const iova = `${(iovaUse * 100).toFixed(iovaUse < 0.1 ? 2 : 0)}%`;
  const words = [`${number(operations)} ops`, `${rate(operations / Math.max(seconds, 1e-3))}/s`];
  words.push(
    `${number(objects)} ${objects === 1 ? 'object' : 'objects'}`,
    `${number(mappings)} mapped`,
    `IOVA ${iova}`,
    `${number(findings)} ${findings === 1 ? 'finding' : 'findings'}`,
  );
  return { done: operations, total, what: words.join('  ') };
}

const WHY: Record<StressResult['ended'], string> = {
  operations: '',
  seconds: ', stopped by time',
  signal: ', interrupted',
  failure: '',
};

/** A run for people. */
export function describe(result: StressResult): string[] {
  const { profile, seed, subject, operations, done, refused, checks, failure, reproducer, timing } = result;
  const busiest = Object.entries(done)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
  const lines = [
    `${bold(profile)} under ${bold(subject)}, seed ${seed}: ${number(operations)} operations in ` +
      `${timing.seconds.toFixed(1)} s, ${rate(timing.operationsPerSecond)}/s${WHY[result.ended]}`,
    dim(`  ${busiest.map(([name, count]) => `${name} ${number(count)}`).join('  ')}`),
    dim(`  refused: ${countsText(refused)}  complete checks: ${number(checks)}`),
  ];
  if (!failure) return [...lines, `  ${green('nothing found')}`];
  lines.push(
    `  ${red(failure.kind)} ${bold(failure.id)} at step ${number(failure.step)}: ${failure.message}`,
    `  again: ${result.replay}`,
  );
  if (reproducer) {
    const { operations: few, tries, minimal, confirmed, program, reason } = reproducer as RunReproducer;
    const what = [
      `in ${number(tries)} tries`,
      ...(minimal ? ['minimal'] : []),
      confirmed ? 'run: it fails' : `NOT failing when run${reason === undefined ? '' : ` (${reason})`}`,
    ];
    lines.push(
      '',
      `  ${bold(`cut down to ${few.length} operations`)} ${what.join(', ')}:`,
      '',
      ...program
        .trimEnd()
        .split('\n')
        .map((line) => `    ${line}`),
    );
  }
  return lines;
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  return entries.length === 0 ? 'none' : entries.map(([name, count]) => `${name} ${number(count)}`).join('  ');
}

/** A campaign for people. */
export function describeSum(sum: CampaignSum, whole: boolean): string[] {
  const lines = [
    `${bold(number(sum.runs))} runs, ${number(sum.operations)} operations, ${number(sum.checks)} complete checks`,
  ];
  for (const { kind, id, runs, seed, step, message, replay: command } of sum.failures) {
    lines.push(
      `  ${red(kind)} ${bold(id)} in ${runs} runs, first seed ${seed} at step ${number(step)}: ${message}`,
      `    ${command}`,
    );
  }
  if (sum.differing.length > 0) {
    lines.push(`  ${red('not deterministic')}: seeds ${sum.differing.join(', ')} came out differently`);
  }
  const { missing } = sum;
  if (missing && missing.seeds > 0) {
    lines.push(
      `  ${red('incomplete')}: ${number(missing.seeds)} of ${number(missing.of)} seeds have no result, of shard ` +
        missing.shards.join(', '),
    );
  } else if (sum.idle.length > 0) {
    lines.push(`  ${red('incomplete')}: no operation was done with seeds ${sum.idle.join(', ')}`);
  } else if (!whole)
    lines.push(`  ${red('incomplete')}: ${sum.runs === 0 ? 'there is no result' : 'a file has lost results'}`);
  if (sum.failures.length === 0 && sum.differing.length === 0 && whole) lines.push(`  ${green('nothing found')}`);
  return lines;
}
