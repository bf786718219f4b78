import type { AuditResult, FaultReport, SpaceSample, SuspectGroup } from '../trace/audit/result.js';
import { bold, bytes, dim, green, number, rate, red, table, yellow } from './print.js';
import type { InputGaps } from './trace-input.js';

/** The audit for people, in 80 columns as far as names allow. */

const SHOWN = 8;

export function describeAudit(result: AuditResult, inputs: readonly InputGaps[]): string {
  const parts = [
    describeInputs(result, inputs),
    devices(result),
    suspects(result),
    mismatches(result),
    overlaps(result),
  ];
  parts.push(faults(result.faults), reports(result), space(result), history(result));
  return parts.filter((part) => part !== '').join('\n\n');
}

/** What the reader of the rest has to know: how complete the input was. */
export function describeInputs({ from, to, completeness: c }: AuditResult, inputs: readonly InputGaps[]): string {
  const lines: string[] = [];
  for (const gaps of inputs) {
    const lined = gaps.lines > 0 ? `, ${number(gaps.lines)} lines` : '';
    lines.push(
      `${bold(gaps.input)}: ${[...gaps.formats].join(', ') || 'nothing of use'}, ${bytes(gaps.bytes)}${lined}, ${number(gaps.events)} events`,
    );
    if (gaps.lostEvents > 0)
      lines.push(
        red(`  ${number(gaps.lostEvents)} events lost by the tracer: what follows from their absence is doubtful`),
      );
    if (gaps.cutShort) lines.push(yellow('  the input ends in the middle'));
    if (gaps.wrappedLines > 0) lines.push(`  ${number(gaps.wrappedLines)} wrapped lines put together`);
    if (gaps.otherEvents.size > 0) {
      const names = [...gaps.otherEvents].sort((a, b) => b[1] - a[1]).slice(0, 4);
      lines.push(
        dim(
          `  other events: ${names.map(([name, n]) => `${name} ${number(n)}`).join(', ')}${gaps.otherEvents.size > 4 ? ', ...' : ''}`,
        ),
      );
    }
    if (gaps.notUnderstoodLines > 0) {
      lines.push(yellow(`  ${number(gaps.notUnderstoodLines)} lines not understood, such as`));
      for (const { line, column, reason, text } of gaps.examples.slice(0, 3)) {
        lines.push(`    ${line > 0 ? `${line}:${column}: ` : ''}${reason}: ${clip(text, 60)}`);
      }
    }
  }
  if (from !== null && to !== null) lines.push(`From ${from.toFixed(6)} s to ${to.toFixed(6)} s.`);
  if (!c.hasDevices && c.events > 0) lines.push('No event tells a device: iommu:* alone was recorded.');
  if (c.truncatedLists > 0)
    lines.push(yellow(`${number(c.truncatedLists)} lists were cut by the kernel ([TRUNCATED]).`));
  if (c.startedInMidLife > 0) lines.push(`${number(c.startedInMidLife)} mappings were live when the trace began.`);
  const inferred = [
    c.physicalFromIommu > 0
      ? `the physical address of ${number(c.physicalFromIommu)} coherent buffers, from iommu:map`
      : '',
    c.endsFromIommu > 0 ? `the end of ${number(c.endsFromIommu)} mappings, from iommu:unmap alone` : '',
    c.ambiguousLists > 0 ? `which of several equal lists ${number(c.ambiguousLists)} unmaps were for` : '',
  ].filter((text) => text !== '');
  if (inferred.length > 0) lines.push(`Inferred: ${inferred.join('; ')}.`);
  return lines.join('\n');
}

function devices({ devices: list }: AuditResult): string {
  if (list.length === 0) return '';
  const shown = list.slice(0, 20);
  const counts = table(
    ['device', 'maps', 'unmaps', 'live', 'bytes', 'most live', 'maps/s', 'busiest s'],
    shown.map((d) => [
      ...[d.device, number(d.maps), number(d.unmaps), number(d.live), bytes(d.bytes), bytes(d.peakLiveBytes)],
      ...[rate(d.rate), rate(d.peakRate)],
    ]),
  );
  const spread = table(
    ['', 'size p50', 'p90', 'p99', 'most', 'life p50', 'p90', 'p99', 'most'],
    shown.map(({ device, sizes: s, lifetimes: l }) => [
      ...[device, ...[s.p50, s.p90, s.p99, s.max].map(bytes)],
      ...(l.count > 0 ? [l.p50, l.p90, l.p99, l.max].map(duration) : ['-', '-', '-', '-']),
    ]),
  );
  const rest = list.length > shown.length ? dim(`\n  and ${list.length - shown.length} more devices`) : '';
  return `${bold('Devices')}\n${counts}\n${spread}${rest}`;
}

const EVIDENCE: Record<SuspectGroup['evidence'], string> = {
  overtaken: 'overtaken',
  'address-reused': 'address handed out again',
  'iommu-only': 'no dma_unmap after iommu:unmap',
};

function suspects({ suspects: groups, suspectCount }: AuditResult): string {
  if (suspectCount === 0) return `${bold('Leaks')}\n  ${green('none suspected')}`;
  const shown = groups.slice(0, SHOWN);
  const rows = shown.map((g) => [
    g.device,
    number(g.count),
    g.kind,
    g.sizes[0] === g.sizes[1] ? bytes(g.sizes[0]) : `${bytes(g.sizes[0])}-${bytes(g.sizes[1])}`,
    clip(g.task, 20),
    g.firstSeen.toFixed(6),
    g.examples[0].address,
    EVIDENCE[g.evidence],
  ]);
  const rest = groups.length > shown.length ? dim(`\n  and ${number(groups.length - shown.length)} more groups`) : '';
  return `${bold('Leaks')}: ${red(`${number(suspectCount)} suspected`)}\n${table(['device', 'count', 'kind', 'size', 'task', 'first', 'address', 'why'], rows)}${rest}`;
}

function mismatches({ mismatches: { counts, examples } }: AuditResult): string {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  if (total === 0) return '';
  const summary = Object.entries(counts).map(([kind, n]) => `${kind} ${number(n)}`);
  const lines = examples
    .slice(0, SHOWN)
    .map(
      (m) =>
        `  ${m.time.toFixed(6)} ${m.device} ${m.address} ${m.kind}: ${m.mapped}; unmapped: ${m.unmapped}, by ${m.task || '?'}`,
    );
  return `${bold('Unmaps that do not match')}: ${red(summary.join(', '))}\n${lines.join('\n')}`;
}

function overlaps({ overlaps: { count, readOnly, examples } }: AuditResult): string {
  if (count === 0) return '';
  const lines = examples
    .slice(0, SHOWN)
    .map(
      ({ device, physical, first, second }) =>
        `  ${device} ${physical}: ${first.address} (${first.size} bytes, ${first.direction}, ${first.time.toFixed(6)}) and ` +
        `${second.address} (${second.size} bytes, ${second.direction}, ${second.time.toFixed(6)}, ${second.task})`,
    );
  const read = readOnly > 0 ? dim(` (${number(readOnly)} of them only read by the device)`) : '';
  return `${bold('Memory mapped twice at a time')}: ${number(count)}${read}${lines.length > 0 ? `\n${lines.join('\n')}` : ''}`;
}

function faults(list: readonly FaultReport[]): string {
  if (list.length === 0) return '';
  const lines = list.slice(0, SHOWN * 2).flatMap((fault) => {
    const when = fault.time === null ? '' : `${fault.time.toFixed(6)} `;
    const times = fault.times > 1 ? `, ${number(fault.times)} times` : '';
    return [
      `  ${red(`${when}${fault.device || '?'} ${fault.address}`)} ${fault.write ? 'write' : 'read'}: ${fault.reason}${times}`,
      `    ${verdict(fault)}`,
    ];
  });
  const rest = list.length > SHOWN * 2 ? [dim(`  and ${number(list.length - SHOWN * 2)} more addresses`)] : [];
  return [bold('Faults'), ...lines, ...rest].join('\n');
}

function verdict({ verdict: what, holder: h, age }: FaultReport): string {
  if (h === null) return 'no mapping of the trace had this address';
  const mapped = `${h.kind} of ${bytes(h.size)} at ${h.address}, mapped ${h.mappedAt.toFixed(6)} by ${h.mappedBy || '?'}`;
  if (what === 'live') return `a mapping is live there: ${mapped}`;
  if (what === 'neighbour') return `the page beside a live mapping: ${mapped}`;
  const since = age === null ? '' : ` (${age < 10 ? age.toFixed(3) : age.toFixed(1)} ms before the fault)`;
  const by = h.unmappedBy ? ` by ${h.unmappedBy}` : '';
  const at = h.unmappedAt === null ? 'unmapped at an unknown time' : `unmapped ${h.unmappedAt.toFixed(6)}${by}${since}`;
  return `${at}: ${mapped}`;
}

function reports({ dmaDebug, swiotlbFull, dump }: AuditResult): string {
  const parts: string[] = [];
  if (dmaDebug.length > 0) {
    const lines = dmaDebug
      .slice(0, SHOWN)
      .map(
        ({ text, device, count, address }) =>
          `  ${number(count)} x ${device} ${text}${address ? `, first at ${address}` : ''}`,
      );
    parts.push(`${bold("The kernel's checker reported")}\n${lines.join('\n')}`);
  }
  if (swiotlbFull.length > 0) {
    const lines = swiotlbFull.slice(0, SHOWN).map(({ device, count, sizes: [least, most], mostUsed }) => {
      const size = least === most ? bytes(least) : `${bytes(least)} to ${bytes(most)}`;
      return `  ${number(count)} x ${device || '?'}, ${size}${mostUsed > 0 ? `, ${number(mostUsed)} slots in use` : ''}`;
    });
    parts.push(`${bold('swiotlb was full')}\n${lines.join('\n')}`);
  }
  if (dump.length > 0) {
    const rows = dump.slice(0, SHOWN * 2).map((d) => [d.device, d.kind, number(d.count), bytes(d.bytes)]);
    parts.push(`${bold('dma-api/dump')}\n${table(['device', 'kind', 'mappings', 'bytes'], rows)}`);
  }
  return parts.join('\n\n');
}

function space({ space: spaces, devices: list }: AuditResult): string {
  const blocks: string[] = [];
  for (const { device } of list.slice(0, 4)) {
    const samples = spaces[device];
    if (samples === undefined || samples.length < 2) continue;
    blocks.push(
      table(
        [device, 'mappings', 'used', 'largest hole', 'fragmented'],
        spaced(samples, 5).map((s) => [
          `${s.time.toFixed(3)} s`,
          ...[number(s.mappings), bytes(s.bytes), bytes(s.largestHole), `${Math.round(s.fragmentation * 100)} %`],
        ]),
      ),
    );
  }
  return blocks.length === 0 ? '' : `${bold('Address space')}\n${blocks.join('\n')}`;
}

function spaced(samples: readonly SpaceSample[], count: number): SpaceSample[] {
  if (samples.length <= count) return [...samples];
  return Array.from({ length: count }, (_, i) => samples[Math.round((i * (samples.length - 1)) / (count - 1))]);
}

function history({ history: events, historyCount }: AuditResult): string {
  if (events === null) return '';
  if (events.length === 0) return `${bold('History')}\n  no event of the input touches the address`;
  const lines = events.map(({ time, what, device, address, size, task, cpu }) => {
    const when = time === null ? '-' : time.toFixed(6);
    return `  ${when} ${cpu === null ? '' : `[${cpu}] `}${what} ${device} ${address} ${size} bytes${task ? `, ${task}` : ''}`;
  });
  const rest = historyCount > events.length ? [dim(`  and ${number(historyCount - events.length)} more`)] : [];
  return [`${bold('History')}: ${number(historyCount)} events`, ...lines, ...rest].join('\n');
}

/** 12345678 ns -> '12.3 ms'. */
export function duration(nanoseconds: number): string {
  const units: [number, string][] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'us'],
  ];
  for (const [scale, unit] of units) {
    if (nanoseconds < scale) continue;
    const value = nanoseconds / scale;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${Math.round(nanoseconds)} ns`;
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
