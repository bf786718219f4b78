import { describe, expect, test } from 'vitest';
import { type Figure, figures, format, measure, type Sample, type Suite } from '../../bench/frame.js';

/** A sample a round. */
const rounds = (name: string, operations: number, ns: number[], more: Partial<Sample> = {}): Sample[] =>
  ns.map((time) => ({ name, operations, ns: time, ...more }));

describe('figures', () => {
  test('are medians over rounds, per operation, beside limit and peer of the same run', () => {
    const [loop, naive, real, slow] = figures([
      ...rounds('loop', 1000, [9000, 10_000, 90_000]),
      ...rounds('naive', 10, [600, 800]),
      ...rounds('real', 100, [1500, 1400, 1600], { limit: 'loop', peer: 'naive', reach: { of: 'loop', ratio: 2 } }),
      ...rounds('slow', 100, [5000], { reach: { ns: 40 } }),
    ]);
    expect(loop).toMatchObject({ ns: 10, fastest: 9, slowest: 90, sample: 10_000 });
    expect(naive.ns).toBe(70);
    expect(real).toMatchObject({ ns: 15, overLimit: 1.5, reach: { text: '2x loop', met: true } });
    expect(real.overPeer).toBeCloseTo(70 / 15, 12);
    expect(slow.reach).toEqual({ text: '40 ns', met: false });
  });

  test('a comparison with a task that is not there is refused', () => {
    expect(() => figures(rounds('a', 1, [1], { limit: 'b' }))).toThrow("no task 'b'");
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

test('measure runs a task many times, with its state brought back before each', async () => {
  const counts = { before: 0, run: 0, dirty: 0 };
  let clean = false;
  const one = {
    name: 'one',
    operations: 1,
    limit: 'one',
    before() {
      ++counts.before;
      clean = true;
    },
    run() {
      ++counts.run;
      if (!clean) ++counts.dirty;
      clean = false;
    },
  };
  const suite: Suite = { name: 'measured', title: '', tasks: (variant) => [{ ...one, name: variant }] };
  const [sample] = await measure(suite, 'this way', 1);
  expect(counts.run).toBeGreaterThanOrEqual(10);
  expect(counts.dirty).toBe(0);
  expect(sample).toEqual({ name: 'this way', operations: 1, limit: 'one', ns: sample.ns });
  expect(sample.ns).toBeGreaterThan(0);
  const twice: Suite = { ...suite, tasks: () => [one, one] };
  await expect(measure(twice, '', 1)).rejects.toThrow('names two tasks alike');
});
