import type { Sliced } from '../core/slices.js';
import { type Divergence, FieldReader, type Outcome, type Recording } from './recording.js';

/** How the emulator's answer to a line differs from the recorded one. */
export type Difference = Omit<Divergence, 'line'>;

/** What one kind of JSON-lines recording brings to the replay of it. */
export interface LineReplay {
  /** Whether a line has something to compare. Others set something up. */
  counts(record: Readonly<Record<string, unknown>>): boolean;
  /** Performs a line. Returns how the answers differ, null when they agree. Throws RecordingError for a line that it cannot. */
  step(line: number, record: Record<string, unknown>): Difference | null;
}

/** Replays a JSON-lines recording line by line up to the first divergence, and counts the steps to the end. */
export function* replayLines(recording: Recording, replay: LineReplay): Sliced<Outcome, number> {
  const read = new FieldReader(recording);
  const outcome: Outcome = { steps: 0, matched: 0, divergence: null };
  for (const line of read.lineNumbers()) {
    yield outcome.matched;
    const record = read.json(line);
    const counts = replay.counts(record);
    if (counts) ++outcome.steps;
    if (outcome.divergence !== null) continue;
    const wrong = replay.step(line, record);
    if (wrong !== null) outcome.divergence = { line, ...wrong };
    else if (counts) ++outcome.matched;
  }
  return outcome;
}
