import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const golden = new URL('../golden/dma-debug/', import.meta.url).pathname;
const scratch = temporaryFolder();

test.each(readdirSync(golden))('%s gives the same verdicts and counters', (name) => {
  const result = verify(join(golden, name));
  expect(result.divergence).toBeNull();
  expect(result.matched).toBe(result.steps);
  expect(result.steps).toBeGreaterThanOrEqual(9);
});

// A replay that compares nothing passes everything: each kind of recorded value is falsified in turn.
test.each([
  [
    'iommu.jsonl',
    'a verdict that was not made',
    '"verdicts":[]',
    '"verdicts":[{"id":"UNMAP_INVALID","device":"0000:00:01.0"}]',
  ],
  ['iommu.jsonl', 'a verdict left out', /"verdicts":\[\{"id":"UNMAP_SIZE"[^}]*\}\]/, '"verdicts":[]'],
  ['iommu.jsonl', 'an identifier', '"id":"UNMAP_UNKNOWN"', '"id":"SYNC_UNKNOWN"'],
  [
    'iommu.jsonl',
    'the blamed device',
    '"CACHELINE_OVERLAP","device":"0000:00:02.0"',
    '"CACHELINE_OVERLAP","device":"0000:00:01.0"',
  ],
  ['direct.jsonl', 'a mapped size', '"map_size":"8192"', '"map_size":"4096"'],
  ['direct.jsonl', 'an unmapped type', '"unmapped_as":"coherent"', '"unmapped_as":"single"'],
  ['direct.jsonl', 'a direction', '"synced_dir":"FROM_DEVICE"', '"synced_dir":"TO_DEVICE"'],
  ['direct.jsonl', 'a count', '"unmap_count":"3"', '"unmap_count":"2"'],
  ['direct.jsonl', 'the number leaked', '"count":"4"', '"count":"3"'],
  [
    'direct.jsonl',
    'the leak that is shown',
    '"device_address":"0x0000000008376000"',
    '"device_address":"0x0000000008374000"',
  ],
  ['direct.jsonl', 'a segment length', '"len":"8192"', '"len":"4096"'],
  [
    'direct.jsonl',
    'the errors counted',
    '"after":{"disabled":false,"error_count":1',
    '"after":{"disabled":false,"error_count":2',
  ],
  ['direct.jsonl', 'the low-water mark', '"min_free_entries":65529,"nr', '"min_free_entries":65528,"nr'],
  ['options.jsonl', 'what is printed', '"printed":[]', '"printed":[{"id":"UNMAP_INVALID","device":"0000:00:01.0"}]'],
  ['options.jsonl', 'the growth of the pool', '"total":"192"', '"total":"224"'],
  ['options.jsonl', 'the size of the grown pool', '"nr_total_entries":416', '"nr_total_entries":448'],
  [
    'options.jsonl',
    'the death of dma-debug',
    '"after":{"disabled":true,"error_count":0,"all_errors":1,"num_errors":1,"num_free_entries":0,"min_free_entries":0,"nr_total_entries":64',
    '"after":{"disabled":false,"error_count":0,"all_errors":1,"num_errors":1,"num_free_entries":0,"min_free_entries":0,"nr_total_entries":64',
  ],
  [
    'options.jsonl',
    'what is left of num_errors',
    '"num_errors":0,"num_free_entries":65530,"min_free_entries":65529,"nr_total_entries":65536}}\n{"case":"no_error',
    '"num_errors":1,"num_free_entries":65530,"min_free_entries":65529,"nr_total_entries":65536}}\n{"case":"no_error',
  ],
])('%s with %s changed is noticed', (name, _what, from, to) => {
  const text = readFileSync(join(golden, name), 'utf8');
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  const file = join(scratch, 'changed.jsonl');
  writeFileSync(file, changed);
  expect(verify(file).divergence).not.toBeNull();
});

test('a call that is not known is said, with its line', () => {
  const text = readFileSync(join(golden, 'iommu.jsonl'), 'utf8').replace('"dma_unmap_page"', '"dma_unmap_pages"');
  const file = join(scratch, 'unknown.jsonl');
  writeFileSync(file, text);
  expect(() => verify(file)).toThrow(/unknown\.jsonl:4: call of dma_unmap_pages/);
});
