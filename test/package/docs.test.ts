import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packedProject, root } from './packed.js';

/** What README and guides say is done, in an empty project with the installed package. */

const project = packedProject();
afterAll(() => rmSync(project.folder, { recursive: true }));

const cli = join(project.folder, 'node_modules/.bin/gemdma');
const shipped = join(project.folder, 'node_modules/gemdma');

/** Node 20 and 22 have no `using`; the programs say that `const` is what to write there. */
const forThisNode = (text: string): string => text.replaceAll(/^using /gm, 'const ');

function node(program: string): string {
  const { status, stdout, stderr } = project.run(process.execPath, program);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

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

  /** Files that are the reader's own, and how long a reader has. */
  const elsewhere = /^(trace|driver) /;
  const shorter = (words: string): string =>
    words.replace('--seconds 2', '--seconds 0.1').replace(/--fail-nth$/, '--fail-nth bounce');
  test.each(commands.filter((words) => !elsewhere.test(words)))('gemdma %s', (words) => {
    const args = shorter(words)
      .split(' ')
      .map((word) => word.replace(/^(test|examples)\//, `${shipped}/$1/`));
    const quick = args[0] === 'stress' && !args.includes('--fail-nth') ? ['--ops', '5k'] : [];
    const { status, stdout } = project.run(process.execPath, cli, ...args, ...quick);
    expect(stdout.length).toBeGreaterThan(50);
    expect(status).toBe(words.includes('--driver linux-4.1') && words.startsWith('stress') ? 1 : 0);
  });
});
