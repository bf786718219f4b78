import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const LINE =
  'careless 0000:00:02.0: DMA addr 0x0000000100000000+4096 overflow (mask ffffffffffffffff, bus limit ffffffff).';

function gemdma(...args: string[]) {
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
}

test('--dmesg shows the lines of the kernel behind the results, with --json on standard error', () => {
  const text = gemdma('run', 'bus-limit', '--dmesg');
  expect(text.status).toBe(0);
  expect(text.stdout.trimEnd().split('\n').at(-1)).toBe(LINE);
  const json = gemdma('run', 'bus-limit', '--dmesg', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, dmesg: [LINE] });
  expect(json.stderr).toBe(`${LINE}\n`);
  expect(gemdma('run', 'untrusted-bounce', '--dmesg').stdout).toContain('(the kernel printed nothing)');
  expect(gemdma('run', 'bus-limit').stdout).not.toContain('overflow');
});
