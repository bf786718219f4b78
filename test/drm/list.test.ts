import { describe, expect, test } from 'vitest';
import { ListLink } from '../../src/drm/list.js';

const names = (head: ListLink<string>): string[] => head.toArray();

describe('lists', () => {
  test('members move between heads, to either end, and are in one list at a time', () => {
    const a = new ListLink<string>(null);
    const b = new ListLink<string>(null);
    const [one, two, three] = ['one', 'two', 'three'].map((name) => new ListLink<string>(name));
    for (const link of [one, two, three]) a.moveTail(link);
    expect(names(a)).toEqual(['one', 'two', 'three']);
    expect(a.first).toBe('one');
    a.moveTail(one);
    expect(names(a)).toEqual(['two', 'three', 'one']);
    b.moveHead(three);
    expect([names(a), names(b)]).toEqual([['two', 'one'], ['three']]);
    b.moveHead(one);
    expect(names(b)).toEqual(['one', 'three']);
    two.remove();
    two.remove();
    expect([a.empty, a.first, two.empty]).toEqual([true, null, true]);
  });

  test('splicing puts the other list in front, in its order, and empties it', () => {
    const a = new ListLink<string>(null);
    const b = new ListLink<string>(null);
    for (const name of ['1', '2']) a.moveTail(new ListLink<string>(name));
    for (const name of ['x', 'y']) b.moveTail(new ListLink<string>(name));
    a.splice(b);
    expect([names(a), names(b)]).toEqual([['x', 'y', '1', '2'], []]);
    a.splice(b);
    expect(names(a)).toEqual(['x', 'y', '1', '2']);
  });
});
