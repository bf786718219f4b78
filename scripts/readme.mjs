// Fills README.md's marked blocks from what they show: a command's output, an example's source.
// `npm run readme` rewrites them; the tests check that the example is the file's.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

const text = readFileSync(path('README.md'), 'utf8')
  .replace(/(<!-- example: (\S+) -->\n```js\n)[\s\S]*?(```\n)/g, (_, open, file, close) => {
    return `${open}${readFileSync(path(file), 'utf8')}${close}`;
  })
  .replace(/(<!-- output: gemdma (.+) -->\n```\n)[\s\S]*?(```\n)/g, (_, open, args, close) => {
    const output = execFileSync(process.execPath, [path('dist/bundle/cli.js'), ...args.split(' ')], {
      encoding: 'utf8',
    });
    return `${open}${output}${close}`;
  });
writeFileSync(path('README.md'), text);
