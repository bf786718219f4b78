import type { Sliced } from '../../core/slices.js';
import { ALLOCATORS, type AllocatorName } from '../../iova/allocators.js';
import { kernelOfRecording } from '../replay/kernel.js';
import { FieldReader, type Recording } from '../replay/recording.js';

export interface Header {
  allocator: AllocatorName;
  granuleShift: number;
  startPfn: number;
  pfn32bit: number;
  cpus: number;
}

/** One line: its letter, operands that are inputs, and what the kernel answered, as text. */
export interface Step {
  line: number;
  letter: string;
  /** A a: id. X: id. F Q: pfn. R: lo. f: pfn. W: online CPUs. T: lo. */
  a: number;
  /** A a: size. R: hi. f: size. */
  b: number;
  limit: number;
  flag: boolean;
  expected: string;
}

/** Lines between two yields. */
export const LINES = 1024;

/** How a recording writes the anchor's pfn. */
export const ANCHOR = 'f'.repeat(16);

/** Reads and checks the header. Throws RecordingError. */
export function readHeader(recording: Recording): Header {
  const reader = new FieldReader(recording);
  const { granule, start_pfn, dma_32bit_pfn, rcaches, cpus, kernel } = recording.header;
  const size = reader.decimal(1, 'granule', granule);
  const granuleShift = Math.log2(size);
  if (!Number.isInteger(granuleShift)) reader.fail(1, `granule is not a power of two: ${size}`);
  const startPfn = reader.hex(1, 'start_pfn', start_pfn);
  if (startPfn === 0) reader.fail(1, 'start_pfn is 0, and no domain starts below 1');
  const caches = reader.decimal(1, 'rcaches', rcaches);
  const online = reader.decimal(1, 'cpus', cpus);
  if (online < 1 || online > 64) reader.fail(1, `cpus is not 1 to 64: ${online}`);
  const kernelsOwn = kernelOfRecording(recording, 'treeAllocator');
  const allocator = caches === 0 ? kernelsOwn.treeAllocator : kernelsOwn.allocator;
  if (caches > 1 || (caches === 1 && !ALLOCATORS[allocator].fastPath))
    reader.fail(1, `rcaches=${caches} is not known for kernel ${kernel}`);
  return {
    allocator,
    granuleShift,
    startPfn,
    pfn32bit: reader.hex(1, 'dma_32bit_pfn', dma_32bit_pfn),
    cpus: online,
  };
}

/** Fields of each kind of line, the letter included; S has up to 11. */
const FIELDS: Readonly<Record<string, readonly [number, number]>> = {
  A: [6, 6],
  X: [4, 4],
  F: [3, 4],
  R: [5, 5],
  Q: [3, 4],
  a: [6, 6],
  f: [3, 3],
  S: [5, 11],
  W: [8, 8],
  T: [3, 3],
};

/** Reads and checks every line but remarks. Throws RecordingError with the line that is wrong. */
export function* readSteps(recording: Recording): Sliced<Step[], number> {
  const reader = new FieldReader(recording);
  const steps: Step[] = [];
  const live = new Set<number>();
  const depots = Number(recording.header.rcaches) === 1;
  for (const line of reader.lineNumbers()) {
    if (line % LINES === 0) yield 0;
    const step = readStep(reader, line, recording.lines[line - 1].trim(), depots);
    if (step.letter === 'A' && step.expected !== '-') live.add(step.a);
    if (step.letter === 'X' && !live.delete(step.a)) reader.fail(line, `X frees id ${step.a}, which holds nothing`);
    steps.push(step);
  }
  return steps;
}

/** @param depots whether a state has those of the caches */
function readStep(reader: FieldReader, line: number, text: string, depots: boolean): Step {
  const fields = text.split(' ');
  const letter = fields[0];
  const allowed = FIELDS[letter];
  if (!allowed) reader.fail(line, `unknown operation: ${text.slice(0, 40)}`);
  if (fields.length < allowed[0] || fields.length > allowed[1]) {
    reader.fail(line, `${letter} has ${fields.length - 1} fields, expected ${allowed[0] - 1}`);
  }
  const hex = (i: number, name: string) => reader.hex(line, name, fields[i]);
  const decimal = (i: number, name: string) => reader.decimal(line, name, fields[i]);
  const size = (i: number) => {
    const pages = decimal(i, 'size');
    if (pages === 0) reader.fail(line, 'size is 0');
    return pages;
  };
  const step: Step = { line, letter, a: 0, b: 0, limit: 0, flag: false, expected: '' };
  switch (letter) {
    case 'A':
    case 'a':
      step.a = decimal(1, 'id');
      step.b = size(2);
      step.limit = hex(3, 'limit');
      step.flag = decimal(4, letter === 'A' ? 'aligned' : 'flush') !== 0;
      step.expected = fields[5];
      if (fields[5] !== '-') hex(5, 'pfn');
      break;
    case 'X':
      step.a = decimal(1, 'id');
      step.expected = range(hex(2, 'lo'), hex(3, 'hi'));
      break;
    case 'F':
    case 'Q':
      step.a = hex(1, 'pfn');
      if (fields.length === 3 && fields[2] !== '-') reader.fail(line, `${letter} has a range without its end`);
      step.expected = fields.length === 3 ? '-' : range(hex(2, 'lo'), hex(3, 'hi'));
      break;
    case 'R':
      step.a = hex(1, 'lo');
      step.b = hex(2, 'hi');
      if (step.a > step.b) reader.fail(line, `reservation ends before it starts: ${text}`);
      step.expected = range(hex(3, 'rlo'), hex(4, 'rhi'));
      break;
    case 'f':
      step.a = hex(1, 'pfn');
      step.b = size(2);
      break;
    case 'S':
      if (fields.length !== (depots ? 11 : 5)) {
        reader.fail(line, depots ? 'S without the depots of all six classes' : 'S with depots, and rcaches=0');
      }
      decimal(1, 'ranges');
      for (const i of [2, 3]) if (fields[i] !== '-' && fields[i] !== ANCHOR) hex(i, 'cached node');
      if (fields[4] !== '-') decimal(4, 'max32');
      for (let i = 5; i < fields.length; ++i) decimal(i, 'depot');
      step.expected = fields.slice(1).join(' ');
      break;
    case 'W':
      step.a = decimal(1, 'cpus');
      for (let i = 2; i < fields.length; ++i) decimal(i, 'depot');
      step.expected = fields.slice(2).join(' ');
      break;
    case 'T':
      step.expected = range(hex(1, 'lo'), hex(2, 'hi'));
      break;
  }
  return step;
}

/** A range as recordings write it. */
export function range(lo: number, hi: number): string {
  return `${lo.toString(16)} ${hi.toString(16)}`;
}
