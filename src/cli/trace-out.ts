import type { MachineEvent } from '../events/events.js';
import { inMemory } from '../trace/batches/source.js';
import { formatFtrace } from '../trace/export/ftrace.js';
import { readTrace } from '../trace/read.js';
import { PerfettoWriter } from './perfetto.js';

/** What --trace-out writes: by the name of the file ftrace text (.txt), or a Perfetto trace. */
export async function traceOutput(file: string, events: readonly MachineEvent[]): Promise<string | Uint8Array> {
  const text = formatFtrace(events);
  if (file.endsWith('.txt')) return text;
  const writer = new PerfettoWriter();
  for await (const batch of readTrace(inMemory(new TextEncoder().encode(text)))) writer.add(batch);
  return writer.finish();
}
