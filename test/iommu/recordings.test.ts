import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

const golden = new URL('../golden/vtd/', import.meta.url).pathname;
const amd = new URL('../golden/amdv1/', import.meta.url).pathname;

test.each([
  ...readdirSync(golden).map((name) => join(golden, name)),
  ...readdirSync(amd).map((name) => join(amd, name)),
])('%s replays exactly', (file) => {
  const result = verify(file);
  expect(result.divergence).toBeNull();
  expect(result.matched).toBe(result.steps);
  expect(result.steps).toBeGreaterThan(40);
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
  const file = join(folder, 'changed.jsonl');
  writeFileSync(file, changed);
  expect(verify(file).divergence).not.toBeNull();
});

test.each([
  ['a result', '"rc":0', '"rc":-22'],
  ['an unmapped size', '"unmapped":4096,', '"unmapped":8192,'],
  ['a physical address', /"phys":"1/, '"phys":"2'],
  ['a call of the driver', '"pages":[["1000","1000",1,4096]]', '"pages":[["1000","2000",1,4096]]'],
  ['an event', '"ev":[["m","1000"', '"ev":[["m","2000"'],
  ['a flush', '"flush":[["ffffffffffffffff",2]]', '"flush":[]'],
  ['the table pages', '"table_pages":3', '"table_pages":2'],
  ['the levels', '"mode":4', '"mode":3'],
  ['what grew', '"grown":1', '"grown":2'],
  ['what a map freed', /"freed":1,"mode"/, '"freed":2,"mode"'],
  ['what the end freed', '"op":"free","freed":3', '"op":"free","freed":4'],
  ['a leaf', '"3000000100000001",1]', '"7000000100000001",1]'],
  ['the flags of a pointer', '"6000000000000401",0]', '"6000000000000601",0]'],
])("a recording of AMD's tables that differs in %s is noticed", (_what, from, to) => {
  const text = gunzipSync(readFileSync(join(amd, 'cases.jsonl.gz'))).toString();
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  const file = join(folder, 'changed.jsonl');
  writeFileSync(file, changed);
  expect(verify(file).divergence).not.toBeNull();
});
