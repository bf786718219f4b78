import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { verify } from '../../src/recordings/verify.js';

const files = ['map_sg', 'lazy', 'symptom'].flatMap((kind) =>
  readdirSync(`test/golden/${kind}`).map((name) => `${kind}/${name}`),
);

describe('recordings of the DMA API', () => {
  test.each(files)('%s is reproduced', (name) => {
    const result = verify(`test/golden/${name}`);
    expect(result.divergence).toBeNull();
    expect(result.matched).toBe(result.steps);
    expect(result.steps).toBeGreaterThan(5);
  });
});
