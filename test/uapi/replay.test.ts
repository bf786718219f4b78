import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { IOCTL, packStruct, RecordingError } from '../../src/index.js';
import { replayStream, replayStreamAsync } from '../../src/replay/index.js';
import { temporaryFolder } from '../folder.js';

const golden = (name: string): string => fileURLToPath(new URL(`../golden/uapi/${name}`, import.meta.url));
const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));
const folder = temporaryFolder();
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function stream(name: string, ...steps: unknown[]): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `${[[2, 1, 0, 0, '', 0, 0, 0, 0, 1, 0], ...steps].map((step) => JSON.stringify(step)).join('\n')}\n`,
  );
  return path;
}

/** A request of file 1, answered with a result. */
function step(request: number, struct: Uint8Array, result: number, after?: Uint8Array, memory: unknown = 0): unknown[] {
  return [1, 1, 1, request, base64(struct), memory, 0, 0, result, 0, after === undefined ? 0 : base64(after)];
}

function gemdma(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

describe('streams of real programs', () => {
  // A batch that must lie elsewhere is unbound while it is on the list: the driver of 4.1 maps it again (L3).
  test.each([
    ['i915-4.2', 0],
    ['i915-4.1', 2345],
  ] as const)('gem_exec_fault: every result as recorded, under %s, and %i mappings lost', (policy, leaked) => {
    const result = replayStream(golden('exec-fault.jsonl.gz'), { i915: { policy } });
    expect(result).toMatchObject({
      ...{ format: 'json-lines', profile: 'linux-4.2', policy, requests: 4709, compared: 4708, matched: 4708 },
      ...{ structs: { compared: 2363, matched: 2363 }, differences: [], errnos: { ENOSPC: 2345 } },
      ...{ leaked, warnings: [] },
    });
    const lost = { ADDRESS_OVERWRITTEN: 2344, FREED_WHILE_MAPPED: 2345, LEAK_ON_UNBIND: 1 };
    if (leaked > 0) expect(result.findings).toMatchObject(lost);
    else expect(result.findings).toEqual({});
    expect(result.statistics).toMatchObject({ files: 2, batches: 2348, unrecorded: 0 });
  });

  test('vainfo: every result as recorded, and what only its kernel had', () => {
    const result = replayStream(golden('va.jsonl.gz'));
    expect(result).toMatchObject({
      requests: 105,
      compared: 88,
      matched: 88,
      differences: [],
      leaked: 0,
      findings: {},
    });
    expect(result.structs).toEqual({ compared: 88, matched: 88 });
    expect(result.parameters).toEqual([{ request: 'I915_GETPARAM', param: 34, expected: -22, got: 0 }]);
    expect(result.statistics).toMatchObject({ handles: 20, others: 0, unrecorded: 0 });
    const old = replayStream(golden('va.jsonl.gz'), { i915: { gen: 7 } });
    expect([old.matched, old.parameters[0].got]).toEqual([88, -19]);
  });

  test('300 frames of the exec tracer', () => {
    const result = replayStream(golden('gem-exec-trace.gz'));
    expect(result).toMatchObject({ format: 'exec-trace', profile: 'modern', requests: 329, compared: 0, errnos: {} });
    expect(result.statistics).toMatchObject({ batches: 302, handles: 12 });
    expect(result.byRequest).toMatchObject({
      I915_GEM_EXECBUFFER2: { count: 302, failed: 0 },
      I915_GEM_CREATE: { count: 12, failed: 0 },
    });
    expect([result.leaked, result.findings]).toEqual([0, {}]);
  });

  test('the exec tracer under the policy of Linux 4.1: its contexts lose mappings, which dma-debug finds', () => {
    const result = replayStream(golden('gem-exec-trace.gz'), { i915: { policy: 'i915-4.1' } });
    expect(result.statistics.batches).toBe(302);
    expect(result.leaked > 0).toBe(Object.keys(result.findings).includes('LEAK_ON_UNBIND'));
  });
});

describe('differences', () => {
  const create = packStruct('gem_create', { size: 4096 });
  const created = packStruct('gem_create', { size: 4096, handle: 1 });

  test('another result, and another struct', () => {
    const file = stream(
      'other.jsonl',
      step(IOCTL.I915_GEM_CREATE, create, 0, packStruct('gem_create', { size: 8192, handle: 1 })),
      step(IOCTL.GEM_CLOSE, packStruct('gem_close', { handle: 7 }), 0),
    );
    const { compared, matched, structs, differences } = replayStream(file);
    expect([compared, matched, structs]).toEqual([2, 1, { compared: 1, matched: 0 }]);
    expect(differences).toEqual([
      { step: 2, request: 'I915_GEM_CREATE', field: 'size', expected: '8192', got: '4096' },
      { step: 3, request: 'GEM_CLOSE', field: 'result', expected: '0', got: 'EINVAL' },
    ]);
    const { code, out } = gemdma('replay', file);
    expect([code, out]).toEqual([1, expect.stringContaining('step 3: GEM_CLOSE: result 0 recorded, EINVAL now')]);
  });

  test('numbers of handles are those of the recording, where they are free', () => {
    const as = (handle: number): Uint8Array => packStruct('gem_create', { size: 4096, handle });
    const file = stream(
      'handles.jsonl',
      step(IOCTL.I915_GEM_CREATE, create, 0, as(5)),
      step(IOCTL.I915_GEM_CREATE, create, 0, as(5)),
      step(IOCTL.I915_GEM_CREATE, create, 0, as(9)),
      step(IOCTL.GEM_CLOSE, packStruct('gem_close', { handle: 9 }), 0),
    );
    expect(replayStream(file).differences).toEqual([
      { step: 3, request: 'I915_GEM_CREATE', field: 'handle', expected: '5', got: '1' },
    ]);
  });

  test('descriptors stand for those that the replay is given; memory that is not recorded reads as zeros', () => {
    const prime = (fields: object): Uint8Array => packStruct('prime_handle', fields);
    const file = stream(
      'prime.jsonl',
      step(IOCTL.I915_GEM_CREATE, create, 0, created),
      step(IOCTL.PRIME_HANDLE_TO_FD, prime({ handle: 1 }), 0, prime({ handle: 1, fd: 17 })),
      step(IOCTL.PRIME_FD_TO_HANDLE, prime({ fd: 17 }), 0, prime({ handle: 1, fd: 17 })),
      step(IOCTL.I915_GEM_PWRITE, packStruct('gem_pread', { handle: 1, size: 8, data_ptr: 0x1000 }), 0),
      step(IOCTL.I915_GEM_PWRITE, packStruct('gem_pread', { handle: 1, size: 8, data_ptr: 0x1000 }), -14),
      [9, 1, 0, 0, '', 0, 0, 0, 0, 0, 0],
    );
    const result = replayStream(file);
    expect([result.differences, result.statistics.unrecorded, result.statistics.others]).toEqual([[], 1, 1]);
  });

  test("memory of the client's own becomes an object, and its munmap takes the pages", () => {
    const userptr = packStruct('gem_userptr', { user_ptr: 0x7f0000200000, user_size: 8192 });
    const after = packStruct('gem_userptr', { user_ptr: 0x7f0000200000, user_size: 8192, handle: 1 });
    const file = stream(
      'userptr.jsonl',
      step(IOCTL.I915_GEM_USERPTR, userptr, 0, after),
      step(
        IOCTL.I915_GEM_USERPTR,
        userptr,
        0,
        packStruct('gem_userptr', { ...{ handle: 2, user_size: 8192 }, user_ptr: 0x7f0000200000 }),
      ),
      [8, 1, 0, 0, '', 0, 0x7f0000200000, 8192, 0, 0, 0],
      step(IOCTL.GEM_CLOSE, packStruct('gem_close', { handle: 1 }), 0),
      step(IOCTL.I915_GEM_CONTEXT_GETPARAM, packStruct('gem_context_param', { param: 3 }), 0),
    );
    const result = replayStream(file, { profile: 'linux-4.2' });
    expect([result.differences, result.statistics.others, result.leaked]).toEqual([[], 0, 0]);
    // Linux 4.2 has no such parameter of a context.
    expect(result.parameters).toEqual([{ request: 'I915_GEM_CONTEXT_GETPARAM', param: 3, expected: 0, got: -22 }]);
  });

  test('what Linux 4.2 had not makes the stream a modern one', () => {
    const file = stream(
      'syncobj.jsonl',
      step(IOCTL.SYNCOBJ_CREATE, new Uint8Array(8), 0, packStruct('syncobj_create', { handle: 1 })),
    );
    expect(replayStream(file)).toMatchObject({ profile: 'modern', matched: 1 });
    expect(replayStream(file, { profile: 'linux-4.2' })).toMatchObject({ matched: 0, errnos: { EINVAL: 1 } });
  });
});

describe('files', () => {
  test.each([
    ['empty', '', 'empty'],
    ['text', 'hello\n', 'neither JSON lines'],
    ['json', '[1,2\n', 'not JSON'],
    ['short', '[1,2]\n', 'no array of at least 10 values'],
    ['numbers', '[1,1,1,"x","",0,0,0,0,0,0]\n', 'the request is no whole number'],
    ['base64', '[1,1,1,5,"!",0,0,0,0,0,0]\n', 'the struct is not base64'],
    ['memory', '[1,1,1,5,"",[[1]],0,0,0,0,0]\n', 'a piece of memory'],
    ['cut', gunzipSync(readFileSync(golden('gem-exec-trace.gz'))).subarray(0, 1000), 'cut off in the record'],
    ['record', Uint8Array.of(0xef, 0xbe, 0xad, 0xde, 0, 3, 0, 0, 9), 'record 9 at byte 8 is not known'],
  ])('%s', (name, content, message) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    expect(() => replayStream(path)).toThrow(RecordingError);
    expect(() => replayStream(path)).toThrow(message);
    const { code, err } = gemdma('replay', path);
    expect([code, err]).toEqual([2, expect.stringMatching(/^gemdma: [^\n]*\n$/)]);
  });

  test('the asynchronous call gives the same, and ends when it is aborted', async () => {
    const { seconds: _, rate: __, ...whole } = await replayStreamAsync(golden('va.jsonl.gz'));
    const { seconds, rate, ...again } = replayStream(golden('va.jsonl.gz'));
    expect(whole).toEqual(again);
    const aborted = AbortSignal.abort();
    const part = await replayStreamAsync(golden('exec-fault.jsonl.gz'), { signal: aborted });
    expect(part.interrupted).toBe(true);
    expect(part.requests).toBeLessThan(4709);
  });
});

describe('gemdma replay', () => {
  test('several files, as text and as JSON', () => {
    const files = [golden('va.jsonl.gz'), golden('gem-exec-trace.gz')];
    const { code, out } = gemdma('replay', ...files);
    expect(code).toBe(0);
    expect(out).toMatch(/results as recorded +88 of 88/);
    const json = gemdma('replay', '--json', '--policy', 'i915-4.1', '--gen', '7', ...files);
    const results = JSON.parse(json.out);
    expect(results.map(({ policy }: { policy: string }) => policy)).toEqual(['i915-4.1', 'i915-4.1']);
    expect(results[0].matched).toBe(88);
  });

  test('wrong options', () => {
    for (const args of [
      ['--gen', '17'],
      ['--profile', 'x'],
      ['--platform', 'x'],
      ['--machine', '{"oops":1}'],
    ]) {
      expect(gemdma('replay', ...args, golden('va.jsonl.gz')).code).toBe(2);
    }
  });
});
