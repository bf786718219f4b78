import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';

const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));
const folder = temporaryFolder();

function gemdma(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
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
    [['run', 'L1', '--policy', 'i915-9'], 'none of the presets i915-3.18'],
    [['run', 'L1', '--driver', 'linux-4.1'], "unknown option '--driver': --policy is its name now"],
    [['run', 'leak', '--events'], 'leak cannot be shown step by step'],
    [['run', '--events'], '--events goes with the name of a scenario'],
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

describe('gemdma run', () => {
  test('without a name it does the main job, in 80 columns and without colours when not on a terminal', () => {
    const { code, out } = gemdma('run');
    expect(code).toBe(0);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(out).not.toContain('\u001b');
    expect(out).toMatch(/leaked mappings +10,\d+ +0\n/);
    expect(out).toContain('21,762 of 21,762 steps match');
    expect(out).toContain('Everything came out as the kernel has it.');
  });

  test('leak --json gives an object a policy, and the one asked for with --policy', () => {
    const both = JSON.parse(gemdma('run', 'leak', '--json').out);
    expect(both.map(({ policy }: { policy: string }) => policy)).toEqual(['i915-4.1', 'i915-4.2']);
    const one = JSON.parse(gemdma('run', 'leak', '--json', '--policy', 'i915-4.2').out);
    expect(one).toEqual(both[1]);
    expect(one).toMatchObject({ live: 0, leakedMappings: 0, leakedIovaBytes: 0 });
    expect(one.maps).toBe(one.unmaps);
  });

  test('--list shows every scenario with its title', () => {
    const { code, out } = gemdma('run', '--list');
    expect(code).toBe(0);
    for (const name of ['leak', 'L1', 'L7']) expect(out).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'));
  });
});

test('a leak path step by step: the second mapping, the finding, and what is unmapped in the end', () => {
  const { code, out } = gemdma('run', 'L1', '--policy', 'i915-4.1', '--events');
  expect(code).toBe(0);
  const [first, second] = [...out.matchAll(/dma_map_sg: address=(0x\w+)/g)].map(([, address]) => address);
  expect(second).not.toBe(first);
  expect(out).toContain('dma_debug: check=DOUBLE_MAP');
  expect(out).toMatch(new RegExp(`vma\\(ctx1.vm\\)\\?.unbind[\\s\\S]*dma_unmap_sg: address=${second}`));
  expect(out).not.toContain(`dma_unmap_sg: address=${first}`);
  expect(out).toMatch(/and more: .*dma_map_page [\d,]+/);
  const { steps } = JSON.parse(gemdma('run', 'L1', '--policy', 'i915-4.1', '--events', '--json').out);
  expect(steps.at(1)).toEqual({
    program: ['const bo2 = gpu0.createObject(1048576);'],
    events: [expect.objectContaining({ kind: 'i915_gem_object_create', length: 1048576, object: 'object 1' })],
  });
});
