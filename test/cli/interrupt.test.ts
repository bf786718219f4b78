import { describe, expect, test } from 'vitest';
import { COMMANDS, inputs, type LongCommand, libraryCalls } from '../../scripts/interruption.mjs';
import { temporaryFolder } from '../folder.js';
import { CTRL_C, gemdma, HIDE, SHOW, type Terminal } from './terminal.js';

/**
 * Every command and call that can last, ended by a key, a signal or an abort. None ends by itself within a minute. How long
 * it takes in fact is what scripts/interruption.mjs measures; here it is told from waiting for the end of the work.
 */

const folder = temporaryFolder();
const files = inputs(folder);
const commands = COMMANDS.map((item) => ({
  item,
  name: item.command(files).replaceAll(`${folder}/`, '').slice(0, 60),
}));
const BOUND = 15_000;

async function begin({ command, started }: LongCommand): Promise<Terminal> {
  const terminal = gemdma(command(files));
  await terminal.shows(started);
  return terminal;
}

describe.each(commands)('gemdma $name', ({ item }) => {
  const run = test.skipIf(item.driver && !files.built);

  run('ends at Ctrl-C: it prints what it has, 130, and the terminal is as it was', async () => {
    const terminal = await begin(item);
    const before = terminal.screen.length;
    const pressed = performance.now();
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(130);
    expect(performance.now() - pressed).toBeLessThan(BOUND);
    expect(terminal.screen).toMatch(item.printed);
    expect(terminal.screen.slice(before)).toContain('gemdma: interrupted');
    expect(shown(terminal)).toBe(true);
  });

  run('ends at SIGTERM by that signal, and the terminal is as it was', async () => {
    const terminal = await begin(item);
    const sent = performance.now();
    await terminal.kill('SIGTERM');
    expect(await terminal.ended).toBe(128 + 15);
    expect(performance.now() - sent).toBeLessThan(BOUND);
    expect(shown(terminal)).toBe(true);
  });
});

describe('long calls of the library end with what they have when their signal is aborted', async () => {
  test.each(Object.entries(await libraryCalls()))('%s', async (_, call) => {
    const controller = new AbortController();
    let ended = false;
    const work = call(controller.signal).then(() => (ended = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ended).toBe(false);
    const aborted = performance.now();
    controller.abort();
    await work;
    expect(performance.now() - aborted).toBeLessThan(BOUND);
  });
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
