// Where the project lives is said once: `repository` in package.json. This writes it everywhere else: bugs and homepage in
// package.json, the install lines of README and the tutorial. A test checks that they agree.
//
//   node scripts/repository.mjs                what package.json says
//   node scripts/repository.mjs OWNER/NAME     says it to package.json first

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '..');
const DOCUMENTS = ['README.md', 'docs/guides/tutorial.md'];

/** Files that say where the project lives, as they should be. */
export function withRepository(repository) {
  const file = (name) => readFileSync(join(root, name), 'utf8');
  const manifest = JSON.parse(file('package.json'));
  const slug = repository ?? /github\.com\/([^/]+\/[^/]+?)(\.git)?$/.exec(manifest.repository.url)?.[1];
  if (!/^[\w.-]+\/[\w.-]+$/.test(slug ?? ''))
    throw new Error(`no repository on GitHub: ${slug ?? manifest.repository.url}`);
  const url = `https://github.com/${slug}`;
  const filled = {
    ...manifest,
    homepage: `${url}#readme`,
    bugs: `${url}/issues`,
    repository: { type: 'git', url: `git+${url}.git` },
  };
  return new Map([
    ['package.json', `${JSON.stringify(filled, null, 2)}\n`],
    ...DOCUMENTS.map((name) => [name, file(name).replaceAll(/\bgithub:[\w.-]+\/[\w.-]+/g, `github:${slug}`)]),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of withRepository(process.argv[2])) writeFileSync(join(root, name), text);
}
