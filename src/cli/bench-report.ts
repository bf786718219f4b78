import { cyan as chartCyan, yellow as chartYellow } from 'asciichart';
import type { Latency } from '../workload/bench/measure.js';
import type { BenchOptions } from '../workload/bench/options.js';
import type { BenchResult } from '../workload/bench/run.js';
import type { ScalingRow } from '../workload/bench/scaling.js';
import type { Sweepable } from '../workload/bench/sweep.js';
import { chart } from './chart.js';
import type { Comparison } from './compare.js';
import { bold, cyan, dim, green, isColorSupported, number, rate, red, table, yellow } from './print.js';

/** Results of gemdma bench for people, in lines of at most 80 columns. */

export function describeResult(result: BenchResult): string[] {
  const { options, map, unmap, batch, batches, warmup, counters } = result;
  const lines = [
    title(options),
    '',
    table(
      ['ns', 'mean', 'deviation', 'p50', 'p99', 'p99.9', 'max'],
      [latencyRow('map', map), latencyRow('unmap', unmap)],
    ),
    '',
    `${bold(`${rate(result.mappingsPerSecond)} mappings/s`)}   ${bold(`${rate(result.pagesPerSecond)} pages/s`)}` +
      (result.failed > 0 ? `   ${red(`${number(result.failed)} failed`)}` : ''),
    dim(
      `${number(batches)} batches of ${number(batch)}; percentiles are of batch means; ` +
        `warm-up ${warmup.seconds.toFixed(1)} s`,
    ),
    dim(
      wrap(
        Object.entries(counters).map(([name, count]) => `${words(name)} ${number(count)}`),
        ', ',
      ),
    ),
  ];
  return [...lines, ...distrust(result.untrusted)];
}

function title({ mode, threads, backend, kernel, allocator, granule, direction, ...more }: BenchOptions): string {
  const what = mode === 'object' ? `object (${more.policy})` : mode;
  const pages = `${granule} ${granule === 1 ? 'page' : 'pages'}`;
  const parts = [`${backend}, ${kernel}${allocator ? `, ${allocator}` : ''}`, direction, `${more.bits} bits`];
  if (threads > 1) parts.push(`${threads} threads`);
  if (more.dmaDebug) parts.push('dma-debug');
  if (more.live > 0) parts.push(`${number(more.live)} live`);
  if (more.fragmentation > 0) parts.push(`fragmentation ${more.fragmentation}`);
  if (more.transfer > 0) parts.push(`transfer ${number(more.transfer)} ns`);
  return wrap([`${bold(`${what}, ${pages}`)}`, ...parts], ', ');
}

function latencyRow(name: string, { mean, deviation, p50, p99, p999, max }: Latency): string[] {
  return [name, ...[mean, deviation, p50, p99, p999, max].map(nanoseconds)];
}

function nanoseconds(ns: number): string {
  return ns < 1000 ? ns.toFixed(1) : number(Math.round(ns));
}

function distrust(reasons: readonly string[]): string[] {
  return reasons.map((reason) => yellow(`untrusted: ${reason}`));
}

/** iotlbPageInvalidations -> iotlb page invalidations. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** Joins parts into lines of at most 80 columns. */
function wrap(parts: readonly string[], separator: string): string {
  const lines = [''];
  for (const part of parts) {
    const last = lines[lines.length - 1];
    if (last !== '' && last.length + separator.length + part.length > 80) {
      lines[lines.length - 1] = `${last}${separator.trimEnd()}`;
      lines.push(part);
    } else lines[lines.length - 1] = last === '' ? part : `${last}${separator}${part}`;
  }
  return lines.join('\n');
}

export function describeScaling(rows: readonly ScalingRow[]): string[] {
  const locks = Object.keys(rows[0]?.contention ?? {}).filter((name) => rows.some((row) => row.contention[name] > 0));
  return [
    table(
      ['workers', 'mappings/s', 'speed-up', 'efficiency', 'by median', ...locks.map((name) => `${name} waits/1k`)],
      rows.map(({ threads, mappingsPerSecond, speedup, efficiency, medianSpeedup, contention }) => [
        String(threads),
        rate(mappingsPerSecond),
        `${speedup.toFixed(2)}x`,
        `${(100 * efficiency).toFixed(0)} %`,
        `${medianSpeedup.toFixed(2)}x`,
        ...locks.map((name) => contention[name].toPrecision(2)),
      ]),
    ),
    ...(locks.length === 0 ? [dim('no lock was found held')] : []),
    ...distrust(rows.flatMap(({ threads, untrusted }) => untrusted.map((reason) => `${threads}: ${reason}`))),
  ];
}

const CHART_COLORS = [chartCyan, chartYellow];

export function describeSweep(option: Sweepable, results: readonly BenchResult[]): string[] {
  if (results.length === 0) return ['nothing was measured'];
  const xs = results.map(({ options }) => Math.max(1, options[option]));
  const ascending = xs.every((x, i) => i === 0 || x > xs[i - 1]);
  const first = results[0];
  const growth = (name: 'map' | 'unmap', result: BenchResult): string =>
    `${(result[name].p50 / first[name].p50).toFixed(2)}x`;
  return [
    title({ ...first.options, ...{ live: 0 } }),
    '',
    ...(ascending
      ? [
          `${dim(`      ns, p50, over ${option}:`)} ${cyan('map')}, ${yellow('unmap')}`,
          chart(
            xs,
            [
              { name: 'map', values: results.map(({ map }) => map.p50) },
              { name: 'unmap', values: results.map(({ unmap }) => unmap.p50) },
            ],
            short,
            isColorSupported ? CHART_COLORS : undefined,
          ),
          '',
        ]
      : []),
    table(
      [option, 'map p50', 'growth', 'p99', 'unmap p50', 'growth', 'p99', 'mappings/s', ''],
      results.map((result) => [
        short(result.options[option]),
        nanoseconds(result.map.p50),
        growth('map', result),
        nanoseconds(result.map.p99),
        nanoseconds(result.unmap.p50),
        growth('unmap', result),
        nanoseconds(result.unmap.p99),
        rate(result.mappingsPerSecond),
        result.untrusted.length > 0 ? yellow('untrusted') : '',
      ]),
    ),
    ...distrust(
      results.flatMap(({ options, untrusted }) => untrusted.map((reason) => `${short(options[option])}: ${reason}`)),
    ),
  ];
}

/** 10000 -> 10k, 1000000 -> 1M. */
function short(value: number): string {
  if (value >= 1e6 && value % 1e5 === 0) return `${value / 1e6}M`;
  return value >= 1e3 && value % 100 === 0 ? `${value / 1e3}k` : String(value);
}

export function describeComparison({ differences, map, unmap, untrusted }: Comparison): string[] {
  const row = (name: string, { mean, low, high, verdict }: Comparison['map']): string[] => [
    name,
    mean.toFixed(3),
    `${low.toFixed(3)} to ${high.toFixed(3)}`,
    verdict === 'faster' ? green(verdict) : verdict === 'slower' ? red(verdict) : verdict,
  ];
  return [
    table(['time of B over A', 'ratio', '95 % interval', ''], [row('map', map), row('unmap', unmap)]),
    ...differences.map(({ option, a, b }) => yellow(`not alike: ${option} is ${a} in A, ${b} in B`)),
    ...distrust(untrusted),
  ];
}
