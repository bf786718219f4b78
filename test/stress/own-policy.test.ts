import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type MappingPolicy, POLICIES, type StressResult, stress } from 'gemdma';
import { describe, expect, test } from 'vitest';
import { countingPolicy } from '../../examples/counting-policy.js';
import { temporaryFolder } from '../folder.js';

const folder = temporaryFolder();

const library = new URL('../../dist/bundle/index.js', import.meta.url).href;
const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text.replace("'gemdma'", `'${library}'`));
  return path;
}

const MINE = "import { POLICIES } from 'gemdma';\nexport default { ...POLICIES['i915-4.1'], name: 'mine' };\n";
const COUNTING = `export const counting = () => {
  let bound = 0;
  return {
    name: 'one count for all objects',
    bind(object) { return bound++ === 0 || object.maps === object.unmaps ? object.mapSg() : 0; },
    unbind(object) { --bound; },
    lastVma(object) { object.unmapSg(); },
    putPages() { if (bound < 0) throw new Error('counted below 0'); },
  };
};
`;

function gemdma(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', cwd: folder });
  return { code: status, out: stdout, err: stderr };
}

describe('a policy of your own', () => {
  test('given as a value: the program says where its import goes, and was run', async () => {
    const policy: MappingPolicy = { ...POLICIES['i915-4.1'], name: 'mine' };
    const { failure, reproducer, subject, replay } = await stress({ policy, operations: 50_000 });
    expect(subject).toBe('mine');
    expect(failure).toMatchObject({ kind: 'finding', id: 'DOUBLE_MAP' });
    expect(reproducer).toMatchObject({ confirmed: true, minimal: true });
    expect(reproducer!.operations.map(({ op }) => op)).toEqual(['create', 'bind', 'bindView']);
    expect(reproducer!.program).toContain("import { policy } from './policy.js';");
    expect(reproducer!.program).toMatch(/addI915\(.*policy/);
    expect(replay).toBe(`stress({ ...options, seed: 1, operations: ${failure!.step} })`);
  });

  test('with faults: what is printed has every name that it uses', async () => {
    const result = await stress({ policy: countingPolicy, faults: 0.02, operations: 100_000, shrink: 20 });
    expect(result.failure).not.toBeNull();
    // A busy machine may have no time to find the few operations that matter.
    expect(result.reproducer!.confirmed || !result.reproducer!.minimal).toBe(true);
    const { program } = result.reproducer!;
    for (const [, name] of program.matchAll(/\b((?:bo|ctx|map|vma)\d+)\b/g))
      expect(program).toMatch(new RegExp(`(?:const|let) \\[?${name}\\b`));
  });

  test('given as a function: no run sees the state of another', async () => {
    let made = 0;
    const policy = (): MappingPolicy => {
      let calls = 0;
      ++made;
      return { ...POLICIES['i915-4.2'], name: 'counts', bind: () => (++calls > 1000 ? -12 : 0) };
    };
    const run = (): Promise<StressResult> => stress({ policy, operations: 20_000 });
    const [one, other] = [await run(), await run()];
    expect(made).toBeGreaterThan(1);
    expect(one.refused.ENOMEM).toBeGreaterThan(0);
    expect({ ...one, timing: 0 }).toEqual({ ...other, timing: 0 });
  });

  test('a function that makes none is a TypeError before anything runs', async () => {
    await expect(stress({ policy: () => ({}) as MappingPolicy })).rejects.toThrow(TypeError);
  });
});

describe('gemdma stress --policy', () => {
  test.each([
    ['a default export', file('mine.mjs', MINE), 'mine'],
    ['a named export that makes one', `${file('counting.mjs', COUNTING)}#counting`, 'one count for all objects'],
    ['TypeScript', file('typed.ts', `${MINE}export type Unused = 1;\n`), 'mine'],
  ])('%s: the program imports it and fails by itself', (_, source, name) => {
    const trace = join(folder, `${name}.jsonl`);
    const { code, out, err } = gemdma('stress', '--policy', source, '--trace', trace);
    expect([code, err]).toEqual([1, '']);
    expect(out).toContain(`under ${name}`);
    expect(out).toMatch(/cut down to \d+ operations/);
    expect(out).toContain(`--policy ${pathToFileURL(source.replace(/#.*/, '')).href}`);
    expect(out).toContain(pathToFileURL(source.replace(/#.*/, '')).href);
    const words = /again: gemdma (.*)/.exec(out)![1].split(' ');
    expect(gemdma(...words, '--shrink', '0').code).toBe(1);
  });

  test.each([
    ['nowhere.mjs', "'nowhere.mjs' is no file and none of the presets i915-3.18"],
    [file('none.mjs', 'export const a = 1;\n'), 'has no default export; there is'],
    [`${file('none.mjs', 'export const a = 1;\n')}#a`, 'a MappingPolicy with a name'],
    [file('broken.mjs', 'export default {'), 'cannot be imported'],
  ])('wrong use: %s', (source, message) => {
    const { code, err } = gemdma('stress', '--policy', source);
    expect(err).toContain(message);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(code).toBe(2);
  });
});

test('the printed program is a module that fails when it is run', () => {
  const trace = join(folder, 'run.jsonl');
  gemdma('stress', '--policy', file('mine.mjs', MINE), '--trace', trace);
  const program = join(folder, 'run.jsonl.mjs');
  const text = spawnSync('cat', [program], { encoding: 'utf8' }).stdout;
  const run = spawnSync(process.execPath, [file('copy.mjs', text)], { encoding: 'utf8' });
  expect(run.stderr).toContain('DOUBLE_MAP');
  expect(run.status).toBe(1);
});
