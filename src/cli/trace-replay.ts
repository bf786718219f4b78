import { Rebuild } from '../trace/replay/rebuild.js';
import { type TraceVerification, verifyTrace } from '../trace/replay/verify.js';
import { EXIT, type ExitCode } from './exit.js';
import type { Frame } from './frame.js';
import { bold, dim, green, number, red, table } from './print.js';
import { type InputError, readInput } from './trace-input.js';

/** gemdma trace --verify: each trace through the emulator, address for address. */

const SHOWN = 5;

interface Verified extends TraceVerification {
  file: string;
}

export async function verifyFiles(frame: Frame, files: readonly string[]): Promise<ExitCode> {
  const results: Verified[] = [];
  const errors: InputError[] = [];
  for (const file of files) {
    if (frame.signal.aborted) break;
    const rebuild = new Rebuild();
    const read = await readInput(file, (batch) => rebuild.add(batch), frame.signal);
    if ('message' in read) {
      if (frame.signal.aborted) break;
      errors.push(read);
      frame.note(read.message);
    } else results.push({ file, ...verifyTrace(rebuild.finish()) });
  }
  const parted = results.some(({ compared, matched }) => matched < compared);
  const value = { verified: results, errors: errors.map(({ message: _, ...rest }) => rest) };
  if (results.length > 0 || frame.json) frame.show(value, () => describe(results), { wrong: parted });
  return errors.length > 0 ? EXIT.usage : parted ? EXIT.findings : EXIT.ok;
}

function describe(results: readonly Verified[]): string {
  const rows = results.map(({ file, mode, compared, matched, inferred }) => [
    ...[file, mode, number(compared), (matched === compared ? green : red)(number(matched))],
    compared === 0 ? '-' : `${((matched / compared) * 100).toFixed(2)} %`,
    ...[inferred.live, inferred.cached, inferred.holes, inferred.fromTree].map(number),
  ]);
  const head = ['trace', 'mode', 'addresses', 'match', '', 'live', 'cached', 'holes', 'from tree'];
  const details = results.flatMap(({ file, differences, compared, matched }) => {
    if (differences.length === 0) return [];
    const shown = differences.slice(0, SHOWN).map(({ time, device, cpu, recorded, got, pages }) => {
      const answer = got === null ? 'refused' : `0x${got.toString(16)}`;
      return `  ${time.toFixed(6)} ${device} CPU ${cpu}, ${number(pages)} pages: recorded 0x${recorded.toString(16)}, emulated ${answer}`;
    });
    const rest = compared - matched - shown.length;
    return ['', bold(file), ...shown, ...(rest > 0 ? [dim(`  and ${number(rest)} more`)] : [])];
  });
  const none = results.filter(({ compared }) => compared === 0);
  const remarks = none.map(({ file }) => `\n${file} has no event of the DMA API with an address: nothing to compare.`);
  return [table(head, rows), ...details, ...remarks].join('\n');
}
