import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
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
  ['another address', '"ret":"7f8b7000"', '"ret":"7f8b6800"', 'ret 7f8b7000'],
  ['another count of used slots', '"slot":6,"in_slot":0,"copied_in":1,"used":4', '"used":5', 'used 4'],
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
