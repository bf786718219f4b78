// Random calls of the whole public surface for as long as one likes (test/life/fuzz):
//
//   npm run fuzz -- --steps 1000000 [--seed N] [--path P] [--debug]

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const build = await rolldown({
  input: join(root, 'test/life/fuzz/main.ts'),
  platform: 'node',
  logLevel: 'warn',
  external: ['fast-check'],
});
await build.write({ dir: join(root, 'build/fuzz'), format: 'esm' });
await build.close();
process.chdir(root);
await import(join(root, 'build/fuzz/main.js'));
