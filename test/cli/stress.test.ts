import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';

const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));
const folder = temporaryFolder();

function stress(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'stress', ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

test('a clean run says so and exits 0', () => {
  const { code, out, err } = stress('--ops', '3k', '--seed', '2', '--profile', 'lazy');
  expect(out).toContain('3,000 operations');
  expect(out).toContain('nothing found');
  expect([code, err]).toEqual([0, '']);
});

test('a failure prints seed, step, the command that repeats it and the program, and exits 1', () => {
  const { code, out } = stress('--policy', 'i915-4.1', '--seed', '9');
  expect(code).toBe(1);
  expect(out).toMatch(/finding DOUBLE_MAP at step \d+/);
  expect(out).toContain("import { Machine } from 'gemdma';");
  const again = /again: gemdma stress (.*)/.exec(out)![1].split(' ');
  expect(stress(...again).out).toMatch(/finding DOUBLE_MAP at step \d+/);
});

test('the command that repeats a run has every option of it', () => {
  const { out } = stress(
    ...['--policy', 'i915-4.1', '--profile', 'lazy', '--dma-debug', 'off', '--allocator', 'fast', '--ram', '48MiB'],
    ...['--weight', 'bind=30,exec=0', '--weight', 'create=20', '--sizes', '1:3,16,40:0.5', '--objects', '40'],
    ...['--contexts', '2', '--check-every', '100', '--faults', '0.01', '--shrink', '0', '--json'],
  );
  const { failure, replay, timing: _, ...run } = JSON.parse(out);
  expect(failure).not.toBeNull();
  expect(run.config.machine).toMatchObject({ ram: 48 * 1024 ** 2, iommu: { mode: 'lazy', allocator: 'fast' } });
  const [, ...words] = replay.slice('gemdma '.length).replaceAll("'", '').split(' ');
  const { timing, replay: __, failure: same, ...again } = JSON.parse(stress(...words, '--shrink', '0', '--json').out);
  expect([again, same]).toEqual([run, failure]);
  expect(timing.seconds).toBeGreaterThan(0);
});

test('a profile can come from a file', () => {
  const file = join(folder, 'mine.json');
  const profile = { title: 'mine', weights: { create: 1, close: 1 }, machine: {}, gpus: [{}], devices: [] };
  writeFileSync(
    file,
    JSON.stringify({ ...profile, limits: { objects: 3, contexts: 0, mappings: 0 }, pages: [[1, 1]] }),
  );
  const { code, out } = stress('--profile', file, '--ops', '500', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out).done).toMatchObject({ create: expect.any(Number), bind: 0 });
  writeFileSync(file, JSON.stringify(profile));
  expect(stress('--profile', file)).toMatchObject({ code: 2, err: expect.stringContaining('profile.limits') });
});

test('a trace is written, and replays', () => {
  const trace = join(folder, 'run.jsonl.gz');
  expect(stress('--policy', 'i915-4.1', '--seed', '3', '--trace', trace).code).toBe(1);
  expect(readFileSync(join(folder, 'run.jsonl.mjs'), 'utf8')).toContain('new Machine(');
  expect(stress('--replay', trace, '--events').out).toMatch(
    /createObject[\s\S]*i915_gem_object_create[\s\S]*dma_map_sg/,
  );
  const { code, out } = stress('--replay', trace);
  expect(out).toContain('DOUBLE_MAP');
  expect(code).toBe(1);
});

test('shards give a line a seed, and the merge sums them', () => {
  const parts = [1, 2].map((index) => {
    const { code, out } = stress('--seeds', '4', '--shard', `${index}/2`, '--ops', '1k');
    expect(code).toBe(0);
    const file = join(folder, `part-${index}.jsonl`);
    writeFileSync(file, out);
    return file;
  });
  const { code, out } = stress('--merge', ...parts, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ runs: 4, operations: 4000, failures: [], differing: [] });
  // A job that was killed in the middle of a line, and one that got nowhere.
  const [cut, nothing] = [join(folder, 'cut.jsonl'), join(folder, 'nothing.jsonl')];
  writeFileSync(cut, readFileSync(parts[1], 'utf8').slice(0, -100));
  writeFileSync(nothing, '');
  const rest = stress('--merge', parts[0], cut, nothing, '--json');
  expect(JSON.parse(rest.out)).toMatchObject({ runs: 3, operations: 3000 });
  expect(rest.err).toBe(`gemdma: ${cut}:2: cut off, left out\ngemdma: ${nothing}: no results\n`);
});

test('results as JSON', () => {
  const { out } = stress('--ops', '2k', '--json');
  expect(JSON.parse(out)).toMatchObject({ profile: 'churn', seed: 1, operations: 2000, failure: null });
  expect(JSON.parse(stress('--list', '--json').out)).toContainEqual(expect.objectContaining({ name: 'userptr' }));
});

test('fail-nth tells how many points it tried', () => {
  const { code, out } = stress('--fail-nth', 'bounce');
  expect(out).toMatch(/\d+ allocations failed, each once; nothing lost/);
  expect(code).toBe(0);
});

describe('wrong use exits 2 with one line', () => {
  test.each([
    [['--profile', 'churm'], '--profile is one of churn'],
    [['--ops', 'many'], '--ops takes a whole number'],
    [['--seeds', '9', '--shard', '9/3'], "such as '3/8'"],
    [['--fail-nth', 'nope'], '--fail-nth is one of object'],
    [['--merge', '/does/not/exist'], 'cannot be read'],
    [['--replay', main], 'not JSON'],
    [['--weight', 'bnd=3'], "there is no operation 'bnd'"],
    [['--sizes', '0'], '--sizes takes a whole number'],
    [['--machine', '{'], '--machine: '],
    [['--machine', '{"rams":1}'], 'rams'],
    [['--ram', '1KiB'], 'ram'],
    [['--ram', '4MiB'], 'ENOMEM'],
    [['--faults', '2'], '--faults takes a number from 0 to 1'],
  ])('%j', (args, message) => {
    const { code, err } = stress(...args);
    expect(err).toContain(message);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(code).toBe(2);
  });
});
