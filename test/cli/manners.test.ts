import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';
import { gemdma as inTerminal, main } from './terminal.js';

const folder = temporaryFolder();

function gemdma(args: string[], env: Record<string, string> = {}): { code: number | null; out: string; err: string } {
  const { CI: _, NO_COLOR: __, FORCE_COLOR: ___, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { ...rest, ...env },
    maxBuffer: 2 ** 26,
  });
  return { code: status, out: stdout, err: stderr };
}

describe('outputs', () => {
  test('a target that cannot be written is refused before any work', () => {
    const started = performance.now();
    const { code, out, err } = gemdma(['stress', '--ops', '1000M', '--time', '1000', '--trace', '/nonexistent/x.json']);
    expect([code, out]).toEqual([2, '']);
    expect(err).toBe('gemdma: --trace: /nonexistent/x.json cannot be written: ENOENT\n');
    expect(performance.now() - started).toBeLessThan(60_000);
  });

  test('nothing is written that nobody asked for, and no empty file stays behind', () => {
    expect(gemdma(['bench', '--seconds', '0.02', '--sweep', 'live=10,20']).code).toBe(0);
    expect(gemdma(['stress', '--ops', '500', '--trace', 'run.jsonl']).code).toBe(0);
    expect(['gemdma-live.csv', 'run.jsonl', 'run.jsonl.mjs'].filter((name) => existsSync(join(folder, name)))).toEqual(
      [],
    );
  });

  test('standard output that is full is a file error', () => {
    const { status, stderr } = spawnSync('sh', ['-c', `'${process.execPath}' '${main}' run --list > /dev/full`], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, 'gemdma: standard output: ENOSPC\n']);
  });
});

describe('input of every wrong kind is exit code 2 with the reason in one line', () => {
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return name;
  };
  const profile = {
    title: 'x',
    machine: {},
    gpus: [{}],
    devices: [],
    limits: { objects: 1, contexts: 0, mappings: 0 },
  };
  test.each([
    [['stress', '--replay', file('r.json', '{}\n')], 'r.json:1: not the trace of a stress run'],
    [['stress', '--profile', file('null.json', 'null')], 'not a profile'],
    [
      [
        'stress',
        '--profile',
        file('neg.json', JSON.stringify({ ...profile, pages: [[1, 1]], weights: { create: -1 } })),
      ],
      'profile.weights.create',
    ],
    [
      [
        'stress',
        '--profile',
        file('stuck.json', JSON.stringify({ ...profile, pages: [[1, 1]], weights: { close: 1 } })),
      ],
      'some operation can be done',
    ],
    [['stress', '--machine', '{"iommu":{"reserved":[5]}}'], 'iommu.reserved'],
    [['stress', '--machine', '[]'], 'must be'],
    [['stress', '--ram', '0'], 'ram'],
    [['verify', file('bomb.gz', gzipSync(Buffer.alloc(300 * 2 ** 20)))], 'more than 256 MiB of text'],
    // Every byte a line: less text than the limit, and more lines than memory has room for.
    [['verify', file('lines.gz', gzipSync(Buffer.alloc(200 * 2 ** 20, '\n')))], 'more than 16 Mi lines'],
    [['stress', '--merge', file('lines.gz', gzipSync(Buffer.alloc(200 * 2 ** 20, '\n')))], 'more than 16 Mi lines'],
    [['driver', 'symbols', file('no.wasm', '{}')], 'is no WebAssembly module'],
    [
      ['driver', 'run', file('no.wasm', '{}'), '--test', resolve('examples/drivers/nic/ring_nic.test.mjs')],
      'is no WebAssembly module',
    ],
    [['verify', file('short', '# linux-sg_table 1 steps=3\n{"op":"begin"}\n')], '1 lines of 3'],
    [['stress', '--replay', file('esc', '\u001b[2J\u0007')], 'esc:1: not JSON'],
    [['driver', 'build', file('no.json', '{}')], 'no.json is no C file'],
    [
      ['stress', '--policy', file('throws.mjs', "export default () => { throw new Error('boom'); }")],
      'throws.mjs: Error: boom',
    ],
    [
      ['stress', '--policy', file('hookless.mjs', "export default { name: 'typo', getPage() {} }")],
      "'typo' has 'getPage', which is none of the hooks",
    ],
    [
      [
        ...['bench', '--seconds', '0.05', '--mode', 'object', '--policy'],
        file('hook.mjs', "export default { name: 'x', getPages() { throw new Error('boom'); } }"),
      ],
      'hook.mjs has thrown Error: boom',
    ],
    [['stress', '--trace', 'x', '--merge', 'y'], 'cannot be used with'],
    [['stress', '--threads', '2', '--policy', 'i915-4.1'], 'cannot be used with'],
    [['stress', '--fail-nth', 'bounce', '--faults', '0.5'], 'cannot be used with'],
    [['stress', '--replay', 'x', '--seed', '2'], 'cannot be used with'],
    [['bench', '--compare', 'a', 'b', '--live', '10'], 'cannot be used with'],
    [['help', 'bogus'], "unknown command 'bogus'"],
    [['stress', '--list', '--ops', '3'], 'cannot be used with'],
    [['bench', '--policy', 'i915-4.1'], '--policy goes with --mode object'],
    [['bench', '--backend', 'direct', '--allocator', 'fast'], '--allocator goes with --backend strict or lazy'],
    [['bench', '--sweep', 'live=1k', '--live', '5'], '--live cannot be used with --sweep'],
    [['stress', '--events', '--ops', '10'], '--events goes with --replay'],
    [['stress', '--shard', '1/2'], '--shard goes with --seeds'],
    [['stress', '--seeds', '2', '--shard', '3/3'], 'has none of 2 seeds'],
  ])('%j', (args, message) => {
    const { code, err } = gemdma(args);
    expect(err).toContain(message);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(code).toBe(2);
  });
});

describe('what was not run is not green', () => {
  const shard = (index: number): string => {
    const name = `part-${index}.jsonl`;
    writeFileSync(join(folder, name), gemdma(['stress', '--seeds', '4', '--shard', `${index}/4`, '--ops', '500']).out);
    return name;
  };
  test('a campaign with all shards is; one without some says which', () => {
    const parts = [1, 2, 3, 4].map(shard);
    expect(gemdma(['stress', '--merge', ...parts])).toMatchObject({
      code: 0,
      out: expect.stringContaining('nothing found'),
    });
    const { code, out } = gemdma(['stress', '--merge', parts[0], parts[2]]);
    expect(code).toBe(1);
    expect(out).toContain('2 of 4 seeds have no result, of shard 2/4, 4/4');
  });

  test('a seed without an operation', () => {
    const [first, second] = [1, 2].map((index) => JSON.parse(readFileSync(join(folder, shard(index)), 'utf8')));
    const idle = { ...second, operations: 0, checks: 0, done: {}, refused: {} };
    for (const results of [[idle], [first, idle].map(({ campaign: _, ...result }) => result)]) {
      writeFileSync(join(folder, 'idle.jsonl'), results.map((result) => JSON.stringify(result)).join('\n'));
      const { code, out } = gemdma(['stress', '--merge', 'idle.jsonl']);
      expect([code, out]).toEqual([1, expect.stringContaining('incomplete')]);
      expect(out).not.toContain('nothing found');
      if (results.length === 2) expect(out).toContain(`no operation was done with seeds ${idle.seed}`);
    }
  });

  test('no result at all', () => {
    writeFileSync(join(folder, 'empty.jsonl'), '');
    expect(gemdma(['stress', '--merge', 'empty.jsonl'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('incomplete'),
    });
  });
});

describe('colours', () => {
  const coloured = (env: Record<string, string>): boolean => gemdma(['run', '--list'], env).out.includes('\u001b[');
  test('none in a pipe, unless they are asked for, and never against NO_COLOR', () => {
    const asked: Record<string, string>[] = [{ FORCE_COLOR: '1' }, { FORCE_COLOR: '3' }];
    const not: Record<string, string>[] = [{}, { FORCE_COLOR: '0' }, { CI: '1' }, { FORCE_COLOR: '1', NO_COLOR: '1' }];
    expect(asked.map((env) => coloured(env))).toEqual(asked.map(() => true));
    expect(not.map((env) => coloured(env))).toEqual(not.map(() => false));
    expect(gemdma(['run', '--list', '--no-color'], { FORCE_COLOR: '1' }).out).not.toContain('\u001b[');
  });

  test('on a terminal, unless it is a dumb one', async () => {
    const [smart, dumb] = ['xterm', 'dumb'].map((TERM) => inTerminal('run --list', { env: { TERM } }));
    await Promise.all([smart.ended, dumb.ended]);
    expect(smart.screen).toContain('\u001b[1m');
    expect(dumb.screen).not.toContain('\u001b[1m');
  });
});

describe('on a terminal of 40 columns every line fits', () => {
  test.each([
    ['--help', 'mapping policies'],
    ['run --help', '--trace-out'],
    ['bench --help', '--fragmentation'],
    ['stress --help', '--merge'],
    ['verify --help', '--allow-uncounted'],
    ['trace --help', '--what-if'],
    ['driver build --help', '--kernel'],
    ['driver fail-nth --help', '--test'],
    ['stress --list', 'churn'],
    ['run --list', 'unmap-wrong-size'],
    ['run L1 --policy i915-4.1 --dmesg', 'DOUBLE_MAP'],
    ['stress --ops 500 --quiet', ''],
    ['bench --seconds 0.02 --sweep live=10,20', 'mappings/s'],
    ['verify test/golden/iova/c_full.txt.gz', '21,762 steps'],
    ['trace test/golden/trace/net.txt.gz', 'live'],
  ])('gemdma %s', async (command, shown) => {
    const terminal = inTerminal(command, { columns: 40, env: { NO_COLOR: '1' } });
    expect(await terminal.ended).toBe(0);
    // The progress bar is cut by the terminal; what it was overwrites itself.
    const lines = terminal.screen.split(/\r?\n/).slice(1).map(withoutBar);
    expect(lines.join(' ')).toContain(shown);
    expect(lines.filter((line) => line.length > 40)).toEqual([]);
  });
});

/** What stays of a line: what follows the last return of the cursor to its begin. */
function withoutBar(line: string): string {
  return stripVTControlCharacters(line.split('\u001b[1G').at(-1)!);
}

describe('completion', () => {
  test.each([
    ['gemdma ', 1, 'stress'],
    ['gemdma stress --pol', 2, '--policy'],
    ['gemdma stress --policy i915-4', 3, 'i915-4.1'],
    ['gemdma driver ', 2, 'fail-nth'],
    ['gemdma driver build --ker', 3, '--kernel'],
    ['gemdma run ', 2, '--list'],
    ['gemdma run L', 2, 'L3'],
    ['gemdma stress --fail-nth L', 3, 'L7'],
    ['gemdma stress --policy = i915-4', 4, 'i915-4.1'],
    ['gemdma stress --policy =', 3, 'i915-4.1'],
    ['gemdma help ', 2, 'verify'],
  ])('bash completes %j', (line, word, wanted) => {
    const words = line.split(' ').map((text) => `'${text}'`);
    const script = `${gemdma(['completion', 'bash']).out}\nCOMP_WORDS=(${words.join(' ')}); COMP_CWORD=${word}; _gemdma; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: folder });
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toContain(wanted);
  });

  const installed = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 7']).status === 7;
  // The line as typed, and what the shell then offers or writes.
  const lines = [
    ['gemdma str', 'stress'],
    ['gemdma stress --pol', '--policy'],
    ['gemdma stress --policy i915-4', 'i915-4.2'],
    ['gemdma stress --policy=i915-4', 'i915-4.2'],
    ['gemdma driver f', 'fail-nth'],
    ['gemdma driver build --ker', '--kernel'],
    ['gemdma run L', 'L3'],
    ['gemdma stress --fail-nth L', 'L7'],
    ['gemdma stress --iommu l', 'lazy'],
    ['gemdma help ver', 'verify'],
    ['gemdma verify recording-o', 'recording-of-mine'],
  ] as const;

  describe.skipIf(!installed('fish'))('fish', () => {
    test.each(lines)('completes %j', (line, wanted) => {
      writeFileSync(join(folder, 'recording-of-mine'), '');
      const script = `source (${process.execPath} ${main} completion fish | psub); complete -C '${line}'`;
      const { stdout, stderr } = spawnSync('fish', ['-N', '-c', script], { encoding: 'utf8', cwd: folder });
      expect(stderr).toBe('');
      const offered = stdout.split('\n').map((each) => each.split('\t')[0].replace(/^--\w+=/, ''));
      expect(offered).toContain(wanted);
    });
  });

  describe.skipIf(!installed('zsh'))('zsh, in a terminal', () => {
    test.each(lines)(
      'completes %j',
      (line, wanted) => {
        writeFileSync(join(folder, 'recording-of-mine'), '');
        writeFileSync(join(folder, 'completion.zsh'), gemdma(['completion', 'zsh']).out);
        // Each read waits for what it names.
        const script = `zmodload zsh/zpty
        zpty shell 'TERM=dumb zsh -f -i'
        zpty -w shell 'autoload -Uz compinit; compinit -u -D; source ./completion.zsh; LISTMAX=1000; print READ""Y'
        zpty -r shell out '*READY*'
        zpty -w -n shell ${JSON.stringify(line)}$'\\t\\t'
        zpty -r shell out '*${wanted}*' && print FOUND
        zpty -d shell`;
        const { stdout } = spawnSync('zsh', ['-f', '-c', script], { encoding: 'utf8', cwd: folder, timeout: 60_000 });
        expect(stdout).toContain('FOUND');
      },
      90_000,
    );
  });
});
