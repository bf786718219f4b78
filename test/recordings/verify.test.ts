import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { RecordingError } from '../../src/files/recording-error.js';
import { verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

function recording(...lines: (string | object)[]): string {
  const file = join(folder, 'recording');
  writeFileSync(file, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return file;
}

const golden = [
  'dma-debug/options.jsonl',
  'drm_mm/once.txt.gz',
  'iova/r_resv.txt.gz',
  'lazy/strict0.jsonl',
  'map_sg/direct-p4.jsonl.gz',
  'sg_table/from_pages-1.jsonl.gz',
  'swiotlb/first-half.jsonl.gz',
  'symptom/exhaust.jsonl',
  'symptom/doublemap.jsonl',
  'vtd/48-cases.jsonl.gz',
].map((name) => {
  const bytes = readFileSync(`test/golden/${name}`);
  return [name, (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trimEnd().split('\n')] as const;
});

describe('a recording is the same recording', () => {
  test.each(golden)('with other line ends, blank lines and remarks: %s', (_, [header, ...lines]) => {
    const { steps } = verify(recording(header, ...lines));
    const text = [`\ufeff${header}`, '', ...lines.slice(0, 9), '  ', '# a remark', ...lines.slice(9), '', ''];
    const result = verify(recording(text.join('\r\n')));
    expect(result).toMatchObject({ steps, matched: steps, divergence: null });
  });
});

const MAP_SG = { recording: 'linux-map_sg', version: 1, backend: 'iommu', strict: true };
const PARMS = { op: 'parms', dma_mask: 'ffffffff', max_seg: 65536, seg_boundary: 'ffffffff' };
const domain = (when: string, ranges: string[][], { op: _, ...parms }: typeof PARMS = PARMS) => ({
  ...{ op: 'domain', when, dev: '0000:00:02.0', type: 3, pgsize_bitmap: '40201000', aperture: ['0', 'ffffffffffff'] },
  ...{ force_aperture: 1, granule: 4096, start_pfn: '1', dma_32bit_pfn: '100000', ranges, ...parms },
  ...{ merge_boundary: 'fff', max_mapping: 2 ** 64, opt_mapping: 131072 },
});
const RESERVED = ['fee00', 'feeff'];
const START = domain('start', [RESERVED]);
const FAILED = { rc: -22, nents: 0, restored: true, out: [], ev: [] };
/** What a map of frames in a row leaves behind. */
const mapped = (iova: string, phys: string, pages: number) => ({
  ev: [['m', iova, phys, pages * 4096]],
  leaf: [[iova, 1, pages, `${phys.slice(0, -1)}3`]],
});
const SG_TABLE = { recording: 'linux-sg_table', version: 1 };
const ONE_PAGE = {
  ...{ op: 'sgt', pfns: [['100', 1]], n: 1, off: 0, size: 4096, max: 65536 },
  ...{ rc: 0, nents: 1, orig_nents: 1, sg: [['100', 0, 4096]] },
};

const resource = (ret: string) => ({
  ...{ op: 'map_resource', id: 7, phys: 'fe900000', len: 4096, dir: 0, ret },
  ...mapped(ret, 'fe900000', 1),
});

describe('a line that the emulator cannot take is refused by its number', () => {
  test.each<[string, object, object]>([
    ['a page beyond 16 TiB', MAP_SG, { op: 'map_sg', id: 0, dir: 0, attrs: 0, sg: [['100000000', 0, 1]], ...FAILED }],
    ['a list that is none', MAP_SG, { op: 'map_sg', id: 0, dir: 0, attrs: 0, sg: 5, ...FAILED }],
    [
      '2^53 pages',
      MAP_SG,
      { op: 'alloc_coherent', id: 0, len: 1, vmalloc: 0, ret: '1000', ev: [], leaf: [['1000', 1, 2 ** 53, '1003']] },
    ],
    ['an id twice', MAP_SG, resource('ffffe000')],
    ['a line without a field', MAP_SG, { ...resource('ffffe000'), leaf: undefined }],
    ['a line with a field more', MAP_SG, { ...resource('ffffe000'), id: 8, colour: 1 }],
    ['runs of 2^53 pages', SG_TABLE, { ...ONE_PAGE, pfns: [['1', 2 ** 53 - 1]] }],
    ['fewer pages than said', SG_TABLE, { ...ONE_PAGE, n: 2 }],
    ['an offset beyond the first page', SG_TABLE, { ...ONE_PAGE, off: 5000 }],
    ['an operation of another kind', SG_TABLE, { op: 'map' }],
  ])('%s', (_, header, line) => {
    const before = header === MAP_SG ? [PARMS, START, resource('fffff000')] : [ONE_PAGE, ONE_PAGE, ONE_PAGE];
    const file = recording(header, ...before, line);
    let error: unknown;
    try {
      verify(file);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RecordingError);
    expect(error).toMatchObject({ file, line: 5 });
  });
});

test.each<[string, string | object, string]>([
  ['a key that is not known', { ...SG_TABLE, foo: 1 }, 'foo'],
  ["another kind's key", { ...SG_TABLE, rcaches: 1 }, 'rcaches'],
  ['the same in text', '# linux-drm_mm 1 kernel=6.12 granule=4096', 'granule'],
  ['a word that is not key=value', '# linux-drm_mm 1 kernel=6.12 modern', 'modern'],
  ['a key twice', '# linux-drm_mm 1 kernel=6.12 kernel=4.2', 'kernel twice'],
])('a header is refused that has %s', (_, header, what) => {
  const file = recording(header, ONE_PAGE);
  expect(() => verify(file)).toThrow(RecordingError);
  expect(() => verify(file)).toThrow(what);
  expect(() => verify(file)).toThrow(expect.objectContaining({ line: 1 }));
});

test('a header may say for its reader what no replay needs', () => {
  const said = { variant: 'short', seed: 7, note: 'two lines', kernel: '6.12' };
  expect(verify(recording({ ...SG_TABLE, ...said }, ONE_PAGE))).toMatchObject({ matched: 1, divergence: null });
});

test('a coherent buffer that got no address has emptied the caches of ranges all the same', () => {
  const page = (id: number, pages: number, ret: string) => ({
    ...{ op: 'map_page', id, dir: 0, pfn: '100', off: 0, len: pages * 4096, ret },
    ...mapped(ret, '100000', pages),
  });
  const narrow = { ...PARMS, dma_mask: 'ffff' };
  const file = recording(
    MAP_SG,
    narrow,
    domain('start', [RESERVED], narrow),
    page(0, 8, '8000'),
    page(1, 4, '4000'),
    { op: 'unmap', id: 0, ev: [['u', '8000', 32768, 32768]] },
    { op: 'alloc_coherent', id: 2, len: 16 * 4096, ret: null, vmalloc: 1, ev: [] },
    domain('end', [['4', '7'], RESERVED], narrow),
  );
  expect(verify(file)).toMatchObject({ matched: 7, divergence: null });
});

test('with a boundary below a page no entry joins another', () => {
  const narrow = { ...PARMS, seg_boundary: '7ff' };
  const file = recording(MAP_SG, narrow, domain('start', [RESERVED], narrow), {
    ...{
      op: 'map_sg',
      id: 0,
      dir: 0,
      attrs: 0,
      sg: [
        ['100', 0, 4096],
        ['101', 0, 4096],
        ['102', 0, 4096],
      ],
    },
    ...{
      rc: 0,
      nents: 3,
      restored: true,
      out: [
        ['ffffc000', 4096],
        ['ffffd000', 4096],
        ['ffffe000', 4096],
      ],
    },
    ...mapped('ffffc000', '100000', 3),
  });
  expect(verify(file).divergence).toBeNull();
});

test('whether a single byte came back from the bounce pool is seen, by a device of 64 bits', () => {
  const lines = Array.from({ length: 600 }, (_, id) => [
    {
      ...{ op: 'map', id, phys: '100010000', len: 1 + (id % 3), dir: 1 + (id % 2) },
      ...{ ret: (0x7f800000 + id * 2048).toString(16), slot: id, in_slot: 0, copied_in: 1, used: 1 },
    },
    { op: 'unmap', id, dir: 1 + (id % 2), copied_back: id % 2, used: 0 },
  ]).flat();
  const file = recording(
    { recording: 'linux-swiotlb', version: 1 },
    { op: 'begin', test: 'bytes', seed: 1, min_align_mask: '0', cpu: 0, dma_mask: 'ffffffffffffffff' },
    {
      ...{ op: 'pool', start: '7f800000', end: '7fc00000', nslabs: 2048, nareas: 1, area_nslabs: 2048 },
      ...{ force_bounce: 1, slot: 2048, segsize: 128, max_mapping: 262144 },
    },
    ...lines,
  );
  expect(verify(file)).toMatchObject({ matched: 1200, divergence: null });
});

describe('a mapping that is ended in more than one wrong way', () => {
  const device = '0000:00:01.0';
  const address = '0x00000000ffff0000';
  const counters = (errors: number, free: number) => ({
    ...{ disabled: false, error_count: errors, all_errors: 1, num_errors: 1 },
    ...{ num_free_entries: free, min_free_entries: free, nr_total_entries: 65536 },
  });
  const place = { dev: device, ev: [], dir: 'FROM_DEVICE' };
  const map = { call: 'dma_map_page', ...place, pfn: '1000', off: 0, len: 100, attrs: 0, ret: 'ffff0000' };
  const unmapped = { call: 'dma_unmap_page', ...place, addr: 'ffff0000' };
  const size = { id: 'UNMAP_SIZE', device, device_address: address, map_size: '100', unmap_size: '64' };
  test.each([
    [
      'is told with the size that the caller passed: function',
      [map, { call: 'dma_mapping_error', dev: device, addr: 'ffff0000', ret: 0 }],
      { call: 'dma_unmap_resource', dev: device, addr: 'ffff0000', len: 64, dir: 'FROM_DEVICE' },
      [
        size,
        { id: 'UNMAP_TYPE', device, device_address: address, size: '64', mapped_as: 'single', unmapped_as: 'resource' },
      ],
      65536,
      65535,
    ],
    [
      'is told with the size that the caller passed: direction, no check',
      [map],
      { ...unmapped, len: 64, dir: 'TO_DEVICE' },
      [
        size,
        {
          id: 'UNMAP_DIR',
          device,
          device_address: address,
          size: '64',
          mapped_dir: 'FROM_DEVICE',
          unmapped_dir: 'TO_DEVICE',
        },
        { id: 'UNMAP_UNCHECKED', device, device_address: address, size: '64', mapped_as: 'single' },
      ],
      65536,
      65535,
    ],
    [
      'checks what was mapped at the address before, as mapping it again has asked whether it is an error',
      [map, map],
      { ...unmapped, len: 50 },
      [
        { id: 'CACHELINE_OVERLAP', device },
        { id: 'UNMAP_UNKNOWN', device, device_address: address, size: '50' },
      ],
      65534,
      65534,
    ],
    [
      'and asking which of several mappings an unmap means checks the next',
      [map, map, { ...unmapped, len: 50 }],
      { ...unmapped, len: 100 },
      [
        { id: 'CACHELINE_OVERLAP', device },
        { id: 'UNMAP_UNKNOWN', device, device_address: address, size: '50' },
      ],
      65535,
      65534,
    ],
  ])('%s', (_, calls, unmap, verdicts, free, least) => {
    const file = recording(
      { recording: 'linux-dma-debug', version: 1, kernel: '6.12.117', all_errors: 1 },
      {
        case: 'several',
        calls: [...calls, unmap],
        before: counters(0, 65536),
        verdicts,
        after: { ...counters(verdicts.length, free), min_free_entries: least },
      },
    );
    expect(verify(file).divergence).toBeNull();
  });
});

test('a list of more pages than a small machine has exhausts a device, too', () => {
  const exhaust = { exhaust: 'map, never unmap', mask_bits: 26, pages_per_list: 2500 };
  const file = recording(
    { recording: 'linux-exhaust', version: 1 },
    {
      ...{ ...exhaust, iterations_before_failure: 3, dma_map_sg_ret: 0, dma_map_sgtable_ret: -12 },
      ...{ ranges_before: 5, pages_before: 8842528, ranges_after: 8, pages_after: 8850028 },
    },
  );
  expect(verify(file)).toMatchObject({ matched: 1, divergence: null });
});
