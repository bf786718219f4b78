import { needed } from '../core/platform.js';
import { RecordingError } from '../files/recording-error.js';
import { KNOWN } from './known.js';
import { FieldReader, type Recording, type RecordingFormat } from './replay/recording.js';

/**
 * Whether a recording is whole. A recorder counts: `steps` in the header, or `# end steps=N` as the last line when it knows
 * no earlier. Recordings that were made before are known by their first lines (known.ts). Some kinds end with a line that
 * no other follows.
 */

const TRAILER = /^#\s*end\s+steps=(\S+)\s*$/;

/**
 * @param end of the recording's kind
 * @returns what is missing, null if nothing is, undefined if it is not known
 * @throws RecordingError when there are fewer or more lines than were counted
 */
export function missing(recording: Recording, end: RecordingFormat['cut']): string | null | undefined {
  const counts = countsOf(recording);
  const there = new FieldReader(recording).lineNumbers().length;
  for (const { said, where } of counts) {
    if (there === said) continue;
    const what = there < said ? 'the recording is cut off' : 'more was added';
    throw new RecordingError(
      recording.file,
      recording.lines.length,
      `${there} lines of ${said} that ${where}: ${what}`,
    );
  }
  const tail = end?.(recording);
  return tail === undefined && counts.length > 0 ? null : tail;
}

function countsOf(recording: Recording): { said: number; where: string }[] {
  const { header, lines } = recording;
  const read = new FieldReader(recording);
  const counts: { said: number; where: string }[] = [];
  if (header.steps !== undefined) {
    counts.push({ said: read.decimal(1, 'steps', header.steps), where: 'the header says' });
  }
  const trailer = TRAILER.exec(lines.at(-1)!.trim());
  if (trailer) counts.push({ said: read.decimal(lines.length, 'steps', trailer[1]), where: 'its end says' });
  if (counts.length > 0) return counts;
  const key = keyOf(recording);
  return KNOWN.filter(([known]) => known === key).map(([, said, file]) => ({
    said,
    where: `${file} is known to have`,
  }));
}

/** What a recording is known by: its header and the first line that records something. */
export function keyOf(recording: Recording): string {
  const [first] = new FieldReader(recording).lineNumbers();
  const text = [1, ...(first === undefined ? [] : [first])].map((line) => recording.lines[line - 1].trim()).join('\n');
  return needed('node:crypto', 'verify').createHash('sha256').update(text).digest('hex').slice(0, 16);
}
