// What the package costs: bytes of wasm, of the library as loaded, of the tarball; what the library's entry imports; and
// how long loading takes. Sizes and imports are held to limits (exit code 1 beyond), times are only told.
//
//   node scripts/sizes.mjs          a table
//   node scripts/sizes.mjs --json   the same for machines

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parseSync } from 'rolldown/utils';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
// What the package exports is a bundle of these modules.
const entry = join(root, 'dist/index.js');
const bundled = join(root, 'dist/bundle/index.js');
const allocator = join(root, 'dist/bundle/iova.js');
/** What making a machine does not load. */
const LATER = /\/dist\/(cli|driver|recordings|threads|trace|workload)\/|\/generated\/(threads|release-driver)/;
const KB = 1000;

/** Most bytes of each: what there is, and a little room. The tools and drivers' module are compiled at their first use. */
const MODULES = {
  // With bounce pools that grow, the contiguous area and atomic pools: 8 KB.
  'release.wasm': 133 * KB,
  'release-tools.wasm': 22 * KB,
  'release-driver.wasm': 94 * KB,
  'threads.wasm': 138 * KB,
  'threads-tools.wasm': 22 * KB,
};
const LIMITS = {
  ...MODULES,
  // With the requests of DRM and i915 (gpu.open): 67 KB.
  'library, bundled': 615 * KB,
  'gemdma/iova, bundled': 262 * KB,
  'package, packed': 2180 * KB,
};
const LOADS = 20;

const library = graph(entry);
const bundle = graph(bundled);
const packed = pack();
const sizes = {
  ...Object.fromEntries(Object.keys(MODULES).map((name) => [name, statSync(join(root, 'build', name)).size])),
  'library, bundled': bytesOf(bundle),
  'gemdma/iova, bundled': bytesOf(graph(allocator)),
  'package, packed': packed.size,
};
const wrong = [
  ...Object.entries(sizes)
    .filter(([name, bytes]) => bytes > LIMITS[name])
    .map(([name, bytes]) => `${name} takes ${bytes} bytes, the limit is ${LIMITS[name]}`),
  ...[...library.foreign, ...bundle.foreign].map(
    ({ file, name }) => `the library imports '${name}' (in ${relative(root, file)})`,
  ),
  ...library.files
    .filter((file) => LATER.test(file))
    .map((file) => `${relative(root, file)} is reachable from the library's entry`),
];
const load = loadTimes();
const gzip = gzipSync(readFileSync(join(root, 'build/release.wasm'))).length;

if (process.argv.includes('--json')) {
  console.log(
    JSON.stringify(
      {
        sizes,
        limits: LIMITS,
        gzip: { 'release.wasm': gzip },
        modules: library.files.length,
        builtins: library.builtins,
        unpacked: packed.unpackedSize,
        loadMilliseconds: load,
        wrong,
      },
      null,
      2,
    ),
  );
} else {
  for (const [name, bytes] of Object.entries(sizes)) row(name, bytes, `of ${kb(LIMITS[name])} allowed`);
  row('release.wasm, gzip', gzip, '');
  row('package, unpacked', packed.unpackedSize, `${packed.files.length} files`);
  console.log(
    `library entry           ${library.files.length} modules in ${bundle.files.length} files, no dependency; of Node: ${library.builtins.join(', ') || 'none'}`,
  );
  console.log(
    `load and first machine  ${load.total.toFixed(1)} ms (Node's loader ${load.node.toFixed(1)}, import ${load.import.toFixed(1)}, machine ${load.machine.toFixed(1)}; medians of ${LOADS} fresh processes)`,
  );
  for (const line of wrong) console.error(`sizes: ${line}`);
}
process.exitCode = wrong.length > 0 ? 1 : 0;

function kb(bytes) {
  return `${(bytes / KB).toFixed(1)} KB`;
}

function row(name, bytes, note) {
  console.log(`${name.padEnd(22)} ${kb(bytes).padStart(10)}  ${note}`.trimEnd());
}

function bytesOf({ files }) {
  return files.reduce((sum, file) => sum + statSync(file).size, 0);
}

/** Every module that importing a file loads, and what it names from outside, be it later. */
function graph(start) {
  const files = new Set([start]);
  const foreign = [];
  const builtins = new Set();
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const { staticImports, staticExports, dynamicImports } = parseSync(file, text).module;
    const now = [
      ...staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...staticExports.flatMap(({ entries }) => entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? [])),
    ];
    const later = dynamicImports.map(({ moduleRequest: { start, end } }) => text.slice(start + 1, end - 1));
    for (const name of [...now, ...later]) {
      if (name.startsWith('.')) {
        const next = resolve(dirname(file), name);
        if (!existsSync(next)) throw new Error(`${file} imports ${name}, which is not there`);
        // What is imported later, as threads are, is loaded by those who ask for it.
        if (now.includes(name)) files.add(next);
      } else if (name.startsWith('node:') || builtinModules.includes(name)) {
        builtins.add(name);
      } else {
        foreign.push({ file, name });
      }
    }
  }
  return { files: [...files], foreign, builtins: [...builtins].sort() };
}

function pack() {
  const { status, stdout, stderr } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  const report = JSON.parse(stdout);
  // An array up to npm 11, an object by package name after it.
  return Array.isArray(report) ? report[0] : Object.values(report)[0];
}

/**
 * Milliseconds from the start of the import to a machine that works, in fresh processes: medians, each by itself. `node` is
 * the import of an empty module, which no library can be below.
 */
function loadTimes() {
  const script = `
    const t0 = performance.now();
    await import('data:text/javascript,');
    const t1 = performance.now();
    const { Machine } = await import(${JSON.stringify(pathToFileURL(bundled).href)});
    const t2 = performance.now();
    new Machine({ ram: '16MiB' });
    const t3 = performance.now();
    console.log(JSON.stringify({ node: t1 - t0, import: t2 - t1, machine: t3 - t2, total: t3 - t0 }));`;
  const runs = Array.from({ length: LOADS }, () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    if (!stdout) throw new Error(`the library does not load: ${stderr}`);
    return JSON.parse(stdout);
  });
  const median = (part) => runs.map((run) => run[part]).sort((a, b) => a - b)[LOADS >> 1];
  return Object.fromEntries(Object.keys(runs[0]).map((part) => [part, median(part)]));
}
