import type { StressResult } from '../stress/stress.js';
import type { BenchResult } from '../workload/bench/run.js';
import type { ScenarioResult, ScenarioStep } from '../workload/scenarios/scenario.js';
import { barChart, lineChart, type Range, rangeChart, type Tone } from './html-charts.js';
import { escapeHtml, htmlTable, type Report, type Section } from './html-page.js';
import { bytes, number } from './print.js';

/** What the reports of --html show, by command. */

const TONES: readonly Tone[] = ['a', 'b'];

/** A scenario's result, with its steps where it has any. */
export interface RunOfScenario {
  result: ScenarioResult;
  steps: readonly ScenarioStep[];
}

/** gemdma run: one run per policy. */
export function runReport(title: string, runs: readonly RunOfScenario[]): Report {
  const results = runs.map(({ result }) => result);
  const names = results.map(({ policy, scenario }) => policy ?? scenario);
  const figures = ['maps', 'unmaps', 'live', 'leakedMappings', 'leakedIovaBytes', 'secondMaps', 'overwritten'].filter(
    (key) => results.some((result) => typeof result[key] === 'number'),
  );
  const sites = results.flatMap(({ leakedAt, policy }) =>
    ((leakedAt ?? []) as { site: string; bytes: number }[]).map(({ site, bytes: size }) => ({
      ...{ label: runs.length > 1 ? `${policy}: ${site}` : site, value: size, tone: 'lost' as const },
    })),
  );
  return {
    title: `${results[0]?.scenario ?? 'run'}: ${title}`,
    summary: results
      .map(({ ok, interrupted }, i) => `${names[i]}: ${interrupted ? 'interrupted' : ok ? 'as it must be' : 'wrong'}`)
      .join('; '),
    sections: [
      {
        title: 'Figures',
        body: htmlTable(
          'Figures',
          ['figure', ...names],
          figures.map((key) => [key, ...results.map((result) => (result[key] as number) ?? '')]),
        ),
      },
      {
        title: 'Device address space lost',
        body: barChart(
          'Bytes of IOVA space that nothing can free any more',
          results.map(({ leakedIovaBytes }, i) => ({
            label: names[i],
            value: leakedIovaBytes,
            tone: leakedIovaBytes > 0 ? 'lost' : TONES[i % 2],
          })),
          bytes,
        ),
      },
      ...(sites.length > 0
        ? [{ title: 'Lost by call site', body: barChart('Mapped bytes left, by device and call site', sites, bytes) }]
        : []),
      ...runs.flatMap(({ steps }, i) => (steps.length > 0 ? stepSections(names[i], steps) : [])),
    ],
    data: results,
  };
}

/** The mappings of objects, the steps at which each begins and ends, and how many live after each step. */
function stepSections(name: string, steps: readonly ScenarioStep[]): Section[] {
  const ranges = objectRanges(steps);
  const live = steps.map((_, i) => ranges.filter(({ from, to }) => from <= i && to > i));
  const findings = steps.flatMap(({ events }, i) =>
    events
      .filter((event) => event.kind === 'dma_debug')
      .map((event) => [
        i + 1,
        event.check,
        `0x${event.address.toString(16)}`,
        event.length,
        event.object ?? '',
        event.vma ?? '',
        event.hook ?? '',
      ]),
  );
  return [
    {
      title: `${name}: steps`,
      body: `<ol>${steps.map(({ program }) => `<li><code>${escapeHtml(program.join(' '))}</code></li>`).join('')}</ol>`,
    },
    {
      title: `${name}: IOVA map over time`,
      body:
        ranges.length === 0
          ? '<p>No object was mapped.</p>'
          : rangeChart(
              'Mappings of objects: device addresses over steps; red is mapped at the end',
              ranges,
              steps.length,
            ),
    },
    {
      title: `${name}: live mappings`,
      body:
        lineChart(
          'Mappings of objects that live after each step',
          [{ label: name, tone: 'a', values: live.map((all) => all.length) }],
          number,
          (i) => `step ${i + 1}`,
        ) +
        lineChart(
          'Bytes that they map',
          [{ label: name, tone: 'a', values: live.map((all) => all.reduce((sum, { length }) => sum + length, 0)) }],
          bytes,
          (i) => `step ${i + 1}`,
        ),
    },
    {
      title: `${name}: findings`,
      body:
        findings.length === 0
          ? '<p>None.</p>'
          : htmlTable('Findings', ['step', 'check', 'address', 'bytes', 'object', 'vma', 'hook'], findings),
    },
  ];
}

/** What is mapped for objects; page tables are not among it. */
export function objectRanges(steps: readonly ScenarioStep[]): Range[] {
  const ranges: (Range & { device: string })[] = [];
  for (const [i, { events }] of steps.entries()) {
    for (const event of events) {
      if (event.object === undefined) continue;
      if (event.kind === 'dma_map_page' || event.kind === 'dma_map_sg') {
        const { address, length, object, vma, hook, device = '' } = event;
        if (address === null) continue;
        const text = [device, object, vma, hook && `in ${hook}`].filter(Boolean).join(', ');
        ranges.push({ address, length, from: i, to: steps.length, lost: true, text, device });
      } else if (event.kind === 'dma_unmap_page' || event.kind === 'dma_unmap_sg') {
        const found = ranges.find(
          (range) => range.lost && range.address === event.address && range.device === (event.device ?? ''),
        );
        if (found) Object.assign(found, { to: i, lost: false });
      }
    }
  }
  return ranges;
}

/** gemdma bench: one run, or two that are compared. */
export function benchReport(title: string, results: readonly BenchResult[]): Report {
  const names = results.length > 1 ? ['A', 'B'] : ['run'];
  const percentiles = (['p50', 'p99', 'p999'] as const).flatMap((key) =>
    (['map', 'unmap'] as const).flatMap((what) =>
      results.map((result, i) => ({
        label: `${what} ${key}${results.length > 1 ? `, ${names[i]}` : ''}`,
        value: result[what]?.[key],
        tone: TONES[i],
      })),
    ),
  );
  const nanoseconds = (value: number): string => `${value.toFixed(value < 100 ? 1 : 0)} ns`;
  const block = (what: 'map' | 'unmap'): string =>
    lineChart(
      `Nanoseconds per ${what}, median by block`,
      results.map(({ blocks }, i) => ({ label: names[i], tone: TONES[i], values: blocks[what] })),
      nanoseconds,
      (i) => `block ${i + 1}`,
    );
  const counters = [...new Set(results.flatMap((result) => Object.keys(result.counters ?? {})))];
  return {
    title,
    summary: results
      .map(
        ({ mappingsPerSecond = 0, options }, i) =>
          `${names[i]}: ${number(Math.round(mappingsPerSecond))} mappings/s, ${options.backend}, ${options.mode}, ${options.kernel}`,
      )
      .join('; '),
    sections: [
      {
        title: 'Throughput',
        body: barChart(
          'Mappings per second',
          results.map(({ mappingsPerSecond = 0 }, i) => ({
            label: names[i],
            value: mappingsPerSecond,
            tone: TONES[i],
          })),
          (value) => number(Math.round(value)),
        ),
      },
      { title: 'Over time', body: block('map') + block('unmap') },
      {
        title: 'Distribution',
        body: barChart(
          'Percentiles of batch means; the maximum is in the figures',
          percentiles.filter(({ value }) => typeof value === 'number'),
          nanoseconds,
        ),
      },
      {
        title: 'Counters',
        body: htmlTable(
          'Counters',
          ['figure', ...names],
          counters.map((key) => [key, ...results.map((result) => result.counters?.[key] ?? '')]),
        ),
      },
      {
        title: 'Doubts',
        body: doubts(
          results.flatMap(({ untrusted }, i) =>
            untrusted.map((reason) => (results.length > 1 ? `${names[i]}: ${reason}` : reason)),
          ),
        ),
      },
    ],
    data: results,
  };
}

function doubts(reasons: readonly string[]): string {
  if (reasons.length === 0) return '<p>None.</p>';
  return `<ul>${reasons.map((reason) => `<li>${escapeHtml(reason)}</li>`).join('')}</ul>`;
}

/** gemdma stress: one run. */
export function stressReport(title: string, result: StressResult): Report {
  const { seed, profile, operations, ended, done, refused, failure, reproducer } = result;
  const counted = (counts: Readonly<Record<string, number>>, tone: Tone) =>
    Object.entries(counts)
      .filter(([, value]) => value > 0)
      .map(([label, value]) => ({ label, value, tone }));
  const refusals = counted(refused as Record<string, number>, 'b');
  return {
    title,
    summary: `${number(operations)} operations of ${profile}, seed ${seed}; ended by ${ended}`,
    sections: [
      {
        title: 'Findings',
        body:
          failure === null
            ? '<p>Nothing wrong was found.</p>'
            : `<p class="bad">${escapeHtml(failure.id)}</p><p>${escapeHtml(failure.message)}</p>${reproducer ? `<pre tabindex="0">${escapeHtml(reproducer.program)}</pre>` : ''}`,
      },
      {
        title: 'Operations',
        body: barChart('Operations done, by kind', counted(done as Record<string, number>, 'a'), number),
      },
      {
        title: 'Refused',
        body: refusals.length === 0 ? '<p>None.</p>' : barChart('Operations refused, by reason', refusals, number),
      },
    ],
    data: result,
  };
}
