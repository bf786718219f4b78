import { GemDmaError } from '../../core/errors.js';
import type { ContextHandle } from '../../core/generated/exports.js';
import { made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { ScatterTable } from '../../dma/sg-table.js';
import { FieldReader, type RecordingFormat } from '../replay/recording.js';
import { replayLines } from '../replay/replay.js';
import { shape } from '../replay/shape.js';

const BEGIN = shape('op:text test:text seed:int');
const CALL = 'op:text pfns:list n:int off:int size:int max:int rc:rc';
const FAILED = shape(CALL);
const BUILT = shape(CALL, 'nents:int orig_nents:int sg:list');

/** 64 GiB: more than a line should hold, and more than it may take. */
const MOST_PAGES = 2 ** 24;

/** Replays recordings of sg_alloc_table_from_pages_segment: each line is one table, built and compared. */
export const sgTable: RecordingFormat = {
  kinds: ['sg_table'],
  replay(recording) {
    const reader = new FieldReader(recording);
    const core = new Core();
    const host = {
      core,
      context: made(core.exports.machineCreate(2 ** 30, 1, 1024, 0, 1), 'machine_create', 'machine'),
    };
    return replayLines(recording, {
      counts: ({ op }) => op !== 'begin' && op !== 'end',
      shape({ op, rc }) {
        if (op === 'sgt') return rc === 0 ? BUILT : FAILED;
        return op === 'begin' || op === 'end' ? BEGIN : undefined;
      },
      step(line, step) {
        if (!this.counts(step)) return null;
        const expected = recorded(step);
        const got = built(host, reader, line, step);
        const operation = `sg_alloc_table_from_pages_segment n=${step.n} off=${step.off} size=${step.size} max=${step.max}`;
        return got === expected ? null : { operation, expected, got };
      },
    });
  },
};

function recorded(step: Record<string, unknown>): string {
  if (step.rc !== 0) return `rc ${step.rc}`;
  return show(step.nents as number, step.orig_nents as number, step.sg as [string, number, number][]);
}

function show(nents: number, origNents: number, entries: readonly (readonly [string, number, number])[]): string {
  return `nents ${nents} orig_nents ${origNents} ${entries.map((entry) => entry.join('+')).join(' ')}`;
}

function built(
  host: { core: Core; context: ContextHandle },
  reader: FieldReader,
  line: number,
  step: Record<string, unknown>,
): string {
  const pfns: number[] = [];
  const pages = reader.decimal(line, 'n', step.n);
  for (const run of step.pfns as [string, number][]) {
    const first = reader.hex(line, 'pfns', run[0]);
    const count = reader.decimal(line, 'pfns', run[1]);
    if (pfns.length + count > Math.min(pages, MOST_PAGES)) reader.fail(line, `more than n = ${pages} pages`);
    for (let i = 0; i < count; ++i) pfns.push(first + i);
  }
  if (pfns.length !== pages) reader.fail(line, `${pfns.length} pages, and n = ${pages}`);
  try {
    using table = ScatterTable.fromPages(host, pfns, {
      offset: reader.decimal(line, 'off', step.off),
      size: reader.decimal(line, 'size', step.size),
      maxSegment: reader.decimal(line, 'max', step.max),
    });
    const entries = table
      .entries()
      .map(({ pfn, offset, length }) => [pfn.toString(16), offset, length] as [string, number, number]);
    return show(table.nents, table.origNents, entries);
  } catch (error) {
    if (GemDmaError.is(error)) return `rc ${error.errno}`;
    throw error;
  }
}
