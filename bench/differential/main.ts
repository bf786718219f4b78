import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '#random';
import { compile, findCompiler, missing } from '../peer/peer.js';
import { Run } from './run.js';
import { SUBJECTS } from './subjects.js';

/**
 * Random histories through the kernel's own C and through ours: `npm run differential -- PATH [NAMES...] [--seed N]
 * [--seconds N] [--steps N] [--runs N] [--keep FOLDER]`, where PATH is an unpacked Linux 6.12 source tree. The kernel's
 * file is compiled in a temporary folder and records what it answers; the library replays the recording. A difference
 * is cut down to the fewest operations that still show it, and printed with the line that finds it again. Nothing of the
 * kernel stays. Exit code 0 when all agree, 1 at a difference, 2 for wrong usage; skips with a word about what is missing.
 */

const USAGE =
  'usage: npm run differential -- PATH [NAMES...] [--seed N] [--seconds N] [--steps N] [--runs N] [--keep FOLDER]';

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      seconds: { type: 'string', default: '10' },
      steps: { type: 'string', default: '2000' },
      runs: { type: 'string', default: 'Infinity' },
      keep: { type: 'string' },
    },
  });
  const [tree, ...names] = positionals;
  const count = (name: 'seed' | 'seconds' | 'steps' | 'runs'): number => {
    const value = Number(values[name]);
    if (!(value >= 0)) throw new RangeError(`--${name} must be a number, not ${values[name]}`);
    return value;
  };
  const [seed, seconds, steps, runs] = [count('seed'), count('seconds'), count('steps'), count('runs')];
  const unknown = names.find((name) => !SUBJECTS.some(({ program }) => program.name === name));
  if (unknown) {
    throw new RangeError(`${unknown} is none of ${SUBJECTS.map(({ program }) => program.name).join(', ')}`);
  }
  const compiler = findCompiler();
  if (!tree || !compiler) {
    const what = tree ? 'no C compiler' : 'give the path of an unpacked Linux source tree (Debian: linux-source-6.12)';
    console.log(`differential skipped: ${what}`);
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'gemdma-differential-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  let code = 0;
  for (const subject of SUBJECTS) {
    const { name, title } = subject.program;
    if (names.length > 0 && !names.includes(name)) continue;
    const lacking = missing(subject.program, tree);
    if (lacking.length > 0) {
      console.log(`${name}: skipped, the tree has no ${lacking.join(', ')}`);
      continue;
    }
    const run = new Run(subject, compile(subject.program, tree, compiler, folder), folder);
    const start = performance.now();
    let done = 0;
    let checked = 0;
    let difference = null;
    for (; done < runs && performance.now() - start < seconds * 1000 && !difference; ++done) {
      const operations = subject.generate(new Random(seed + done), steps);
      const result = run.compare(operations);
      checked += result.matched;
      if (result.divergence) difference = { operations, seed: seed + done };
    }
    const took = ((performance.now() - start) / 1000).toFixed(1);
    console.log(
      `${name}: ${checked.toLocaleString('en')} steps beside ${title} in ${done} runs, ${took} s, seed ${seed}`,
    );
    if (!difference) continue;
    code = 1;
    const least = run.shrink(difference.operations);
    const { divergence } = run.compare(least);
    console.log(`${name}: DIFFERS. ${least.length - 1} of ${difference.operations.length - 1} operations show it:`);
    console.log(least.map((line) => `    ${line}`).join('\n'));
    console.log(`  ${divergence?.operation}: the kernel ${divergence?.expected}, ours ${divergence?.got}`);
    console.log(`  again: npm run differential -- PATH ${name} --seed ${difference.seed} --runs 1 --steps ${steps}`);
    if (values.keep) {
      mkdirSync(values.keep, { recursive: true });
      const file = join(values.keep, `${name}-${difference.seed}.txt`);
      writeFileSync(file, run.record(least));
      console.log(`  kept as ${file}`);
    }
  }
  return code;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
  console.error(`${error.message}\n${USAGE}`);
  process.exitCode = 2;
}
