import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { verify } from '../../src/recordings/verify.js';

const golden = new URL('../golden/vtd/', import.meta.url).pathname;

test.each(readdirSync(golden))('%s replays exactly', (name) => {
  const result = verify(join(golden, name));
  expect(result.divergence).toBeNull();
  expect(result.matched).toBe(result.steps);
  expect(result.steps).toBeGreaterThan(100);
});

// A replay that compares nothing passes everything: each kind of recorded value is falsified in turn.
test.each([
  ['a result', '"rc":0', '"rc":-5'],
  ['an unmapped size', '"unmapped":4096,', '"unmapped":8192,'],
  ['a physical address', '"phys":"100002abc"', '"phys":"100002abd"'],
  ['an event', '["m","1000","100000000",4096]', '["m","1000","100000000",8192]'],
  ['the table pages', '"table_pages":4', '"table_pages":5'],
  ['a leaf', '"100000001",1', '"100000003",1'],
  ['the flags of a pointer', /"([0-9a-f]+)003",0\]/, '"$1001",0]'],
  ['bytes written into mapped memory', '[24,"100000003"]', '[32,"100000003"]'],
])('a recording that differs in %s is noticed', (_what, from, to) => {
  const text = gunzipSync(readFileSync(join(golden, '48-cases.jsonl.gz'))).toString();
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  const file = join(mkdtempSync(join(tmpdir(), 'vtd-')), 'changed.jsonl');
  writeFileSync(file, changed);
  expect(verify(file).divergence).not.toBeNull();
});
