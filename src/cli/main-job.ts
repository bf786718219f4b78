import { POLICIES } from '../i915/policy/index.js';
import type { VerifyResult } from '../recordings/replay/recording.js';
import { type LeakResult, OBJECTS } from '../workload/scenarios/leak.js';
import type { MainJobResult, Throughput } from '../workload/scenarios/main-job.js';
import { bold, bytes, dim, green, number, paragraph, rate, red, table, yellow } from './print.js';

/** The main job's result for people: both policies side by side, in 80 columns. */

/** What the main job does, before it is done. */
export function announceMainJob(seed: number): string {
  return [
    bold('Linux commit e227330223a7, "drm/i915: avoid leaking DMA mappings"'),
    `${number(OBJECTS)} objects, each bound in the GGTT and in the PPGTT of a context, on an i915\n` +
      `behind VT-d beside a network card: the same work under two policies (seed ${seed}).\n`,
  ].join('\n\n');
}

/** What came of it; of an interrupted job, the parts that are complete. */
export function describeMainJob({ policies, replay, throughput, ok, interrupted }: MainJobResult): string {
  const heads = policies.map(({ policy }) => policy);
  const sections: string[] = [];
  if (policies.length > 0) {
    sections.push(
      table(['', ...heads], [['', ...heads.map((policy) => dim(POLICIES[policy].rule))], ...work(policies)]),
      `${bold('One object in two address spaces')}\n${table(['', ...heads], exhibit(policies))}`,
      `${bold('What it leads to')}\n${table(['', ...heads], consequences(policies))}`,
      ...leaks(policies),
    );
  }
  if (replay) sections.push(`${bold('A real kernel, address for address')}\n  ${recording(replay)}`);
  if (throughput.length > 0) sections.push(speed(throughput));
  if (interrupted) sections.push(yellow('Interrupted: this is what there was.'));
  else {
    sections.push(
      ok ? green('Everything came out as the kernel has it.') : red('Something did NOT come out as the kernel has it.'),
    );
  }
  return sections.join('\n\n');
}

function speed(throughput: Throughput[]): string {
  const rows = [
    ['object lives/s', ...throughput.map((t) => rate(t.objectsPerSecond))],
    ['mappings/s', ...throughput.map((t) => rate(t.mappingsPerSecond))],
    ['pages mapped/s', ...throughput.map((t) => rate(t.pagesPerSecond))],
  ];
  const doubts = [...new Set(throughput.flatMap(({ untrusted }) => untrusted))];
  return [
    bold('Throughput') + dim('  (objects of 1 MiB in scattered pages, dma-debug off)'),
    table(['', ...throughput.map(({ policy }) => policy)], rows),
    ...doubts.map((why) => yellow(paragraph(`untrusted: ${why}`, '  '))),
  ].join('\n');
}

function work(policies: LeakResult[]): string[][] {
  const row = (name: string, value: (result: LeakResult) => string): string[] => [name, ...policies.map(value)];
  return [
    row('mappings made', ({ maps }) => number(maps)),
    row('mappings undone', ({ unmaps }) => number(unmaps)),
    row('second mapping of a mapped object', ({ secondMaps }) => count(secondMaps)),
    row('addresses silently replaced', ({ overwritten }) => count(overwritten)),
    row('get_pages that returned early', ({ nestedGetPages }) => number(nestedGetPages)),
    row('still mapped when all is freed', ({ live }) => count(live)),
    row('leaked mappings', ({ leakedMappings }) => count(leakedMappings)),
    row('leaked pages', ({ leakedPages }) => count(leakedPages)),
    row('leaked IOVA space', ({ leakedIovaBytes }) => bad(leakedIovaBytes > 0, bytes(leakedIovaBytes))),
    row('IOVA space left', ({ iova }) => bytes(iova.freeAfter)),
  ];
}

function exhibit(policies: LeakResult[]): string[][] {
  const row = (name: string, value: (result: LeakResult) => string): string[] => [name, ...policies.map(value)];
  const { object } = policies[0].exhibit;
  return [
    row(`${object}: in the GGTT`, ({ exhibit }) => hex(exhibit.first)),
    row('in the PPGTT', ({ exhibit }) => hex(exhibit.second)),
    row('freed, the device still reaches', ({ exhibit }) =>
      exhibit.firstReachable ? red(hex(exhibit.first)) : 'nothing',
    ),
  ];
}

function consequences(policies: LeakResult[]): string[][] {
  const row = (name: string, value: (result: LeakResult) => string): string[] => [name, ...policies.map(value)];
  const { bits } = policies[0].smallDomain;
  const { entries } = policies[0].dmaDebug;
  return [
    row(`${bits}-bit IOVA space: binding fails`, ({ smallDomain: { failedAfter, tried } }) =>
      failedAfter === null ? `not in ${number(tried)}` : red(`at object ${number(failedAfter)}`),
    ),
    row(`${number(entries)} dma-debug entries (2015)`, ({ dmaDebug: { fullAfter } }) =>
      fullAfter === null ? 'enough' : red(`full at object ${number(fullAfter)}`),
    ),
    row('and dma-debug', ({ dmaDebug: { disabled } }) => (disabled ? red('off for good') : 'on')),
    row('a kernel of today blames', ({ innocent }) => (innocent ? red('the network card') : 'nobody')),
    row('though the page was left by', ({ innocent }) => innocent?.leftBy ?? '-'),
  ];
}

function leaks(policies: LeakResult[]): string[] {
  return policies
    .filter(({ leakedMappings }) => leakedMappings > 0)
    .map(({ policy, leakedObjects, firstLeakers, leakedAt, innocent }) =>
      [
        bold(`Who leaked under ${policy}`),
        `  ${number(leakedObjects)} objects; most ${firstLeakers.map(({ object, bytes: size }) => `${short(object)} (${bytes(size)})`).join(', ')}`,
        ...leakedAt.map(
          ({ site, entries, bytes: size }) => `  ${site}: ${number(entries)} dma-debug entries, ${bytes(size)}`,
        ),
        ...(innocent
          ? [`  ${innocent.check} reported for ${innocent.device} after ${innocent.afterObjects} objects`]
          : []),
      ].join('\n'),
    );
}

function recording({ file, steps, matched, divergence }: VerifyResult): string {
  const text = `${file}: ${number(matched)} of ${number(steps)} steps match`;
  if (!divergence) return green(text);
  return red(`${text}; line ${divergence.line}: expected ${divergence.expected}, got ${divergence.got}`);
}

/** '0000:00:02.0: object 7' -> 'object 7'. */
function short(origin: string): string {
  return origin.slice(origin.lastIndexOf(': ') + 2);
}

function count(value: number): string {
  return bad(value > 0, number(value));
}

function bad(is: boolean, text: string): string {
  return is ? red(text) : text;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
