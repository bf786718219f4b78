import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { verify } from '../../src/trace/verify.js';

const folder = 'test/golden/map_sg';

describe('recordings of the DMA API', () => {
  test.each(readdirSync(folder).filter((name) => !name.startsWith('bounce')))('%s is reproduced', (name) => {
    const result = verify(`${folder}/${name}`);
    expect(result.divergence).toBeNull();
    expect(result.matched).toBe(result.steps);
    expect(result.steps).toBeGreaterThan(200);
  });
});
