import {
  COLOR_I915,
  COLOR_NONE,
  MM_BEST,
  MM_EVICT,
  MM_HIGH,
  MM_LOW,
  MM_MODERN,
  MM_ONCE,
  MM_SEARCH_BELOW,
  MM_SEARCH_BEST,
  MM_SEARCH_DEFAULT,
  MM_TOP,
} from '../../core/generated/constants.js';
import { made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { MmBatch, type MmOperation } from '../../core/mm-batch.js';
import type { Sliced } from '../../core/slices.js';
import { kernelOfRecording } from '../replay/kernel.js';
import { FieldReader, type Recording, type RecordingFormat, type ReplayOptions } from '../replay/recording.js';
import { medianTime } from '../replay/timing.js';

/** Search modes by name, for each flavour of the manager; a flag may follow after a plus sign (assembly/gtt/drm-mm.ts). */
const FLAVOURS = [
  {
    modes: { default: MM_SEARCH_DEFAULT, best: MM_SEARCH_BEST, below: MM_SEARCH_BELOW },
    flag: { name: 'top', value: MM_TOP },
  },
  {
    modes: { best: MM_BEST, low: MM_LOW, high: MM_HIGH, evict: MM_EVICT },
    flag: { name: 'once', value: MM_ONCE },
  },
] as const;
/** Lines that are read between two yields. */
const LINES = 1024;
const COLOR_RULES: Record<string, number> = { none: COLOR_NONE, i915: COLOR_I915 };

interface Segment {
  start: number;
  size: number;
  operations: MmOperation[];
  /** Line of each operation. */
  lines: number[];
}

/** Replays recordings of drm_mm: each `I` line begins a new manager, each line after it is one operation. */
export const drmMm: RecordingFormat = {
  kinds: ['drm_mm'],
  header: ['colour_adjust'],
  *replay(recording: Recording, options: ReplayOptions) {
    const reader = new FieldReader(recording);
    const flavour = kernelOfRecording(recording, 'drmMm').drmMm === 'modern' ? MM_MODERN : 0;
    const colorRule = COLOR_RULES[String(recording.header.colour_adjust ?? 'none')];
    if (colorRule === undefined) reader.fail(1, `colour_adjust=${recording.header.colour_adjust} is not known`);
    const segments = yield* parse(recording, reader, flavour);
    const steps = segments.reduce((sum, { operations }) => sum + operations.length, 0);
    const core = new Core();
    const context = made(core.exports.machineCreate(2 ** 31, 1, 1024, 0, 1), 'machine_create', 'machine');
    let matched = 0;
    let time = 0;
    for (const { start, size, operations, lines } of segments) {
      using batch = new MmBatch(core, context, operations);
      yield matched;
      const run = batch.run(start, size, flavour, colorRule);
      matched += run.matched;
      if (run.matched < operations.length) {
        const line = lines[run.matched];
        const expected = show(operations[run.matched].expected);
        const operation = recording.lines[line - 1];
        return { steps, matched, divergence: { line, operation, expected, got: show(run.got) } };
      }
      if (!options.time) continue;
      time += yield* medianTime(() => batch.run(start, size, flavour, colorRule).ms, matched);
    }
    return { steps, matched, divergence: null, ...(options.time && steps > 0 && { nsPerStep: (time * 1e6) / steps }) };
  },
};

function* parse(recording: Recording, reader: FieldReader, flavour: number): Sliced<Segment[], number> {
  const segments: Segment[] = [];
  let live = new Set<number>();
  for (const line of reader.lineNumbers()) {
    if (line % LINES === 0) yield 0;
    const [kind, ...fields] = recording.lines[line - 1].trim().split(/\s+/);
    if (!(kind in FIELDS)) reader.fail(line, `not an operation: ${kind}`);
    if (fields.length !== FIELDS[kind]) {
      reader.fail(line, `${kind} has ${fields.length} fields, expected ${FIELDS[kind]}`);
    }
    if (kind === 'I') {
      const [start, size] = [reader.hex(line, 'start', fields[0]), reader.hex(line, 'size', fields[1])];
      if (size === 0) reader.fail(line, 'size is 0');
      segments.push({ start, size, operations: [], lines: [] });
      live = new Set();
      continue;
    }
    const segment = segments.at(-1);
    if (!segment) reader.fail(line, 'an operation before the first I line');
    const operation = readOperation(reader, flavour, line, kind, fields);
    if (operation.kind === 'remove') {
      if (!live.delete(operation.id)) reader.fail(line, `there is no node ${operation.id}`);
    } else if (live.has(operation.id)) reader.fail(line, `there is a node ${operation.id} already`);
    else if (operation.expected >= 0) live.add(operation.id);
    segment.operations.push(operation);
    segment.lines.push(line);
  }
  if (segments.length === 0) reader.fail(recording.lines.length, 'no I line');
  return segments;
}

/** Fields of each kind of line, behind the letter. */
const FIELDS: Readonly<Record<string, number>> = { I: 2, i: 8, d: 1, v: 5 };

function readOperation(
  reader: FieldReader,
  flavour: number,
  line: number,
  kind: string,
  fields: string[],
): MmOperation {
  const hex = (name: string, index: number) => reader.hex(line, name, fields[index]);
  const id = reader.decimal(line, 'id', fields[0]);
  const result = (index: number) => (/^-\d+$/.test(fields[index]) ? Number(fields[index]) : hex('result', index));
  if (kind === 'd') return { kind: 'remove', id, expected: 0 };
  if (kind === 'v') {
    const color = reader.decimal(line, 'color', fields[3]);
    return { kind: 'reserve', id, lo: hex('start', 1), size: hex('size', 2), color, expected: result(4) };
  }
  const [mode, flag, ...more] = fields[6]?.split('+') ?? [];
  const known: Record<string, number> = FLAVOURS[flavour].modes;
  if (!(mode in known) || more.length > 0 || (flag !== undefined && flag !== FLAVOURS[flavour].flag.name)) {
    reader.fail(line, `mode is not known: ${fields[6]}`);
  }
  return {
    kind: 'insert',
    id,
    size: hex('size', 1),
    alignment: hex('align', 2),
    color: reader.decimal(line, 'color', fields[3]),
    lo: hex('lo', 4),
    hi: hex('hi', 5),
    mode: known[mode] + (flag ? FLAVOURS[flavour].flag.value : 0),
    expected: result(7),
  };
}

function show(result: number): string {
  return result < 0 ? String(result) : result.toString(16);
}
