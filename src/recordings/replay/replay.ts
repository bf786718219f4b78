import type { Sliced } from '../../core/slices.js';
import { type Divergence, FieldReader, type Outcome, type Recording } from './recording.js';
import { checkShape, type Shape } from './shape.js';

/** How the emulator's answer to a line differs from the recorded one. */
export type Difference = Omit<Divergence, 'line'>;

/** What one kind of JSON-lines recording brings to the replay of it. */
export interface LineReplay {
  /** Whether a line has something to compare. Others set something up. */
  counts(record: Readonly<Record<string, unknown>>): boolean;
  /** The fields that a line must have, and those that it may; undefined for a line that is of no kind. */
  shape(record: Readonly<Record<string, unknown>>): Shape | undefined;
  /** Performs a line. Returns how the answers differ, null when they agree. Throws RecordingError for a line that it cannot. */
  step(line: number, record: Record<string, unknown>): Difference | null;
}

/**
 * The loop of every replay: performs lines up to the first divergence, and counts the steps to the end.
 * @param lines what was recorded, with the number of its line
 * @param counts whether a line has something to compare
 * @param perform says how the answers to a line differ, null when they agree
 * @param every lines between two yields
 */
export function* replaySteps<Line extends { readonly line: number }>(
  lines: Iterable<Line>,
  counts: (line: Line) => boolean,
  perform: (line: Line) => Difference | null,
  every = 1,
): Sliced<Outcome, number> {
  const outcome: Outcome = { steps: 0, matched: 0, divergence: null };
  let left = 0;
  for (const line of lines) {
    if (left-- === 0) {
      yield outcome.matched;
      left = every - 1;
    }
    const step = counts(line);
    if (step) ++outcome.steps;
    if (outcome.divergence !== null) continue;
    const wrong = perform(line);
    if (wrong !== null) outcome.divergence = { line: line.line, ...wrong };
    else if (step) ++outcome.matched;
  }
  return outcome;
}

/** Replays a JSON-lines recording. */
export function replayLines(recording: Recording, replay: LineReplay): Sliced<Outcome, number> {
  return replaySteps(
    records(recording),
    ({ record }) => replay.counts(record),
    ({ line, record }) => {
      const { op = 'line', case: name = '' } = record;
      const shape = replay.shape(record);
      const what = `${op} ${name}`.trim();
      const reader = new FieldReader(recording);
      if (shape === undefined) return reader.fail(line, `not known: ${what}`);
      checkShape(reader, line, record, shape, what);
      return replay.step(line, record);
    },
  );
}

/**
 * The first field that is not as recorded. Each field of a line is an input, or it is compared: one that only the line has, or only
 * the replay, is also a difference.
 * @param inputs fields of the line that are not compared
 */
export function differing(
  record: Readonly<Record<string, unknown>>,
  got: Readonly<Record<string, unknown>>,
  inputs: ReadonlySet<string>,
): { expected: string; got: string } | null {
  for (const name of new Set([...Object.keys(record), ...Object.keys(got)])) {
    if (inputs.has(name)) continue;
    const [expected, have] = [JSON.stringify(record[name]), JSON.stringify(got[name])];
    if (expected !== have) return { expected: `${name} ${expected ?? 'absent'}`, got: `${name} ${have ?? 'absent'}` };
  }
  return null;
}

function* records(recording: Recording): Iterable<{ line: number; record: Record<string, unknown> }> {
  const read = new FieldReader(recording);
  for (const line of read.lineNumbers()) yield { line, record: read.json(line) };
}
