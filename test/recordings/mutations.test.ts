import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { complete } from '../../src/core/slices.js';
import { readLines } from '../../src/files/text.js';
import { formats } from '../../src/recordings/formats/index.js';
import { openRecording, verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

/**
 * What `gemdma verify` would not notice: each field of each kind of line of each kind of recording is taken away, renamed, given
 * another value and another type, one at a time, and the replay must refuse the line or come out otherwise.
 */

const GOLDEN = join(import.meta.dirname, '../golden');
const SEED = 20241;
/** How many lines behind the changed one are replayed, and among how many of its kind it is drawn. */
const AFTER = 20;
const AMONG = 3;

/** By the kind of recording: files that have its lines. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  amdv1: ['amdv1/cases.jsonl.gz', 'amdv1/cases-nomem.jsonl.gz', 'amdv1/stream-2.jsonl.gz'],
  vtd: ['vtd/48-cases.jsonl.gz', 'vtd/39-stream-1.jsonl.gz'],
  map_sg: ['map_sg/iommu-p1.jsonl.gz', 'map_sg/passthrough-p0.jsonl.gz', 'map_sg/bounce-p1.jsonl.gz'],
  sg_table: ['sg_table/from_pages-1.jsonl.gz'],
  swiotlb: ['swiotlb/first-half.jsonl.gz'],
  lazy: ['lazy/strict0.jsonl', 'lazy/strict1.jsonl'],
  symptom: ['symptom/doublemap.jsonl'],
  exhaust: ['symptom/exhaust.jsonl'],
  'dma-debug': ['dma-debug/iommu.jsonl', 'dma-debug/direct.jsonl'],
  'dma-debug-options': ['dma-debug/options.jsonl'],
  'dma-debug-text': ['dma-debug/text-iommu.jsonl', 'dma-debug/text-direct.jsonl'],
  iova: ['iova/c_small.txt.gz', 'iova/r_resv.txt.gz', 'iova/k42_reserve.txt.gz'],
  drm_mm: ['drm_mm/once.txt.gz', 'drm_mm/k42_tight.txt.gz'],
};

/** Kind of recording, kind of line, field and change that nothing can notice, with the reason. */
const MEANINGLESS: readonly (readonly [RegExp, string])[] = [
  [
    /^dma-debug[\w-]*\/line\/(?:calls\.[\w.]+|before\.\w+): value$/,
    'an input of the checker: others have the same verdicts',
  ],
  [
    /dma-debug\/line\/verdicts\.(?:SEG_LEN\.max|UNMAP_CPUADDR\.cpu_free_address): (?:value|type)$/,
    'an input, which only the verdict has',
  ],
  [/\/(?:case|test|seed|profile|bits|dev|note|what|attach|vmalloc|ev): value$/, "the recorder's own name or number"],
  [
    /\/(?:iova|paddr|phys|pfn|addr|cpu|off|len|size|max|dir|attrs|prot|pages|n|nents|sg|id): value$/,
    'an input: others have the same answer',
  ],
  [/\/(?:us|ms): value$/, 'time that passes: other times have the same answer'],
  [/calls\.note\.rc: delete$/, 'a remark'],
  [/parms\/\w+: value$/, 'limits of the device: lists that are shorter are the same with others'],
  [
    /domain-start\/(?:pgsize_bitmap|aperture|force_aperture|ranges): value$/,
    'compared with the domain line at the end, which is not in the part',
  ],
  [
    /map_sg\/(?:alloc_coherent|map_page)\/ret: value$/,
    "without an IOMMU an address is the kernel's choice of a frame, or of a slot of its pool",
  ],
  [
    /vtd\/(?:map|unmap)\/memory: delete$/,
    'what was written into mapped memory is recorded once; that nothing is recorded says nothing',
  ],
  [
    /options\/line\/options: value$/,
    'an input: the filter of a driver that is not there lets nothing through, whatever its name',
  ],
];

/** Kinds whose lines stand alone: their order means nothing. */
const ALONE = new Set(['dma-debug', 'dma-debug-options', 'dma-debug-text', 'sg_table']);

/** Of the lines of text recordings by their letter, the fields that are answers. */
const ANSWERS: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  iova: { A: [5], a: [5], X: [2, 3], F: [2, 3], R: [3, 4], Q: [2, 3], S: [1, 2, 3, 4], W: [2], T: [1, 2], f: [] },
  drm_mm: { I: [], i: [8], v: [5], d: [] },
};

type Json = Record<string, unknown>;

/** Whether a replay of these lines refuses them, or differs. */
function noticed(file: string, lines: readonly string[]): boolean {
  try {
    const recording = openRecording(file, [...lines]);
    const format = formats.find(({ kinds }) => kinds.includes(recording.kind))!;
    return complete(format.replay(recording, {})).divergence !== null;
  } catch {
    return true;
  }
}

function random(seed: number): (bound: number) => number {
  let x = seed;
  return (bound) => {
    x = (x * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((x / 2 ** 31) * bound);
  };
}

/** Another value of the same type. */
function other(value: unknown): unknown {
  if (typeof value === 'number') return value > 2 ** 53 ? value / 2 : value + 1;
  if (typeof value === 'boolean') return !value;
  if (value === null) return '1000';
  if (typeof value === 'string') {
    const last = value.at(-1) ?? '';
    return `${value.slice(0, -1)}${/[0-9a-e]/.test(last) ? String.fromCharCode(last === '9' ? 97 : last.charCodeAt(0) + 1) : '0'}`;
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return [['m', '1000', '1000', 4096]];
    return [...value.slice(0, -1), other(value.at(-1))];
  }
  const entries = Object.entries(value as Json);
  return Object.fromEntries(entries.map(([name, item], i) => [name, i === 0 ? other(item) : item]));
}

const otherType = (value: unknown): unknown => (typeof value === 'string' ? 7 : Array.isArray(value) ? 'x' : 'zz');

const CHANGES: Readonly<Record<string, (record: Json, name: string) => Json>> = {
  delete: ({ ...record }, name) => {
    delete record[name];
    return record;
  },
  rename: (record, name) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key === name ? `${key}x` : key, value])),
  value: (record, name) => ({ ...record, [name]: other(record[name]) }),
  type: (record, name) => ({ ...record, [name]: otherType(record[name]) }),
  extra: (record, name) => ({ ...record, [`${name}_more`]: 1 }),
};

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fields of a record, and of the records in it: of a list of records those of each kind. */
function pathsOf(record: Json): string[] {
  return Object.entries(record).flatMap(([name, value]) => {
    if (isRecord(value)) return [name, ...pathsOf(value).map((path) => `${name}.${path}`)];
    if (!Array.isArray(value) || !value.every(isRecord)) return [name];
    const inner = value.flatMap((item) =>
      pathsOf(item).map((path) => `${name}.${item.call ?? item.id ?? 'note'}.${path}`),
    );
    return [name, ...new Set(inner)];
  });
}

function applyAt(record: Json, [name, ...rest]: string[], change: (record: Json, name: string) => Json): Json {
  if (rest.length === 0) return change(record, name);
  const value = record[name];
  if (isRecord(value)) return { ...record, [name]: applyAt(value, rest, change) };
  const [kind, ...path] = rest;
  let done = false;
  const items = (value as Json[]).map((item) => {
    if (done || String(item.call ?? item.id ?? 'note') !== kind || !pathsOf(item).includes(path.join('.'))) return item;
    done = true;
    return applyAt(item, path, change);
  });
  return { ...record, [name]: items };
}

function kindOfLine(record: Json): string {
  const { op, call, when, ret, rc } = record;
  const failed = ret === null || (typeof rc === 'number' && rc < 0) ? '-failed' : '';
  return `${String(op ?? call ?? 'line').replace(/\d+/g, 'N')}${when === undefined ? '' : `-${when}`}${failed}`;
}

function unnoticed(kind: string): string[] {
  const found = new Set<string>();
  for (const file of FILES[kind]) {
    const name = join(GOLDEN, file);
    const lines = readLines(name);
    const next = random(SEED);
    const places = new Map<string, number[]>();
    lines.forEach((line, i) => {
      if (i === 0 || !line.startsWith('{')) return;
      const record = JSON.parse(line) as Json;
      for (const path of pathsOf(record)) {
        const key = `${kindOfLine(record)}/${path}`;
        places.set(key, [...(places.get(key) ?? []), i].slice(0, AMONG));
      }
    });
    for (const [key, at] of places) {
      const path = key.slice(key.indexOf('/') + 1);
      for (const [change, apply] of Object.entries(CHANGES)) {
        const i = at[next(at.length)];
        const from = ALONE.has(kind) ? i : kind === 'amdv1' || kind === 'vtd' ? caseStart(lines, i) : 1;
        const changed = lines.slice(0, 1).concat(lines.slice(from, ALONE.has(kind) ? i + 1 : i + AFTER));
        const j = i - from + 1;
        changed[j] = JSON.stringify(applyAt(JSON.parse(lines[i]) as Json, path.split('.'), apply));
        if (changed[j] !== lines[i] && !noticed(name, changed)) found.add(`${kind}/${key}: ${change}`);
      }
    }
  }
  return [...found];
}

function caseStart(lines: readonly string[], i: number): number {
  while (!lines[i].includes('"op":"new"')) --i;
  return i;
}

/** The same for a recording of text: fields by place. */
function unnoticedText(kind: string): string[] {
  const found = new Set<string>();
  for (const file of FILES[kind]) {
    const name = join(GOLDEN, file);
    const lines = readLines(name);
    for (const [letter, answers] of Object.entries(ANSWERS[kind])) {
      const i = lines.findIndex((line) => line.startsWith(`${letter} `));
      if (i < 0) continue;
      const fields = lines[i].split(' ');
      const changes: [string, string[]][] = fields.flatMap((field, place) => {
        if (place === 0) return [];
        const rest = fields.slice(place + 1);
        const before = fields.slice(0, place);
        const changed: [string, string[]][] = [
          [`${place}: delete`, [...before, ...rest]],
          [`${place}: type`, [...before, 'zz', ...rest]],
          [`${place}: twice`, [...before, field, field, ...rest]],
        ];
        if (answers.includes(place)) changed.push([`${place}: value`, [...before, String(other(field)), ...rest]]);
        return changed;
      });
      for (const [what, changed] of changes) {
        const text = lines.with(i, changed.join(' '));
        if (!noticed(name, letter === 'T' ? text : text.slice(0, i + AFTER))) found.add(`${kind}/${letter}.${what}`);
      }
    }
  }
  return [...found];
}

describe('changes of a recording', () => {
  test.each(Object.keys(FILES))(
    '%s',
    (kind) => {
      const found = kind in ANSWERS ? unnoticedText(kind) : unnoticed(kind);
      expect(found.filter((what) => !MEANINGLESS.some(([pattern]) => pattern.test(what)))).toEqual([]);
    },
    120_000,
  );

  test('a line less, a line twice, and two lines in the other order', () => {
    const refused = (lines: readonly string[]): boolean => {
      const path = join(folder, 'changed');
      writeFileSync(path, `${lines.join('\n')}\n`);
      try {
        return verify(path).divergence !== null;
      } catch {
        return true;
      }
    };
    for (const [kind, [file]] of Object.entries(FILES)) {
      const lines = readLines(join(GOLDEN, file)).filter((line) => line !== '');
      const next = random(SEED);
      expect(refused(lines), file).toBe(false);
      expect(refused(lines.slice(0, -1)), `${file} without its last line`).toBe(true);
      const at = 1 + next(lines.length - 1);
      expect(refused(lines.toSpliced(at, 0, lines[at])), `${file} with line ${at + 1} twice`).toBe(true);
      if (ALONE.has(kind)) continue;
      // Calls that do not depend on each other may stand in any order; far apart they nearly always do.
      const swaps = Array.from({ length: 4 }, () => {
        const [one, two] = [
          1 + next((lines.length - 1) / 2),
          (lines.length + 1) / 2 + next((lines.length - 1) / 2),
        ].map(Math.floor);
        return refused(lines.with(one, lines[two]).with(two, lines[one]));
      });
      expect(swaps.filter(Boolean).length, `${file} with lines in another order`).toBeGreaterThanOrEqual(2);
    }
  }, 120_000);
});
