import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { decompress } from 'fzstd';
import { Audit, inMemory, Rebuild, readTrace, TraceError } from '../dist/bundle/trace.js';

/**
 * Mutates the golden traces and reads what comes of it, with the audit and the rebuild behind: a million rounds by default.
 *
 *   node scripts/fuzz-trace.mjs [--rounds N] [--seed N]
 *
 * Whatever is read, the result is rows or a TraceError. Anything else is printed with its input, and the exit code is 1.
 */

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
let state = Number(values.seed) >>> 0;
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
};
const codecs = { zstd: (bytes, size) => decompress(bytes, new Uint8Array(size)) };
const golden = (name) => gunzipSync(readFileSync(new URL(`../test/golden/trace/${name}.gz`, import.meta.url)));
const texts = ['boot.txt', 'block.txt', 'net.txt', 'trace-cmd-report.txt'].map(golden);
const dat = golden('trace-cmd.dat');

function mutate(input) {
  // A copy: the slice of a Buffer is none.
  let bytes = new Uint8Array(input);
  for (let changes = 1 + random(6); changes > 0; --changes) {
    const at = random(bytes.length);
    const kind = random(5);
    if (kind === 0) bytes[at] = random(256);
    else if (kind === 1) bytes[at] ^= 1 << random(8);
    else if (kind === 2) bytes = bytes.slice(0, at + 1);
    else if (kind === 3) bytes.copyWithin(at, at + random(40));
    else bytes.copyWithin(at, random(bytes.length), random(bytes.length));
  }
  return bytes;
}

/** An excerpt of a text; of the binary file its head and tail now and then, since it is large. */
function excerpt(round) {
  if (round % 500 === 0) return dat;
  const text = texts[random(texts.length)];
  const at = random(text.length);
  return text.subarray(at, at + 500 + random(3000));
}

console.log(`seed ${values.seed}, ${rounds} rounds`);
const tally = { rows: 0, refused: 0 };
for (let round = 1; round <= rounds; ++round) {
  const bytes = mutate(excerpt(round));
  // Both have tables of some megabytes: not each time.
  const stages = round % 25 === 0 ? [new Audit(), new Rebuild()] : [];
  try {
    for await (const batch of readTrace(inMemory(bytes), { codecs })) {
      tally.rows += batch.length;
      for (const stage of stages) stage.add(batch);
    }
    stages[0]?.result();
    stages[1]?.finish();
  } catch (error) {
    if (!(error instanceof TraceError)) {
      console.error(`round ${round}: ${Buffer.from(bytes).toString('base64')}`);
      console.error(error);
      process.exit(1);
    }
    ++tally.refused;
  }
  if (round % 100_000 === 0) console.log(`${round} rounds: ${tally.rows} rows, ${tally.refused} inputs refused`);
}
console.log(`${rounds} rounds: ${tally.rows} rows, ${tally.refused} inputs refused, nothing else`);
