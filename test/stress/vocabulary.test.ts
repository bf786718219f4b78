import { describe, expect, test, vi } from 'vitest';
import { stress } from '../../src/index.js';
import { failNth } from '../../src/workload/index.js';
import { TinyObject } from '../drm/tiny-driver.js';
import { vocabularies } from './tiny-vocabulary.js';

/** A driver that the library does not know is stressed with operations, accounts and a profile of its own. */

describe('a driver with a vocabulary of its own', () => {
  test('runs clean with failing allocations, and every operation is done', async () => {
    const result = await stress({ vocabularies, seed: 3, operations: 8000, checkEvery: 200, faults: 0.02 });
    expect(result.failure).toBeNull();
    expect(result).toMatchObject({ profile: 'tiny', subject: 'tiny', operations: 8000 });
    expect(Object.keys(result.done)).not.toContain('bind');
    expect(Object.keys(result.config.weights).filter((name) => result.done[name] === 0)).toEqual([]);
  });

  test('a mapping that it leaves is found, cut down, printed and confirmed', async () => {
    const release = vi.spyOn(TinyObject.prototype, 'putPages').mockImplementation(function (this: TinyObject) {
      this.pages = 0;
    });
    try {
      const { failure, reproducer } = await stress({
        ...{ vocabularies, seed: 3, operations: 8000, checkEvery: 100 },
        machine: { dmaDebug: false },
        weights: { attach: 0, detach: 0 },
      });
      expect(failure).not.toBeNull();
      expect(reproducer).toMatchObject({ confirmed: true, minimal: true });
      expect(reproducer!.operations.map(({ op }) => op)).toEqual(['tinyCreate', 'tinyPin']);
      expect(reproducer!.program).toContain("import { tiny } from './tiny-driver.js';");
      expect(reproducer!.program).toContain('const bo1 = tiny0.create(1);');
    } finally {
      release.mockRestore();
    }
  });

  test('every allocation of a scenario fails in turn', () => {
    const operations = [
      { op: 'tinyCreate', id: 1, device: 0, pages: 20 },
      { op: 'tinyPin', bo: 1 },
      { op: 'attach', id: 2, bo: 1, device: 0 },
      { op: 'detach', map: 2 },
      { op: 'tinyUnpin', bo: 1 },
      { op: 'tinyRelease', bo: 1 },
    ];
    const { points, failures } = failNth({ name: 'tiny', title: 'tiny', operations }, { vocabularies });
    expect(failures).toEqual([]);
    expect(points).toBeGreaterThan(4);
  });

  test('operations and profiles of other drivers are not there', async () => {
    await expect(stress({ vocabularies, weights: { bind: 1 } })).rejects.toThrow(/no operation 'bind'/);
    await expect(stress({ vocabularies, profile: 'churn' })).rejects.toThrow(/one of tiny/);
  });
});
