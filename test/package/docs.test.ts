import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { undocumented } from '../../scripts/undocumented.mjs';
import { packedProject, root } from './packed.js';

/** What README and guides say is done, in an empty project with the installed package. */

const project = packedProject();

const cli = join(project.folder, 'node_modules/.bin/gemdma');
const shipped = join(project.folder, 'node_modules/gemdma');

/** Node 20 and 22 have no `using`; the programs say that `const` is what to write there. */
const forThisNode = (text: string): string => text.replaceAll(/^using /gm, 'const ');

function node(program: string): string {
  const { status, stdout, stderr } = project.run(process.execPath, program);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

test('files of the repository that a document names are there', () => {
  const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  const named = documents.flatMap((document) =>
    [
      ...readFileSync(join(root, document), 'utf8').matchAll(
        /`((?:assembly|bench|docs|examples|scripts|src|test)\/[\w./-]+)`/g,
      ),
    ].map(([, path]) => ({ document, path })),
  );
  expect(named.length).toBeGreaterThan(50);
  const generated = /^src\/core\/generated\b/;
  expect(named.filter(({ path }) => !generated.test(path) && !existsSync(join(root, path)))).toEqual([]);
});

test('every public member has a docstring', () => {
  expect(undocumented()).toEqual([]);
});

test('the tutorial: a policy that leaks is found out, repaired, and passes', () => {
  const text = readFileSync(join(root, 'docs/guides/tutorial.md'), 'utf8');
  const blocks = [...text.matchAll(/<!-- (file|run): (\S+) -->\n```js\n([\s\S]*?)```/g)];
  const printed = [...text.matchAll(/It prints `([^`]*)`/g)].map(([, words]) => words);
  const outputs: string[] = [];
  const stress = (...args: string[]) => project.run(process.execPath, cli, 'stress', '--policy', 'policy.mjs', ...args);
  blocks.forEach(([, kind, name, code], i) => {
    const file = project.write(name, forThisNode(code));
    if (kind === 'run') outputs.push(node(file).trim());
    if (i !== 0) return;
    const found = stress();
    expect(found.stdout).toMatch(/DOUBLE_MAP[\s\S]*cut down to \d+ operations[^\n]*minimal, run: it fails/);
    expect(found.status).toBe(1);
  });
  expect(outputs).toEqual(printed);
  expect(stress('--ops', '20k')).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing found') });
  expect(stress('--fail-nth', 'bounce')).toMatchObject({ status: 0 });
});

describe('the programs of the guides run', () => {
  test.each(['benchmark', 'own-policy', 'embed'])('%s', (guide) => {
    const text = readFileSync(join(root, `docs/guides/${guide}.md`), 'utf8');
    const [, name, code] = /<!-- run: (\S+) -->\n```js\n([\s\S]*?)```/.exec(text)!;
    expect(node(project.write(name, code)).trim().split('\n').length).toBeGreaterThan(1);
  });
});

describe("README's commands do what they say, from the installed package", () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const commands = [...readme.matchAll(/^ {4}npx gemdma (.*?)(?: {2,}.*)?$/gm)].map(([, words]) => words);

  test('there are some', () => expect(commands.length).toBeGreaterThan(8));

  /** Files that are the reader's own: a trace, and a driver with its test. */
  const copy = (from: string, to: string): void => copyFileSync(join(root, from), join(project.folder, to));
  writeFileSync(join(project.folder, 'trace.dat'), gunzipSync(readFileSync('test/golden/trace/trace-cmd.dat.gz')));
  copy('examples/drivers/nic/ring_nic.c', 'nic.c');
  copy('examples/drivers/nic/ring_nic.test.mjs', 'nic.mjs');
  const { status: built } = project.run(process.execPath, cli, 'driver', 'build', 'nic.c', '--cache', 'cache');

  /** What the README shows of the main job, but for rates, which are the machine's. */
  const [, shown] = /<!-- output: gemdma run -->\n```\n([\s\S]*?)```/.exec(readme)!;
  const beforeRates = (text: string): string => text.slice(0, text.indexOf('Throughput'));

  /** How long a reader has. */
  const shorter = (words: string): string =>
    words.replace('--seconds 2', '--seconds 0.1').replace(/--fail-nth$/, '--fail-nth bounce');
  const leaks = (words: string): boolean => words.startsWith('stress --policy i915-4.1');
  const runnable = commands.filter((words) => built === 0 || !words.startsWith('driver'));
  test.each(runnable)('gemdma %s', (words) => {
    const args = shorter(words)
      .split(' ')
      .map((word) => word.replace(/^(test|examples)\//, `${shipped}/$1/`));
    const quick = args[0] === 'stress' && !args.includes('--fail-nth') ? ['--ops', '5k'] : [];
    const { status, stdout } = project.run(process.execPath, cli, ...args, ...quick);
    expect(stdout.length).toBeGreaterThan(50);
    expect(status).toBe(leaks(words) ? 1 : 0);
    if (words === 'run') expect(beforeRates(stdout)).toBe(beforeRates(shown));
  });
});

describe('the example of a policy with its test', () => {
  symlinkSync(join(root, 'node_modules/vitest'), join(project.folder, 'node_modules/vitest'));
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const example = (policy: string) => {
    project.write('policy.mjs', policy);
    copyFileSync(join(shipped, 'examples/policy.test.mjs'), join(project.folder, 'policy.test.mjs'));
    return project.run(process.execPath, vitest, 'run', '--root', project.folder, '--testTimeout=60000', 'policy.test');
  };
  const policy = readFileSync(join(shipped, 'examples/policy.mjs'), 'utf8');

  test('passes', () => {
    const { status, stdout } = example(policy);
    expect(stdout).toMatch(/2 passed/);
    expect(status).toBe(0);
  });

  test('fails on a policy that leaks, with the lines that show it', () => {
    const { status, stdout, stderr } = example(
      policy.replace('putPages: (object) => object.unmapSg()', 'putPages: () => {}'),
    );
    expect(`${stdout}${stderr}`).toMatch(/gemdma stress --seed[\s\S]*import \{ Machine[\s\S]*createObject/);
    expect(status).toBe(1);
  });
});
