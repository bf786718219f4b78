import { readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type Figure, FULL, format, measure, QUICK, type Suite } from './frame.js';

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
  },
});

const folder = new URL('.', import.meta.url);
const files = readdirSync(folder)
  .filter((file) => file.endsWith('.bench.js'))
  .filter((file) => positionals.length === 0 || positionals.some((name) => file.startsWith(name)))
  .sort();
if (files.length === 0) {
  console.error(`bench: no suite is called ${positionals.join(' or ')}`);
  process.exit(2);
}

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
const frame = { ...(values.quick ? QUICK : FULL), signal: interrupted.signal };
if (values.rounds) frame.rounds = Number(values.rounds);
if (values.time) frame.time = Number(values.time);

const [{ model }] = cpus();
console.log(`${cpus().length} CPUs, ${model}, Node ${process.version}, ${process.platform} ${process.arch}`);
console.log(
  values.quick
    ? 'quick: every suite runs, the figures say nothing\n'
    : `ns/op: median of ${frame.rounds} rounds of ${frame.time} ms a task; range: fastest to slowest round\n`,
);

const report: Record<string, Figure[]> = {};
for (const file of files) {
  if (interrupted.signal.aborted) break;
  const { default: suite } = (await import(new URL(file, folder).href)) as { default: Suite };
  report[suite.name] = await measure(suite, frame);
  console.log(`${format(suite, report[suite.name])}\n`);
}
if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 2));
if (interrupted.signal.aborted) process.exitCode = 130;
