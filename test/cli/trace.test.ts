import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';

const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));
const folder = temporaryFolder();

function trace(args: string[], input?: string | Buffer): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'trace', ...args], { input, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const net = 'test/golden/trace/net.txt.gz';

describe('gemdma trace', () => {
  test('a real trace: devices, completeness, nothing found, exit code 0', () => {
    const { code, out, err } = trace([net]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('ftrace text');
    expect(out).toContain('8,904 events');
    expect(out).toContain('255 mappings were live when the trace began');
    expect(out).toMatch(/0000:00:05\.0\s+2,226\s+2,226\s+255/);
    expect(out).toContain('none suspected');
  });

  test('from standard input, as JSON; --device leaves one', () => {
    const { code, out } = trace(
      ['-', '--json', '--device', '0000:00:1f.2'],
      readFileSync('test/golden/trace/block.txt.gz'),
    );
    expect(code).toBe(0);
    const result = JSON.parse(out);
    expect(result.inputs).toMatchObject([{ input: 'standard input', formats: ['ftrace text'], events: 5081 }]);
    expect(result.devices.map(({ device }: { device: string }) => device)).toContain('0000:00:1f.2');
    expect(result.devices.map(({ device }: { device: string }) => device)).not.toContain('0000:00:04.0');
  });

  test('trace.dat with zstd', () => {
    const dat = file('trace.dat', gunzipSync(readFileSync('test/golden/trace/trace-cmd.dat.gz')));
    const { code, out } = trace([dat]);
    expect(code).toBe(0);
    expect(out).toContain('trace.dat');
    expect(out).toContain('128 events');
  });

  test('a log beside the trace: the fault is told with who unmapped its address; exit code 1', () => {
    const log = file(
      'dmesg',
      '[    6.345000] DMAR: [DMA Write NO_PASID] Request device [00:05.0] fault addr 0xffef63c0 [fault reason 0x05] PTE Write access is not set\n',
    );
    const { code, out } = trace([net, log, '--at', 'ffef6000']);
    expect(code).toBe(1);
    expect(out).toMatch(/Faults\n.*0xffef63c0 write: PTE Write access is not set/);
    expect(out).toMatch(/History: \d+ events/);
  });

  test.each([
    [['/does/not/exist'], 'cannot read /does/not/exist: ENOENT'],
    [[file('empty', '')], ':1:1: the input is empty'],
    [[file('prose', 'hello\nworld\n')], ':1:1: not a trace or log'],
    [[], 'trace takes at least one file'],
    [[net, '--at', 'xyz'], "--at takes an address in hexadecimal digits, not 'xyz'"],
    [['--recipe', 'new'], "--recipe takes a kernel version such as 6.12, not 'new'"],
  ])('%j: one line, exit code 2', (args, message) => {
    const { code, err } = trace(args);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err.trim().split('\n')).toHaveLength(1);
  });

  test('what was readable is reported beside the error', () => {
    const { code, out } = trace([net, '/does/not/exist']);
    expect(code).toBe(2);
    expect(out).toContain('2,226');
  });

  test('--verify compares every address; --json has what was inferred', () => {
    const { code, out } = trace(['--verify', net, 'test/golden/trace/boot.txt.gz']);
    expect(code).toBe(0);
    expect(out).toMatch(/net\.txt\.gz\s+strict\s+2,226\s+2,226\s+100\.00 %/);
    expect(out).toMatch(/boot\.txt\.gz\s+strict\s+28\s+28\s+100\.00 %/);
    const { verified } = JSON.parse(trace(['--verify', '--json', net]).out);
    expect(verified).toMatchObject([{ mode: 'strict', compared: 2226, matched: 2226, inferred: { live: 255 } }]);
  });

  test('--what-if, repeatable: columns side by side', () => {
    const { code, out } = trace([net, '--what-if', 'mode=lazy', '--what-if', 'mask=20']);
    expect(code).toBe(0);
    expect(out).toMatch(/recorded\s+mode=lazy\s+mask=20/);
    expect(out).toMatch(/failures\s+0\s+0\s+\d+/);
    const bad = trace([net, '--what-if', 'mode=fast']);
    expect([bad.code, bad.err.trim().split('\n').length]).toEqual([2, 1]);
  });

  test('--perfetto and run --trace-out write files; what was run reads back', () => {
    const perfetto = join(folder, 'net.pftrace');
    expect(trace([net, '--perfetto', perfetto]).code).toBe(0);
    expect(readFileSync(perfetto).length).toBeGreaterThan(100_000);
    const text = join(folder, 'run.txt');
    const run = spawnSync(process.execPath, [main, 'run', 'L1', '--policy', 'i915-4.1', '--trace-out', text], {
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    const { out } = trace([text, '--json']);
    const { inputs, devices } = JSON.parse(out);
    expect(inputs[0].notUnderstoodLines).toBe(0);
    expect(devices[0].maps).toBeGreaterThan(0);
  });

  test.each([
    ['6.12', ['-e dma', 'buffer_subbuf_size_kb', 'tracepoint:dma:dma_map_page']],
    ['5.10', ['-e intel_iommu', 'no dma:* events', 'tracepoint:intel_iommu:map_single']],
    ['4.19', ['-e iommu', 'tracepoint:iommu:map']],
  ])('--recipe %s', (version, wanted) => {
    const { code, out } = trace(['--recipe', version]);
    expect(code).toBe(0);
    for (const text of wanted) expect(out).toContain(text);
  });
});
