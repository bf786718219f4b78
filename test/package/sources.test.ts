import { describe, expect, test } from 'vitest';
import { namesIn, split, textOf, tracked } from './comments.js';

/** What the sources keep to, beside what the compiler, the linter and the layers check. */

const sources = tracked.filter((file) => /^(src|assembly)\/.*\.ts$/.test(file));
const code = tracked.filter((file) => /\.(ts|mjs|c|h|json)$/.test(file) && file !== 'package-lock.json');

test('rooms that know no driver name none, in code or in comments', () => {
  const rooms = sources.filter((file) => /^src\/(machine|stress|events|threads|files|drm)\//.test(file));
  expect(rooms.length).toBeGreaterThan(50);
  const naming = rooms.filter((file) => /i915|ggtt|ppgtt/i.test(textOf(file)));
  expect(naming).toEqual([]);
});

test('files and names in comments exist', () => {
  const known = new Set<string>();
  for (const file of code) for (const [word] of split(textOf(file)).code.matchAll(/[A-Za-z_$][\w$]*/g)) known.add(word);
  expect(known.size).toBeGreaterThan(5000);
  const missing: string[] = [];
  for (const file of sources) {
    for (const { line, text } of split(textOf(file)).comments) {
      // Examples and drawings are indented.
      if (/^\s*(\*|\/\/)? {3}/.test(text)) continue;
      const { files, names } = namesIn(text);
      const gone = [...files.filter((name) => !exists(name)), ...names.filter((name) => !known.has(name))];
      for (const name of gone) if (!ELSEWHERE.has(name)) missing.push(`${file}:${line} ${name}`);
    }
  }
  expect(missing).toEqual([]);
});

/** Documents of others, words of theirs, and files that tests of drivers are called in examples. */
const ELSEWHERE = new Set(['DynamicLinking.md', 'Linking.md', 'nic.test.mjs', 'eLLC', 'cpuN']);

/** A file by its path or its last parts; what the build generates exists after a build. */
function exists(name: string): boolean {
  const path = name.replace(/^(\.\.?\/)+/, '');
  return /(^|\/)generated\//.test(path) || tracked.some((file) => file === path || file.endsWith(`/${path}`));
}

describe('the check of comments', () => {
  test.each([
    ['// See own/tables.ts and `gapAfter`, mapPage.', ['own/tables.ts'], ['gapAfter', 'mapPage']],
    ['/** drivers/iommu/iova.c, iommu_map, docs/ARCHITECTURE.md */', ['docs/ARCHITECTURE.md'], []],
  ])('reads %s', (comment, files, names) => {
    expect(namesIn(comment)).toEqual({ files, names });
  });

  test('tells comments from texts', () => {
    const { comments, code } = split("const a = '// no'; // yes\n/* two\nlines */ const b = /\\/\\*/;\n");
    expect(comments.map(({ line, text }) => [line, text])).toEqual([
      [1, '// yes'],
      [2, '/* two'],
      [3, 'lines */'],
    ]);
    expect(code).toContain("'// no'");
  });
});

test('no source is longer than 600 lines', () => {
  const long = tracked
    .filter((file) => /^(src|assembly|scripts|test|bench)\/.*\.(ts|mjs|c|h)$/.test(file))
    .filter((file) => textOf(file).split('\n').length > 601);
  expect(long).toEqual([]);
});

test('sizes of the modules are in scripts/sizes.mjs alone', () => {
  const size = /\d ?[KM]i?B\b/;
  const written = tracked
    .filter((file) => /\.(md|ts|mjs)$/.test(file) && !/^(scripts\/sizes\.mjs|test\/)/.test(file))
    .filter((file) =>
      textOf(file)
        .split('\n')
        .some((line) => /\b[\w-]+\.wasm\b|\bbundled?\b|\btarball\b|machine's entry/.test(line) && size.test(line)),
    );
  expect(written).toEqual([]);
});

test('tests make temporary folders in one place', () => {
  const making = tracked.filter(
    (file) => /^test\/.*\.(ts|mjs)$/.test(file) && /\bmkdtemp(Sync)?\(join/.test(textOf(file)),
  );
  expect(making).toEqual(['test/folder.ts']);
});
