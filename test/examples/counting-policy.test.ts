import { describe, expect, test } from 'vitest';
import { correctedPolicy, countingPolicy, work } from '../../examples/counting-policy.js';

describe('the example of a policy of your own', () => {
  test('loses a mapping with each bind that fails, and the checker names the hook that made it', () => {
    const { lost, report } = work(countingPolicy());
    expect(lost).toBe(3);
    expect(report).toMatch(/bind/);
    expect(report).toMatch(/object/);
  });

  test('loses nothing once failed binds are counted back', () => {
    expect(work(correctedPolicy()).lost).toBe(0);
  });
});
