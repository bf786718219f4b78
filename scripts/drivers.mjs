// npm run drivers -- DIR: drivers of a kernel tree, unmodified, each with a model of its device (examples/drivers/kernel):
// compiled, linked, run, and every allocation made to fail. A table, and what was found by line.
//
//   npm run drivers -- ~/linux                   all of them
//   npm run drivers -- ~/linux --only natsemi    one
//   npm run drivers -- ~/linux --reports DIR     each driver's findings as a text that can be sent
//   npm run drivers -- ~/linux --census 100      which of 100 files that use the DMA API compile, and why not
//   npm run drivers -- ~/linux --census 100 --under drivers/gpu/drm/i915/gem    of a folder, all its files
//   --json                                       the same as JSON

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildDriver, driverFailNth, failNthText } from '../dist/bundle/driver.js';
import { table } from '../dist/cli/print.js';
import { symbolsOf } from '../dist/driver/symbols.js';
import { census, censusText } from './drivers-census.mjs';
import { kernelVersion, treeOf } from './drivers-tree.mjs';

const COLLECTION = fileURLToPath(new URL('../examples/drivers/kernel/', import.meta.url));
/** A driver that loops for ever does so at many points. */
const TIME_LIMIT = 3000;
const TOGETHER = Math.min(2, availableParallelism());

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    reports: { type: 'string' },
    census: { type: 'string' },
    offset: { type: 'string', default: '0' },
    under: { type: 'string' },
  },
});

const kernel = treeOf(positionals[0] ?? process.env.GEMDMA_KERNEL);
if (kernel === null) {
  console.error('drivers: name a kernel tree, as in: npm run drivers -- ~/linux (scripts/kernel-source.sh gets one)');
  process.exit(2);
}
if (values.census !== undefined) {
  const result = await census(kernel, Number(values.census), Number(values.offset), values.under);
  console.log(values.json ? JSON.stringify(result, null, 1) : censusText(result));
} else await collection();

async function collection() {
  const names = readdirSync(COLLECTION)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => name.replace('.mjs', ''))
    .filter((name) => values.only.length === 0 || values.only.includes(name));
  if (names.length === 0) {
    console.error(`drivers: there is no ${values.only.join(', ')} in examples/drivers/kernel`);
    process.exit(2);
  }
  const results = [];
  const worker = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) results.push(await one(name));
  };
  await Promise.all(Array.from({ length: TOGETHER }, worker));
  results.sort((a, b) => (a.driver < b.driver ? -1 : 1));
  if (values.json) console.log(JSON.stringify(results, null, 1));
  else print(results);
}

/** One driver, in both widths of dma_addr_t. */
async function one(name) {
  const test = join(COLLECTION, `${name}.mjs`);
  const { source, with: more = [], define = [], dmaBits = [64, 32] } = await import(test);
  const result = { driver: name, source, compiled: false, missing: [], points: 0, tried: 0, findings: [], seconds: 0 };
  const start = performance.now();
  const texts = [];
  const known = new Map();
  for (const bits of dmaBits) {
    let built;
    try {
      built = await buildDriver({
        files: [join(kernel, source)],
        with: more.map((file) => join(kernel, file)),
        kernel,
        define,
        dmaBits: bits,
      });
    } catch (error) {
      result.error = error.message;
      break;
    }
    result.compiled = true;
    result.missing = symbolsOf(built.wasm)
      .filter(({ kind }) => kind === 'missing')
      .map((symbol) => symbol.name);
    const found = await driverFailNth(built.wasm, test, { dmaBits: bits, timeLimit: TIME_LIMIT });
    result.points += found.points;
    result.tried += found.tried;
    const command = `gemdma driver run ${name}${bits === 32 ? '.dma32' : ''}.wasm --test examples/drivers/kernel/${name}.mjs`;
    texts.push(failNthText(found, { command }));
    for (const finding of found.baseline) note(known, finding, bits, null);
    for (const { finding, point } of found.failures) note(known, finding, bits, point);
  }
  result.findings = [...known.values()];
  result.seconds = (performance.now() - start) / 1000;
  if (values.reports !== undefined && result.compiled) {
    const head = [
      `${source}, ${kernelVersion(kernel)}, unmodified, under gemdma.`,
      `Built with: gemdma driver build $K/${source} --kernel $K -o ${name}.wasm`,
    ];
    mkdirSync(resolve(values.reports), { recursive: true });
    writeFileSync(join(values.reports, `${name}.txt`), `${head.join('\n')}\n\n${texts.join('\n\n')}\n`);
  }
  return result;
}

function note(known, { id, message, at, born }, bits, point) {
  const line = (place) => (place === null ? '' : `${place.func}:${place.line}`);
  const key = [id, line(at), line(born)].join('|');
  const entry = known.get(key) ?? { id, at: line(at), born: line(born), message, widths: [], when: null };
  if (!entry.widths.includes(bits)) entry.widths.push(bits);
  if (point !== null) entry.when ??= `${point.kind} at ${line(point.at)}`;
  known.set(key, entry);
}

function print(results) {
  const rows = results.map(({ driver, compiled, missing, points, tried, findings, seconds }) => [
    driver,
    compiled ? 'yes' : 'no',
    compiled ? (missing.length === 0 ? 'yes' : `${missing.length} missing`) : '',
    `${tried} of ${points}`,
    `${findings.filter(({ when }) => when === null).length} + ${findings.filter(({ when }) => when !== null).length}`,
    `${seconds.toFixed(1)} s`,
  ]);
  console.log(
    table(['driver', 'compiled', 'linked', 'points tried', 'findings: as it is + at a failure', 'time'], rows),
  );
  for (const { driver, source, findings, error, missing } of results) {
    console.log(`\n${driver} (${source})`);
    if (error) console.log(`  ${error.split('\n').find((line) => line.includes('error')) ?? error}`);
    if (missing.length > 0) console.log(`  not modelled: ${missing.join(', ')}`);
    for (const { id, at, born, when, widths } of findings) {
      const width = widths.length === 1 ? `, ${widths[0]} bits only` : '';
      const of = born === '' ? '' : `, of ${born}`;
      console.log(`  ${id} ${at || 'at the end'}${of}${when === null ? '' : ` when ${when} fails`}${width}`);
    }
    if (findings.length === 0 && !error) console.log('  clean');
  }
}
