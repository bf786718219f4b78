// npm start: builds what has changed and runs the main job, in one process as far as a terminal is concerned: Ctrl-C
// reaches the build and the job, and no shell in between ends before them.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

const build = spawn(process.execPath, [path('scripts/build.mjs'), '--if-needed'], { stdio: 'inherit' });
// The build gets the key as well; what is left to do is to wait for it.
const wait = () => {};
process.on('SIGINT', wait);
const code = await new Promise((resolve) => build.on('exit', (status, signal) => resolve(signal ? 130 : status)));
process.off('SIGINT', wait);
if (code === 0) {
  process.argv.splice(2, process.argv.length, 'run', ...process.argv.slice(2));
  await import('../dist/bundle/cli.js');
} else {
  process.exitCode = code;
}
