import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { decompress } from 'fzstd';
import { Audit, type AuditOptions } from '../../src/trace/audit/audit.js';
import type { AuditResult } from '../../src/trace/audit/result.js';
import { EVENT_NAMES, type TraceBatch } from '../../src/trace/batches/batch.js';
import type { Gaps } from '../../src/trace/batches/completeness.js';
import { inMemory, type TraceSource } from '../../src/trace/batches/source.js';
import { readTrace } from '../../src/trace/read.js';

export const codecs = { zstd: (bytes: Uint8Array, size: number) => decompress(bytes, new Uint8Array(size)) };

export function golden(name: string): Buffer {
  return gunzipSync(readFileSync(`test/golden/trace/${name}.gz`));
}

export async function* once(...pieces: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
}

export async function batchesOf(source: TraceSource): Promise<{ batches: TraceBatch[]; gaps: Gaps }> {
  const reader = readTrace(source, { name: 'input', codecs });
  const batches: TraceBatch[] = [];
  for await (const batch of reader) batches.push(batch);
  return { batches, gaps: reader.gaps };
}

/** Rows as objects, for comparison; what is absent is left out. */
export async function rowsOf(source: TraceSource): Promise<{ rows: Record<string, unknown>[]; gaps: Gaps }> {
  const { batches, gaps } = await batchesOf(source);
  const strings: string[] = [''];
  const rows: Record<string, unknown>[] = [];
  for (const batch of batches) {
    for (let i = 0; i < batch.strings.length; ++i) strings[batch.firstString + i] = batch.strings[i];
    for (let row = 0; row < batch.length; ++row) {
      const list = batch.list[row];
      const entries = batch.entries[row];
      const segments = batch.segments[row];
      const at = (from: number, n: number): number[] => [...batch.values.subarray(list + from, list + from + n)];
      rows.push({
        ...{ kind: EVENT_NAMES[batch.kind[row]], time: batch.time[row], cpu: batch.cpu[row] },
        ...{ task: strings[batch.task[row]], device: strings[batch.device[row]], text: strings[batch.text[row]] },
        ...{ page: batch.page[row], offset: batch.offset[row], size: batch.size[row], physical: batch.physical[row] },
        ...{
          direction: batch.direction[row],
          attrs: batch.attrs[row],
          extra: batch.extra[row],
          flags: batch.flags[row],
        },
        ...{ phys: at(0, entries), addresses: at(entries, segments), lengths: at(entries + segments, segments) },
      });
    }
  }
  return { rows, gaps };
}

export async function auditOf(source: TraceSource, options: AuditOptions = {}): Promise<AuditResult> {
  const audit = new Audit(options);
  for (const batch of (await batchesOf(source)).batches) audit.add(batch);
  return audit.result();
}

export { inMemory };
