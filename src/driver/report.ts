import {
  checkArray,
  checkBoolean,
  checkOptions,
  checkString,
  optionNames,
  readRecord,
  type Shape,
} from '../core/arguments.js';
import type { FaultName, FaultPoint } from './driver.js';
import type { DriverFailNthResult, FailureFinding } from './fail-nth.js';
import { type DriverFinding, placeText } from './findings.js';
import type { DriverStressResult } from './stress.js';

/** Findings as text for a driver's maintainer: what, where, its cause, how to reproduce it. */

export interface ReportOptions {
  /** Show the calls that led to each finding. */
  stacks?: boolean;
  /** The command that shows a finding again; `--nth` is added where one is needed. */
  command?: string;
}

const WHAT: Readonly<Record<FaultName, string>> = {
  kmalloc: 'the allocation',
  pages: 'the allocation of pages',
  skb: 'the allocation of the skb',
  dma_map: 'the mapping',
  dma_map_sg: 'the mapping of the list',
  dma_alloc_coherent: 'the allocation of coherent memory',
  irq: 'the request of the interrupt',
  pci: 'the PCI call',
  ioremap: 'the mapping of the registers',
  register_netdev: 'register_netdev',
  thread: 'the start of the thread or workqueue',
  dma_set_mask: 'dma_set_mask',
  dma_pool: 'the allocation from the DMA pool',
};

function pointText({ kind, at }: FaultPoint): string {
  return `${WHAT[kind]} in ${at === null ? 'the runtime' : placeText(at)} fails`;
}

function lines(finding: DriverFinding, options: ReportOptions, extra: readonly string[]): string[] {
  const { id, message, at, born, stack, count } = finding;
  return [
    `${id}: ${at === null ? 'the driver' : placeText(at)} ${message}${count > 1 ? ` (${count} times)` : ''}`,
    ...(born === null ? [] : [`    made in ${placeText(born)}`]),
    ...extra.map((text) => `    ${text}`),
    ...(options.stacks ? stack.slice(1).map((place) => `      called from ${placeText(place)}`) : []),
  ];
}

function readReport(options: ReportOptions): ReportOptions {
  const given = checkOptions('options', options, optionNames<ReportOptions>({ stacks: true, command: true }));
  checkBoolean('stacks', given.stacks, false);
  checkString('command', given.command);
  return given;
}

function findingLines(finding: DriverFinding, options: ReportOptions): string[] {
  return readRecord('findings', finding, { id: 'string', message: 'string' }, (one) => lines(one, options, []));
}

/** Findings of one run. */
export function findingsText(findings: readonly DriverFinding[], options: ReportOptions = {}): string {
  checkArray('findings', findings);
  const how = readReport(options);
  if (findings.length === 0) return 'no findings';
  const count = `${findings.length} finding${findings.length === 1 ? '' : 's'}`;
  return [`${count}:`, ...findings.flatMap((finding) => ['', ...findingLines(finding, how)])].join('\n');
}

function failureLines({ finding, point, points }: FailureFinding, options: ReportOptions): string[] {
  const again = options.command ? [`to see it: ${options.command} --nth ${point.number}`] : [];
  const more = points > 1 ? `, and ${points - 1} more like it` : '';
  return lines(finding, options, [`when ${pointText(point)} (allocation ${point.number}${more})`, ...again]);
}

/**
 * What fail-nth found, with the failure that led to each finding.
 * @throws TypeError if the argument is not a result
 */
export function failNthText(result: DriverFailNthResult, options: ReportOptions = {}): string {
  const how = readReport(options);
  return readRecord('result', result, FAIL_NTH, (record) => failNthLines(record, how));
}

const FAIL_NTH: Shape = { dmaBits: 'number', baseline: 'object', failures: 'object', points: 'number' };

function failNthLines(result: DriverFailNthResult, options: ReportOptions): string {
  const { dmaBits, baseline, failures, points, groups, tried } = result;
  const out = [
    `${dmaBits}-bit dma_addr_t: ${points} allocations in ${groups} places and stacks, ${tried} of them made to fail`,
  ];
  if (baseline.length > 0) {
    out.push('', 'Without any failure:');
    for (const finding of baseline) out.push('', ...lines(finding, options, []));
  }
  if (failures.length > 0) {
    out.push('', 'When an allocation fails:');
    for (const failure of failures) out.push('', ...failureLines(failure, options));
  }
  if (baseline.length + failures.length === 0)
    out.push(
      result.interrupted ? 'interrupted: no findings so far' : tried === 0 ? 'nothing was tried' : 'no findings',
    );
  return out.join('\n');
}

/**
 * What stress found, with the seed that shows it again.
 * @throws TypeError if the argument is not a result
 */
export function stressText(result: DriverStressResult, options: ReportOptions = {}): string {
  const how = readReport(options);
  return readRecord('result', result, STRESS, (record) => stressLines(record, how));
}

const STRESS: Shape = { dmaBits: 'number', seed: 'number', rounds: 'number', findings: 'object' };

function stressLines(result: DriverStressResult, options: ReportOptions): string {
  const { dmaBits, seed, rounds, findings } = result;
  const out = [`${dmaBits}-bit dma_addr_t: ${rounds} rounds from seed ${seed}`];
  for (const { finding, seed: first, rounds: times } of findings) {
    const again = options.command ? [`to see it: ${options.command} --stress-seed ${first}`] : [];
    out.push('', ...lines(finding, options, [`in ${times} of the rounds, first with seed ${first}`, ...again]));
  }
  if (findings.length === 0) out.push(rounds === 0 ? 'nothing was run' : 'no findings');
  return out.join('\n');
}
