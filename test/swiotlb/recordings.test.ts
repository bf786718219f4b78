import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { RecordingError } from '../../src/files/recording-error.js';
import { verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

const golden = new URL('../golden/swiotlb/first-half.jsonl.gz', import.meta.url).pathname;

test('the recorded pool is reproduced slot by slot', () => {
  const result = verify(golden);
  expect(result.divergence).toBeNull();
  expect(result).toMatchObject({ kind: 'swiotlb', steps: 3158, matched: 3158 });
});

test.each([
  ['another address', '"ret":"7f8b7000"', '"ret":"7f8b6800"', 'ret "7f8b7000"'],
  [
    'another count of used slots',
    '"slot":6,"in_slot":0,"copied_in":1,"used":4',
    '"slot":6,"in_slot":0,"copied_in":1,"used":5',
    'used 4',
  ],
  ['no copy back', '"id":3,"dir":0,"copied_back":1', '"id":3,"dir":0,"copied_back":0', 'copied_back 1'],
])('a recording with %s diverges at that step', (_, from, to, got) => {
  const text = gunzipSync(readFileSync(golden)).toString();
  const at = text.indexOf(from);
  const file = join(folder, 'changed.jsonl');
  writeFileSync(file, text.replace(from, to));
  const { divergence } = verify(file);
  expect(divergence).toMatchObject({ line: text.slice(0, at).split('\n').length, got });
});

test('a recording that maps before there is a pool is refused by line', () => {
  const file = join(folder, 'broken.jsonl');
  writeFileSync(
    file,
    '{"recording":"linux-swiotlb","version":1}\n{"op":"map","id":0,"phys":"200000","len":1,"dir":1,"ret":null,"used":0}\n',
  );
  expect(() => verify(file)).toThrow(new RecordingError(file, 2, 'no begin and pool line before it'));
});

describe('a recording that begins in the middle', () => {
  const [header, begin, pool, ...lines] = gunzipSync(readFileSync(golden)).toString().trimEnd().split('\n');
  const from = (n: number, change: (line: string) => string = (line) => line): string => {
    const file = join(folder, 'middle.jsonl');
    const rest = lines.slice(n).map(change);
    const all = [JSON.parse(header), ...[begin, pool, ...rest].map((line) => JSON.parse(line))];
    // Not the recording that is known to have so many lines.
    all[1].seed = 99;
    all[0].steps = rest.length + 2;
    writeFileSync(file, `${all.map((line) => JSON.stringify(line)).join('\n')}\n`);
    return file;
  };

  // Cut where mappings are live, and where the area's index is anywhere.
  test.each([1, 7, 50, 333, 600])('from line %d on', (n) => {
    const result = verify(from(n));
    expect(result.divergence).toBeNull();
    expect(result.matched).toBe(result.steps);
  });

  test('still differs where what is known says so', () => {
    const wrong = (line: string): string =>
      /"op":"map","id":400,/.test(line) ? line.replace('"copied_in":1', '"copied_in":0') : line;
    expect(verify(from(50, wrong)).divergence).toMatchObject({ got: 'copied_in 1' });
    const far = (line: string): string =>
      /"op":"map","id":400,/.test(line) ? line.replace(/"in_slot":(\d+)/, '"in_slot":2047') : line;
    expect(verify(from(50, far)).divergence).toMatchObject({ expected: 'in_slot 2047' });
  });
});
