import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { RecordingError } from '../../src/files/recording-error.js';
import { verify } from '../../src/recordings/verify.js';
import { temporaryFolder } from '../folder.js';

const golden = 'test/golden/iova';
const folder = temporaryFolder();

function recording(text: string): string {
  const file = join(folder, 'recording.txt');
  writeFileSync(file, text);
  return file;
}

const HEADER = '# linux-iova 1 kernel=6.12.117 granule=4096 start_pfn=1 dma_32bit_pfn=100000 rcaches=0 cpus=1';

describe('recordings of the IOVA allocator replay exactly', () => {
  for (const name of readdirSync(golden)) {
    test(name, () => {
      const { steps, matched, divergence } = verify(join(golden, name));
      expect(divergence).toBeNull();
      expect(matched).toBe(steps);
      expect(steps).toBeGreaterThan(5000);
    });
  }
});

describe('a recording that is not what the allocator does', () => {
  const text = gunzipSync(readFileSync(join(golden, 'c_depot.txt.gz'))).toString();

  test('parts at the step that was changed, and says how', () => {
    const lines = text.split('\n');
    const at = lines.findIndex((line, i) => i > 500 && line.startsWith('a '));
    const fields = lines[at].split(' ');
    lines[at] = [...fields.slice(0, 5), 'abc'].join(' ');
    const { matched, divergence } = verify(recording(lines.join('\n')));
    expect(divergence).toEqual({
      line: at + 1,
      operation: `alloc_iova_fast id=${fields[1]} size=${fields[2]} limit=${fields[3]} aligned=1`.replace(
        'aligned',
        'flush',
      ),
      expected: 'abc',
      got: fields[5],
    });
    expect(matched).toBe(at - 1);
  });

  test('parts when the tree has more ranges than were recorded', () => {
    const lines = text.trimEnd().split('\n');
    // One that nobody knows the length of.
    const [header, ...rest] = lines.slice(0, -1);
    const { divergence } = verify(recording([header.replace('6.12.117', '6.12.1'), ...rest].join('\n')));
    expect(divergence?.expected).toBe('no further range');
    expect(divergence?.got).toBe(lines.at(-1)!.slice(2));
  });
});

describe('a malformed recording is refused with line and reason', () => {
  const cases: [string, string, number, RegExp][] = [
    ['unknown operation', `${HEADER}\nA 0 1 fffff 1 fffff\nZ 1\n`, 3, /unknown operation/],
    ['missing field', `${HEADER}\nA 0 1 fffff 1\n`, 2, /A has 4 fields/],
    ['not hexadecimal', `${HEADER}\nA 0 1 fxfff 1 fffff\n`, 2, /limit is not a hexadecimal/],
    ['beyond 2^53', `${HEADER}\nF ffffffffffffffff -\n`, 2, /beyond 2\^53/],
    ['size 0', `${HEADER}\nA 0 0 fffff 1 fffff\n`, 2, /size is 0/],
    ['free of nothing', `${HEADER}\nX 3 1 2\n`, 2, /id 3/],
    ['double free of an id', `${HEADER}\nA 0 1 fffff 1 fffff\nX 0 fffff fffff\nX 0 fffff fffff\n`, 4, /id 0/],
    ['reservation backwards', `${HEADER}\nR 5 4 5 4\n`, 2, /ends before it starts/],
    ['granule', HEADER.replace('4096', '4095'), 1, /granule/],
    ['start_pfn', HEADER.replace('start_pfn=1', 'start_pfn=0'), 1, /start_pfn/],
    ['another kernel', HEADER.replace('6.12.117', '4.9.1'), 1, /not emulated/],
    ['no kernel version', HEADER.replace('6.12.117', 'linux'), 1, /not a version/],
    ['caches in 2015', HEADER.replace('6.12.117', '4.2.8').replace('rcaches=0', 'rcaches=1'), 1, /rcaches/],
  ];
  for (const [name, text, line, reason] of cases) {
    test(name, () => {
      let error: unknown;
      try {
        verify(recording(text));
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(RecordingError);
      expect((error as RecordingError).line).toBe(line);
      expect((error as RecordingError).reason).toMatch(reason);
    });
  }
});

test('timing comes with the replay and changes nothing of it', () => {
  const result = verify(join(golden, 'c_depot.txt.gz'), { time: true });
  expect(result.divergence).toBeNull();
  expect(result.nsPerStep).toBeGreaterThan(0);
});
