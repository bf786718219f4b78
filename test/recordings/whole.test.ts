import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { RecordingError } from '../../src/files/recording-error.js';
import { KNOWN } from '../../src/recordings/known.js';
import { FieldReader, type VerifyResult } from '../../src/recordings/replay/recording.js';
import { openRecording, verify } from '../../src/recordings/verify.js';
import { keyOf } from '../../src/recordings/whole.js';
import { temporaryFolder } from '../folder.js';

/** A recording that was cut off never passes for a whole one. */

const folder = temporaryFolder();

const GOLDEN = 'test/golden';
const files = (readdirSync(GOLDEN, { recursive: true }) as string[])
  .filter((name) => /\.(jsonl|txt)(\.gz)?$/.test(name) && !/^(trace|uapi)\//.test(name))
  .sort();

function linesOf(name: string): string[] {
  const bytes = readFileSync(join(GOLDEN, name));
  return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trimEnd().split('\n');
}

function write(lines: readonly string[], name = 'recording'): string {
  const file = join(folder, name);
  const text = `${lines.join('\n')}\n`;
  writeFileSync(file, name.endsWith('.gz') ? gzipSync(text) : text);
  return file;
}

/** What verify finds, as the command line takes it: ok, or not. */
function outcome(file: string): 'whole' | 'refused' | 'not known' | VerifyResult {
  try {
    const result = verify(file);
    if (result.divergence !== null || typeof result.cut === 'string' || result.steps === 0) return 'refused';
    return result.cut === null ? 'whole' : 'not known';
  } catch (error) {
    if (error instanceof RecordingError) return 'refused';
    throw error;
  }
}

describe('every recording here', () => {
  test.each(files)('%s, cut at line ends, is refused', (name) => {
    const lines = linesOf(name);
    const losses = [1, 2, Math.floor(lines.length / 2), lines.length - 2, lines.length - 1];
    for (const lost of losses.filter((n) => n > 0)) {
      expect([lost, outcome(write(lines.slice(0, lines.length - lost)))]).toEqual([lost, 'refused']);
    }
  });

  test('that has no count is known, and nothing else is', () => {
    const uncounted = files
      .map((name) => ({ name, recording: openRecording(name, linesOf(name)) }))
      .filter(({ recording }) => recording.header.steps === undefined)
      .map(({ name, recording }) => [keyOf(recording), new FieldReader(recording).lineNumbers().length, name]);
    expect(KNOWN).toEqual(uncounted);
    expect(new Set(KNOWN.map(([key]) => key)).size).toBe(KNOWN.length);
  });
});

describe('a count', () => {
  const [header, ...lines] = linesOf('iova/w1-single-1k.txt.gz').slice(0, 60);
  const text = (kernel: string): string => header.replace('6.12.117', kernel);

  test('in the header or at the end, with blank lines and remarks between', () => {
    expect(outcome(write([text('6.12.1'), ...lines]))).toBe('not known');
    expect(outcome(write([`${text('6.12.1')} steps=59`, '# a remark', ...lines]))).toBe('whole');
    expect(outcome(write([text('6.12.1'), ...lines, '', '# end steps=59']))).toBe('whole');
    expect(outcome(write([`${text('6.12.1')} steps=59`, ...lines, '# end steps=59']))).toBe('whole');
  });

  test.each([
    ['58', 'more was added'],
    ['60', 'the recording is cut off'],
    ['x', 'not a whole number'],
  ])('of %s where there are 59: %s', (steps, why) => {
    expect(() => verify(write([`${text('6.12.1')} steps=${steps}`, ...lines]))).toThrow(why);
    expect(() => verify(write([text('6.12.1'), ...lines, `# end steps=${steps}`]))).toThrow(why);
  });

  test('that is missing is no success on the command line unless that is allowed', () => {
    const file = write([text('6.12.1'), ...lines], 'uncounted.txt.gz');
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['dist/bundle/cli.js', 'verify', ...args], { encoding: 'utf8' });
    expect(run(file)).toMatchObject({ status: 1, stdout: expect.stringContaining('NO COUNT 59 steps match') });
    expect(run(file, '--quiet')).toMatchObject({ status: 1, stdout: expect.stringContaining('NO COUNT') });
    expect(run(file, '--json')).toMatchObject({ status: 1, stdout: expect.not.stringContaining('"cut"') });
    expect(run(file, '--allow-uncounted')).toMatchObject({ status: 0, stdout: expect.stringContaining('ok') });
    expect(run(write(linesOf('lazy/strict0.jsonl').slice(0, -1)))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(
        /16 lines of 17 that lazy\/strict0\.jsonl is known to have: the recording is cut off/,
      ),
    });
  });
});
