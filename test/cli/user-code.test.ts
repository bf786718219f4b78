import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';
import { CTRL_C, gemdma as inTerminal, main } from './terminal.js';

/** Policies and driver tests of the user's that throw, end their process, never end, or leave something running. */

const folder = temporaryFolder();

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function gemdma(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', cwd: folder });
  return { code: status, out: stdout, err: stderr };
}

const GOOD = "name: 'mine', getPages: (o) => o.mapSg(), putPages: (o) => o.unmapSg()";
const BAD: readonly (readonly [string, string, string])[] = [
  ['exit.mjs', 'export default { name: "x", bind() { process.exit(0); } };', 'has ended the process (exit code 0)'],
  ['exit-import.mjs', 'process.exit(0); export default {};', 'has ended the process (exit code 0)'],
  ['abort.mjs', 'process.kill(process.pid, "SIGKILL"); export default {};', 'has ended the process (SIGKILL)'],
  ['never.mjs', 'await new Promise(() => {}); export default {};', 'awaits something that never comes'],
  ['syntax.mjs', 'export default {\n  name: "x", bind( }\n', ', line 2 (Node '],
  [
    'enum.ts',
    'enum A { B }\nexport default { name: "x", bind: () => A.B };\n',
    'enum is not supported in strip-only mode',
  ],
  [
    'async.mjs',
    'export default { name: "x", async bind() {} };',
    'async.mjs: The "policy.bind" argument must be a function',
  ],
  [
    'five.mjs',
    'export default { name: "x", bind: 5 };',
    'five.mjs: The "policy.bind" argument must be of type function',
  ],
  ['typo.mjs', `export default { ${GOOD}, unbid() {} };`, "has 'unbid', which is none of the hooks"],
  [
    'factory.mjs',
    'let n = 0; export default () => { if (n++) throw new Error("boom"); return { name: "x", bind: () => 0 }; };',
    'boom',
  ],
];
const WORK = [
  ['stress', '--ops', '300'],
  ['stress', '--ops', '300', '--seeds', '2'],
  ['stress', '--fail-nth', 'L3'],
  ['bench', '--seconds', '0.05', '--mode', 'object'],
  ['run', 'L3'],
];

describe.each(BAD)('%s', (name, content, message) => {
  // One of the commands of each kind of ending is enough for what is not about the command.
  const commands = name === 'exit.mjs' || name === 'factory.mjs' ? WORK : WORK.slice(0, 1);
  test.each(commands)('gemdma %s %s %s is exit code 2 with one line', (...words) => {
    const { code, out, err } = gemdma(...words, '--policy', file(name, content));
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(err).toContain(message);
  });
});

test('a module in a CommonJS package is told how to be one', () => {
  const project = join(folder, 'commonjs');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "type": "commonjs" }');
  writeFileSync(join(project, 'mine.js'), `export default { ${GOOD} };`);
  const { code, err } = gemdma('stress', '--ops', '10', '--policy', join(project, 'mine.js'));
  expect(code).toBe(2);
  expect(err).toMatch(/mine\.js cannot be imported: Unexpected token 'export'.* unless its name ends in \.mjs\n/);
});

test('what a policy prints goes to standard error, and what it leaves running ends with the command', () => {
  const policy = file('loud.mjs', `console.log('hello'); setInterval(() => {}, 1000); export default { ${GOOD} };`);
  const { code, out, err } = gemdma('stress', '--ops', '300', '--json', '--policy', policy);
  expect([code, err]).toEqual([0, 'hello\n']);
  expect(JSON.parse(out)).toMatchObject({ operations: 300, subject: 'mine', failure: null });
});

test('leak paths run under a policy of the user, which is to lose nothing', () => {
  expect(gemdma('run', 'L3', '--policy', file('good.mjs', `export default { ${GOOD} };`))).toMatchObject({
    code: 0,
    out: expect.stringContaining('nothing lost'),
  });
  const leaky = file(
    'leaky.mjs',
    "export default { name: 'leaky', bind: (o) => o.mapSg(), lastVma: (o) => o.unmapSg() };",
  );
  expect(gemdma('run', 'L3', '--policy', leaky)).toMatchObject({
    code: 1,
    out: expect.stringContaining('mappings lost'),
  });
});

describe('the program of a failure is run as it stands before it is said to fail', () => {
  const LEAKY = 'bind: (o) => o.mapSg(), lastVma: (o) => o.unmapSg()';
  test.each([
    ["a'po strophe.mjs", 'leaky'],
    ['plain.mjs', 'two\nlines \u2028 */ \\'],
  ])('%j', (name, policy) => {
    const path = file(name, `export default () => ({ name: ${JSON.stringify(policy)}, ${LEAKY} });`);
    const { code, out } = gemdma('stress', '--policy', path);
    expect(out).toContain('run: it fails');
    const program = out.slice(out.indexOf('    // finding')).replace(/^ {4}/gm, '');
    expect(spawnSync(process.execPath, ['--check', file('printed.mjs', program)]).status).toBe(0);
    expect(code).toBe(1);
  });

  test('a program that fails in another way is not', () => {
    const policy = `if (process.send === undefined || !process.argv.includes('stress')) throw new Error('not here');
      export default { name: 'x', ${LEAKY} };`;
    expect(gemdma('stress', '--policy', file('elsewhere.mjs', policy)).out).toContain(
      'NOT failing when run (not here)',
    );
  });
});

describe('a policy that loops for ever ends', () => {
  const spin = file('spin.mjs', 'export default { name: "x", bind() { for (;;); } };');
  const spinImport = file('spin-import.mjs', 'for (;;); export default {};');
  test.each([spin, spinImport])('at Ctrl-C (%#)', async (path) => {
    const terminal = inTerminal(`stress --policy ${path}`);
    await new Promise((wait) => setTimeout(wait, 1500));
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(terminal.screen).toContain('gemdma: interrupted');
  });

  test('at SIGTERM, by that signal', async () => {
    const terminal = inTerminal(`stress --policy ${spin}`);
    await new Promise((wait) => setTimeout(wait, 1500));
    await terminal.kill('SIGTERM');
    expect(await terminal.ended).toBe(128 + 15);
  });
});

test('a policy that works shows what it has at Ctrl-C', async () => {
  const policy = file('works.mjs', `export default { ${GOOD} };`);
  const terminal = inTerminal(`stress --ops 1000M --time 1000 --policy ${policy}`);
  await terminal.shows(/ops/);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  expect(terminal.screen).toMatch(/operations in [\d.]+ s.*interrupted/);
});

test('trace of standard input that does not come ends at Ctrl-C', async () => {
  const terminal = inTerminal('trace -');
  await new Promise((wait) => setTimeout(wait, 1500));
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
});

describe('a test of a driver', () => {
  const module = join(folder, 'ring.wasm');
  const nic = resolve('examples/drivers/nic/ring_nic');
  let built = false;
  beforeAll(() => {
    built = gemdma('driver', 'build', `${nic}.c`, '-o', module, '--cache', join(folder, 'cache')).code === 0;
  }, 120_000);
  const variant = (name: string, run: string): string =>
    file(name, `import test from '${nic}.test.mjs';\nexport default { ...test, ${run} };\n`);
  const tests = [
    ['async.mjs', 'async run() { throw new Error("x"); }', 'neither async nor a generator'],
    ['promise.mjs', 'run: () => Promise.reject(new Error("x"))', 'must return at once, not a promise'],
    ['exits.mjs', 'run() { process.exit(0); }', 'has ended its process (exit code 0)'],
  ] as const;
  test.for(
    tests.flatMap((item) => (['run', 'fail-nth', 'stress'] as const).map((command) => [command, ...item] as const)),
  )('driver %s with %s is exit code 2', ([command, name, run, message], { skip }) => {
    skip(!built, 'no compiler');
    const { code, out, err } = gemdma('driver', command, module, '--test', variant(name, run));
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(err).toContain(message);
  });

  test.for([
    [['--nth', '99999999'], 'and none of them failed'],
    [['--machine', '[]'], '--machine takes an object'],
    [['--machine', 'null'], '--machine takes an object'],
    [['--machine', '{"ram":0}'], '"ram" is out of range'],
  ] as const)('driver run %j is exit code 2', ([words, message], { skip }) => {
    skip(!built, 'no compiler');
    const { code, err } = gemdma('driver', 'run', module, '--test', `${nic}.test.mjs`, ...words);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});
