import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Figure, FULL, figures, format, measure, QUICK, type Sample, type Suite } from './frame.js';

/**
 * Runs the suites of this folder: `npm run bench [-- NAMES...] [--quick] [--json FILE] [--rounds N] [--time MS]`.
 * Names choose suites whose name begins so. Exit code 0 whatever the figures are: timings are no test.
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    json: { type: 'string' },
    rounds: { type: 'string' },
    time: { type: 'string' },
    // For the processes that this one starts: print the samples of one variant.
    variant: { type: 'string' },
  },
});

const folder = new URL('./', import.meta.url);
const frame = { ...(values.quick ? QUICK : FULL) };
if (values.rounds) frame.rounds = Number(values.rounds);
if (values.time) frame.time = Number(values.time);

if (values.variant === undefined) await runAll();
else console.log(JSON.stringify(await measure(await load(positionals[0]), values.variant, frame.time)));

async function load(name: string): Promise<Suite> {
  return ((await import(new URL(`${name}.bench.js`, folder).href)) as { default: Suite }).default;
}

async function runAll(): Promise<void> {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.bench.js'))
    .map((file) => file.slice(0, -'.bench.js'.length))
    .filter((name) => positionals.length === 0 || positionals.some((start) => name.startsWith(start)))
    .sort();
  if (names.length === 0) {
    console.error(`bench: no suite is called ${positionals.join(' or ')}`);
    process.exit(2);
  }
  console.log(
    `${cpus().length} CPUs, ${cpus()[0].model}, Node ${process.version}, ${process.platform} ${process.arch}`,
  );
  console.log(
    values.quick
      ? 'quick: every suite runs, the figures say nothing\n'
      : `ns/op: median of ${frame.rounds} rounds of ${frame.time} ms a task; range: fastest to slowest round\n`,
  );
  const report: Record<string, Figure[]> = {};
  for (const name of names) {
    const suite = await load(name);
    const samples: Sample[] = [];
    for (let round = 0; round < frame.rounds; ++round) {
      for (const variant of suite.variants ?? ['']) samples.push(...child(name, variant));
    }
    report[name] = figures(samples);
    console.log(`${format(suite, report[name])}\n`);
  }
  if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 2));
}

/** One round of one variant, in a process of its own. Ends this one when it fails or is interrupted. */
function child(name: string, variant: string): Sample[] {
  const args = [fileURLToPath(import.meta.url), name, '--variant', variant, '--time', String(frame.time)];
  const { status, signal, stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (signal) process.exit(130);
  if (status !== 0) {
    console.error(`bench: suite ${name} failed`);
    process.exit(1);
  }
  return JSON.parse(stdout) as Sample[];
}
