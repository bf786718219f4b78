import { describe, expect, test } from 'vitest';
import { type Figure, figures, format, measure, type Suite, type Task } from '../../bench/frame.js';

const task = (name: string, operations: number, more: Partial<Task> = {}): Task => ({
  name,
  operations,
  run() {},
  ...more,
});

describe('figures', () => {
  test('are medians over rounds, per operation, beside limit and peer of the same run', () => {
    const tasks = [
      task('loop', 1000),
      task('naive', 10),
      task('real', 100, { limit: 'loop', peer: 'naive', reach: { of: 'loop', ratio: 2 } }),
      task('slow', 100, { reach: { ns: 40 } }),
    ];
    const rounds = new Map([
      ['loop', [9000, 10_000, 90_000]],
      ['naive', [600, 800]],
      ['real', [1500, 1400, 1600]],
      ['slow', [5000]],
    ]);
    const [loop, naive, real, slow] = figures(tasks, rounds);
    expect(loop).toMatchObject({ ns: 10, fastest: 9, slowest: 90, sample: 10_000 });
    expect(naive.ns).toBe(70);
    expect(real).toMatchObject({ ns: 15, overLimit: 1.5, reach: { text: '2x loop', met: true } });
    expect(real.overPeer).toBeCloseTo(70 / 15, 12);
    expect(slow.reach).toEqual({ text: '40 ns', met: false });
  });

  test('a comparison with a task that is not there is refused', () => {
    expect(() => figures([task('a', 1, { limit: 'b' })], new Map([['a', [1]]]))).toThrow("no task 'b'");
  });

  test('samples too short to time are marked in the table', () => {
    const figure = (name: string, sample: number): Figure => ({ name, ns: 1, fastest: 1, slowest: 2, sample });
    const text = format({ name: 's', title: 't', tasks: () => [] }, [figure('short', 10), figure('long', 1e6)]);
    expect(text).toContain('short (?)');
    expect(text).not.toContain('long (?)');
    expect(text).toContain('reading the clock');
    expect(text).not.toContain('peer');
  });
});

test('measure runs every task in every round, with its state brought back before each run', async () => {
  const counts = { before: 0, run: 0, dirty: 0 };
  let clean = false;
  const suite: Suite = {
    name: 'measured',
    title: '',
    tasks: () => [
      task('one', 1, {
        before() {
          ++counts.before;
          clean = true;
        },
        run() {
          ++counts.run;
          if (!clean) ++counts.dirty;
          clean = false;
        },
      }),
    ],
  };
  const [one] = await measure(suite, { time: 1, rounds: 2 });
  expect(counts.run).toBeGreaterThanOrEqual(20);
  expect(counts.dirty).toBe(0);
  expect(one.ns).toBeGreaterThan(0);
  const twice: Suite = { ...suite, tasks: () => [task('x', 1), task('x', 1)] };
  await expect(measure(twice, { time: 1, rounds: 1 })).rejects.toThrow('names two tasks alike');
});
