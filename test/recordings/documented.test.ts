import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { textOf, tracked } from '../package/comments.js';

/** test/golden/README.md describes each file of the folder, and nothing that no file has. */

const golden = join(import.meta.dirname, '../golden');
const sections = readFileSync(join(golden, 'README.md'), 'utf8').split(/^## /m);
const files = tracked.filter((file) => file.startsWith('test/golden/') && !file.endsWith('.md'));
/** Sources of the formats. */
const readers = tracked
  .filter((file) => file.startsWith('src/recordings/formats/'))
  .map(textOf)
  .join('\n');
const folders = [...new Set(files.map((file) => file.split('/')[2]))];

const section = (folder: string): string => sections.find((text) => text.startsWith(`\`${folder}/\``)) ?? '';
const lines = (file: string): string[] => {
  const bytes = readFileSync(join(golden, '../..', file));
  return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').trimEnd().split('\n');
};
/** What stands in backticks, word by word. */
const words = (text: string): Set<string> =>
  new Set([...text.matchAll(/`([^`]+)`/g)].flatMap(([, quoted]) => quoted.split(/[^\w<>]+/)));

/** Inputs of other calls than `verify`: they have no header of a recording. */
const INPUTS = ['trace', 'uapi'];

test.each(INPUTS)('%s has a section', (folder) => expect(section(folder)).not.toBe(''));

describe.each(folders.filter((folder) => !INPUTS.includes(folder)))('%s', (folder) => {
  const text = section(folder);
  const described = words(text);
  const recordings = files.filter((file) => file.startsWith(`test/golden/${folder}/`)).map(lines);
  const kinds = recordings.map(([header]) =>
    header.startsWith('#') ? header.split(' ')[1] : (JSON.parse(header).recording as string),
  );

  test('its section names the kinds of its files', () => {
    expect(text).not.toBe('');
    expect(kinds.filter((kind) => !text.includes(`\`${kind}\``))).toEqual([]);
  });

  test('every kind of line is described', () => {
    const missing = new Set<string>();
    for (const [i, [, ...rest]] of recordings.entries()) {
      for (const line of rest) {
        if (line.startsWith('#')) continue;
        // A text's line begins with its letter; a map<n> stands for map1, map8 and so on.
        const parsed = line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : undefined;
        const op = parsed ? parsed.op : line.split(' ')[0];
        if (op === undefined || op === 'begin') continue;
        const name = String(op);
        if (!described.has(name) && !described.has(name.replace(/\d+/, '<n>'))) missing.add(`${kinds[i]} ${name}`);
      }
    }
    expect([...missing]).toEqual([]);
  });

  test('every field that its tables describe is in a file, or is read', () => {
    const keys = new Set<string>();
    const add = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const [key, part] of Object.entries(value)) {
        if (!Array.isArray(value)) keys.add(key);
        add(part);
      }
    };
    const isText = recordings.every(([header]) => header.startsWith('#'));
    for (const recording of recordings) for (const line of recording) if (line.startsWith('{')) add(JSON.parse(line));
    const everything = recordings.flat().join('\n');
    const rows = text.split('\n').filter((line) => /^\| `/.test(line));
    const named = isText
      ? rows.map((row) => /^\| `(\S)/.exec(row)![1])
      : rows.flatMap((row) => [...row.split('|')[1].matchAll(/`([\w<>]+)`/g)].map(([, name]) => name));
    const absent = named.filter((name) =>
      isText
        ? !recordings.some((recording) => recording.some((line) => line.startsWith(`${name} `)))
        : !keys.has(name) && !new RegExp(`["']${name.replace('<n>', '\\d+')}["']`).test(everything + readers),
    );
    expect(absent).toEqual([]);
  });
});

test('every folder has a section', () => {
  expect(folders.filter((folder) => section(folder) === '')).toEqual([]);
});
