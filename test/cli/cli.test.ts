import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gemdma-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

function gemdma(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('wrong use: one clear line, exit code 2, no stack', () => {
  test.each([
    [['frob'], "unknown command 'frob'"],
    [['verfy', 'x'], 'Did you mean verify?'],
    [['verify'], "missing required argument 'files'"],
    [['verify', '--tme', 'x'], "unknown option '--tme'"],
    [['verify', '/does/not/exist'], 'cannot be read: ENOENT'],
    [['run', 'nothing-of-the-kind'], "there is no scenario 'nothing-of-the-kind'"],
    [['run', 'x', '--driver', 'linux-9'], '--driver is one of linux-3.18'],
    [['run', 'x', '--seed', 'seven'], "--seed takes a whole number from 0 to 4294967295, not 'seven'"],
  ])('gemdma %j', (args, message) => {
    const { code, err } = gemdma(...args);
    expect(err).toContain(message);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(code).toBe(2);
  });
});

describe('files that are no recordings are told apart', () => {
  test.each([
    ['empty', '', 'empty'],
    ['no header', 'hello\n', 'no header'],
    ['a kind of the future', '# linux-nvlink 1\n', 'linux-nvlink is not a kind that can be replayed'],
    ['a version of the future', '# linux-iova 2\n', 'version 2 of linux-iova is not known'],
    ['damaged gzip', gzipSync('# linux-iova 1\n').subarray(0, 20), 'damaged gzip'],
    ['json without a kind', '{"a":1}\n', 'no header'],
  ])('%s', (name, content, message) => {
    const { code, err } = gemdma('verify', file(name.replaceAll(' ', '-'), content));
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

test('--version and --help answer on standard output with exit code 0', () => {
  expect(gemdma('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  const { code, out } = gemdma('--help');
  expect(code).toBe(0);
  for (const command of ['run', 'verify']) expect(out).toContain(`  ${command}`);
  expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});
