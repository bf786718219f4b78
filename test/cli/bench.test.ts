import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../folder.js';

const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));
const folder = temporaryFolder();

function bench(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'bench', ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

describe('gemdma bench', () => {
  test('prints latencies and rates within 80 columns', () => {
    const { code, out } = bench('--seconds', '0.05', '--granule', '2', '--mode', 'sg');
    expect(code).toBe(0);
    expect(out).toMatch(/mappings\/s.*pages\/s/);
    expect(out).toMatch(/^ +map +\d/m);
    const lines = out.split('\n').filter((line) => !line.startsWith('untrusted'));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('two saved results compare', () => {
    for (const name of ['a', 'b']) {
      const { code, out } = bench('--seconds', '0.05', '--json');
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ mappingsPerSecond: expect.any(Number), options: { backend: 'strict' } });
      writeFileSync(join(folder, `${name}.json`), out);
    }
    const { code, out } = bench('--compare', 'a.json', 'b.json');
    expect(code).toBe(0);
    expect(out).toContain('95 % interval');
    expect(JSON.parse(bench('--compare', 'a.json', 'b.json', '--json').out).map.mean).toBeGreaterThan(0);
  });

  test('a sweep draws its curve and writes CSV', () => {
    const { code, out } = bench('--seconds', '0.02', '--sweep', 'live=10,1k', '--csv', 'curve.csv');
    expect(code).toBe(0);
    expect(out).toContain('over live');
    expect(readFileSync(join(folder, 'curve.csv'), 'utf8').trimEnd().split('\n')).toHaveLength(3);
  });

  test('several threads: a table of how it scales', () => {
    const { code, out } = bench('--seconds', '0.05', '--threads', '2', '--json');
    expect(code).toBe(0);
    const { scaling, perThread, contention } = JSON.parse(out);
    expect(scaling.map(({ threads }: { threads: number }) => threads)).toEqual([1, 2]);
    expect(perThread).toHaveLength(2);
    expect(contention).toHaveProperty('ram');
  });

  test.each([
    [['--granule', '0'], '--granule takes a whole number from 1 to 1024'],
    [['--backend', 'fast'], 'Allowed choices are strict'],
    [['--sweep', 'nothing=1'], '--sweep takes option=value,value'],
    [['--compare', 'a.json'], '--compare takes two files'],
    [['--compare', '/dev/null', '/dev/null'], '/dev/null: empty, and not a result of gemdma bench --json'],
    [['--compare', 'missing.json', 'missing.json'], 'missing.json: cannot be read: ENOENT'],
    [['--csv', 'x.csv'], '--csv goes with --sweep'],
    [['--mode', 'object', '--threads', '2'], 'threads'],
    [['--live', '1M', '--bits', '24'], 'live mappings could be made'],
  ])('wrong use: %j', (args, message) => {
    const { code, err } = bench(...args);
    expect(err).toContain(message);
    expect(err).toMatch(/^gemdma: [^\n]*\n$/);
    expect(code).toBe(2);
  });
});
