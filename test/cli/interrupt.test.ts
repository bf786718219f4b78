import { expect, test } from 'vitest';
import { CTRL_C, gemdma, HIDE, SHOW, type Terminal } from './terminal.js';

/** Long enough that nothing ends by itself before the test has pressed its keys. */
const LONG = [
  ['run', /\[\?25l[\s\S]*leak under/, /Interrupted|interrupted/],
  ['run leak', /leak under/, /interrupted: the figures are of a part/],
  ['stress --ops 1000M --time 1000', /ops/, /operations in [\d.]+ s.*interrupted/],
  ['stress --fail-nth', /object: /, /allocations failed/],
  ['stress --threads 2 --ops 1000M', /2 threads, [1-9]/, /2 threads.* on one domain/],
  ['stress --seeds 100000 --ops 20k', /seed [2-9]/, /"seed":1,/],
  ['verify --time test/golden/iova/*.gz test/golden/iova/*.gz test/golden/iova/*.gz', /steps/, /iova .*ok/],
  ['bench --seconds 100', /measure/, /mappings\/s/],
  ['bench --seconds 100 --sweep live=1k,10k', /measure/, /nothing was measured|over live/],
  ['bench --seconds 100 --threads 2', /measure/, /mappings\/s/],
] as const;

test.each(LONG)('Ctrl-C ends gemdma %s: it prints what it has, 130', async (command, started, printed) => {
  const terminal = gemdma(command);
  await terminal.shows(started);
  const before = terminal.screen.length;
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  expect(terminal.screen).toMatch(printed);
  expect(terminal.screen.slice(before)).toContain('gemdma: interrupted');
  expect(shown(terminal)).toBe(true);
});

test('a second Ctrl-C ends it at once', async () => {
  // Both keys are there before the command looks: the first stops it, the second does not wait for its figures.
  const terminal = gemdma('stress --ops 1000M --time 1000');
  await terminal.shows(/ops/);
  terminal.type(CTRL_C);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  expect(shown(terminal)).toBe(true);
});

test('SIGTERM gives the terminal back, and is what ended the process', async () => {
  const terminal = gemdma('stress --ops 1000M --time 1000');
  await terminal.shows(HIDE);
  await terminal.kill('SIGTERM');
  expect(await terminal.ended).toBe(128 + 15);
  expect(shown(terminal)).toBe(true);
});

test('--quiet shows no bar and prints nothing when all is well', async () => {
  const terminal = gemdma('stress --quiet --ops 20k');
  expect(await terminal.ended).toBe(0);
  expect(terminal.screen.replace(/pid=\d+\.\s*/, '')).toBe('');
});

/** Whether the cursor is there, and lines wrap: what the bar took away it gave back. */
function shown({ screen }: Terminal): boolean {
  return (
    screen.lastIndexOf(SHOW) >= screen.lastIndexOf(HIDE) &&
    screen.lastIndexOf('\u001b[?7h') >= screen.lastIndexOf('\u001b[?7l')
  );
}
