// Writes src/recordings/known.ts: the number of lines of each recording in test/golden that carries no count of its own, by
// its first lines. Recordings that are made today carry one; this is for those that were made before.
//
//   node scripts/known-recordings.mjs

import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLines } from '../dist/files/text.js';
import { FieldReader } from '../dist/recordings/replay/recording.js';
import { openRecording } from '../dist/recordings/verify.js';
import { keyOf } from '../dist/recordings/whole.js';

const root = join(import.meta.dirname, '..');
const golden = join(root, 'test/golden');
const known = new Map();
for (const name of readdirSync(golden, { recursive: true }).sort()) {
  if (!/\.(jsonl|txt)(\.gz)?$/.test(name) || name.startsWith('trace/')) continue;
  const recording = openRecording(name, readLines(join(golden, name)));
  if (recording.header.steps !== undefined) continue;
  const key = keyOf(recording);
  if (known.has(key)) throw new Error(`${name} begins as ${known.get(key).name} does`);
  known.set(key, { name, steps: new FieldReader(recording).lineNumbers().length });
}
const lines = [...known].map(([key, { name, steps }]) => `  ['${key}', ${steps}, '${name}'],\n`);
writeFileSync(
  join(root, 'src/recordings/known.ts'),
  `/**
 * Recordings that carry no count of their own: what each is known by (keyOf in whole.ts), its lines, and its file. Written
 * by scripts/known-recordings.mjs.
 */
export const KNOWN: readonly (readonly [key: string, steps: number, file: string])[] = [
${lines.join('')}];
`,
);
