import { describe, expect, test } from 'vitest';
import { declared, type Member } from '../surface/declarations.js';
import { type Act, ANSWERS, acting, MORE } from './acts.js';
import { HOOK_NAMES, receivers, Stage, TAKES_LONG } from './stage.js';
import { documented, trial } from './trial.js';

/**
 * Every hook of the public surface, and in each every public call: on what the call under way works on, its vma, context,
 * process, GPU, device and machine; and every way in which a hook can answer wrongly. Whatever happens, only documented errors
 * come out, the machine is sound, new objects live as ever, all can be given back, and no record is left.
 */

const { classes } = declared(['dist/index.d.ts']);

const stage = new Stage('clock.run');
const TYPES = Object.keys(receivers(stage, stage.focus));

/** What coherent memory a device has when it is destroyed nobody can give back. */
const ENDS = new Set(['destroy', '[Symbol.dispose]']);

/** Each call by itself, and those of a class one after the other. */
const CALLS: Record<string, Act> = {};
const IN_ROW: Record<string, Act> = {};
for (const type of TYPES) {
  const members = membersOf(type);
  for (const member of members) CALLS[`${type}.${member.name}, ${member.what}`] = acting(type, member);
  IN_ROW[`calls of ${type}`] = inRow(
    members.filter(({ name }) => !ENDS.has(name)).map((member) => acting(type, member)),
  );
}

function membersOf(type: string): Member[] {
  const kinds = ['method', 'setter', 'getter'];
  const members = classes.get(type === 'Card' ? 'DmaDevice' : type) ?? [];
  return members.filter(({ what, name }) => kinds.includes(what) && name !== 'settled');
}

function inRow(acts: readonly Act[]): Act {
  return (stage, focus) => {
    const made: unknown[] = [];
    for (const act of acts) {
      try {
        made.push(act(stage, focus));
      } catch (error) {
        if (!documented(error)) throw error;
      }
    }
    return made;
  };
}

test('there are calls of every class that a driver gives out', () => {
  expect(TYPES.filter((type) => membersOf(type).length === 0)).toEqual([]);
  expect(Object.keys(CALLS).length).toBeGreaterThan(200);
});

describe.each(HOOK_NAMES)('%s', (hook) => {
  const quiet = trial(hook, () => undefined, false);

  test('runs, and leaves nothing', () => {
    expect(quiet.wrong).toEqual([]);
    expect(quiet.ran).toBeGreaterThan(0);
  });

  test('calls of the library', () => {
    const wrong: string[] = [];
    for (const [name, act] of Object.entries({ ...(TAKES_LONG.test(hook) ? IN_ROW : CALLS), ...MORE })) {
      for (const one of trial(hook, act, false, quiet.left).wrong) wrong.push(`${name}: ${one}`);
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  test('calls whose errors come out of it, and answers that are none', () => {
    const wrong: string[] = [];
    for (const [name, act] of Object.entries(MORE)) {
      for (const one of trial(hook, (...given) => void act(...given), true).wrong) wrong.push(`${name}: ${one}`);
    }
    for (const [name, act] of Object.entries(ANSWERS)) {
      for (const one of trial(hook, act, true).wrong) wrong.push(`${name}: ${one}`);
    }
    expect(wrong).toEqual([]);
  }, 120_000);
});
