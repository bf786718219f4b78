import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));
const readme = readFileSync(path('README.md'), 'utf8');

test('the embedding example is the file of that name, and runs against the built package', () => {
  const [, file, code] = /<!-- example: (\S+) -->\n```js\n([\s\S]*?)```/.exec(readme)!;
  expect(code).toBe(readFileSync(path(file), 'utf8'));
  const output = execFileSync(process.execPath, [path(file)], { encoding: 'utf8' });
  expect(output).toBe('hello, GPU\n1 mapping lost, 4 MiB of IOVA, made 0000:00:02.0: in bind\n');
});

test('every folder and file that it names exists', () => {
  const map = readme.slice(readme.indexOf('## The map'), readme.indexOf('## License'));
  const folders = [...map.matchAll(/^ {4}( {0,2})((?:[\w-]+\/ ?)+)/gm)];
  let top = '';
  for (const [, indent, names] of folders) {
    for (const name of names.trim().split(' ')) {
      if (indent === '') top = name;
      const folder = indent === '' ? name : `${top}${name}`;
      expect(existsSync(path(folder)), folder).toBe(true);
    }
  }
  expect(folders.length).toBeGreaterThan(20);
});

test('every npm script that it names exists', () => {
  const { scripts } = JSON.parse(readFileSync(path('package.json'), 'utf8'));
  for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g)) expect(scripts, script).toHaveProperty(script);
});
