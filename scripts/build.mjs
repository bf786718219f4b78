// Builds everything: the WebAssembly core (release, threads and debug), its embedding for the host, and dist/.
//
//   node scripts/build.mjs               always
//   node scripts/build.mjs --if-needed   only when a source is newer than the last build
//   node scripts/build.mjs --if-absent   only when there has been none: npm's prepare, for a clone and for npm install of one
//
// The core is three modules on one linear memory: what a machine runs on, its tools (assembly/tools.ts) and what C drivers
// call (assembly/driver), which are compiled on first use. The debug build has the first two in one
// module. The wasm is embedded as base64 in src/core/generated, so that the library loads synchronously and alike in Node
// and under a bundler. What the host knows of the core beside it, the debug build's compiler tells (contract.mjs).

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateContract } from './contract.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const generated = join(root, 'src/core/generated');
const coreSources = ['assembly', 'asconfig.json', 'scripts/build.mjs', 'scripts/contract-transform.mjs'];
const sources = [...coreSources, 'scripts/contract.mjs', 'src', 'tsconfig.build.json', 'package.json'];
const CORE = 'assembly/index.ts';
const TOOLS = 'assembly/tools.ts';
const DRIVER = 'assembly/driver/index.ts';
const CONTRACT = 'assembly/contract.ts';
// The records of the contract are no exports of the module, of which the compiler would warn.
const CONTRACT_OPTIONS = ['--transform', './scripts/contract-transform.mjs', '--disableWarning', '235'];
/** File in build/ to the compiler's target (asconfig.json) and what the module exports. */
const modules = {
  release: { target: 'release', entries: [CORE] },
  'release-tools': { target: 'release', entries: [TOOLS] },
  'release-driver': { target: 'release', entries: [DRIVER] },
  threads: { target: 'threads', entries: [CORE] },
  'threads-tools': { target: 'threads', entries: [TOOLS] },
  debug: { target: 'debug', entries: [CORE, TOOLS, CONTRACT], more: CONTRACT_OPTIONS },
};

/** Files of the package that several entries share: their name, and the entry that needs no more than them. */
const SHARED = [
  ['allocator', 'iova/index'],
  ['machine', 'index'],
];

const ifNeeded = process.argv.includes('--if-needed');
if (process.argv.includes('--if-absent') && time('build/stamp') > 0) process.exit(0);
if (ifNeeded && changed(sources) < time('build/stamp')) process.exit(0);

mkdirSync(join(root, 'build'), { recursive: true });
mkdirSync(generated, { recursive: true });
const started = performance.now();
// The compiler of the core takes most of the time, and most changes are to the host alone.
if (Object.keys(modules).some((name) => time(`build/${name}.wasm`) < changed(coreSources))) {
  const names = Object.keys(modules);
  say(`the core, ${names.length} WebAssembly modules (half a minute on two cores)`);
  let done = 0;
  // On a busy machine the first module takes a minute: something is said meanwhile.
  const waiting = setInterval(() => say(`  still compiling (${done} of ${names.length})`), 10_000);
  await Promise.all(names.map(async (name) => say(`  ${await compile(name)} (${++done} of ${names.length})`)));
  clearInterval(waiting);
}
say('the library and the command');
generateContract(root, generated, { CoreExports: 'release', ToolExports: 'release-tools' });
for (const name of Object.keys(modules)) if (name !== 'debug') embed(name);
rmSync(join(root, 'dist'), { recursive: true, force: true });
// The package's types leave out what is @internal; benchmarks and tests of this repository see all of it.
const whole = ['--stripInternal', 'false', '--emitDeclarationOnly', '--outDir', 'build/types'];
await Promise.all([
  bundle(),
  run('typescript/bin/tsc', ['-p', 'tsconfig.build.json']),
  run('typescript/bin/tsc', ['-p', 'tsconfig.build.json', ...whole]),
]);
commonJs();
// What C drivers are compiled with.
cpSync(join(root, 'src/driver/c'), join(root, 'dist/driver/c'), { recursive: true });
writeFileSync(join(root, 'build/stamp'), '');
say('done');

/** Prints the step that is built, with the seconds so far. On standard error, since results are on standard output. */
function say(what) {
  console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${what}`);
}

// For `require()`, which Node loads ES modules with since 20.19, and for the compiler, which knows that under `nodenext` alone.
function commonJs() {
  const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const { require: entry } of Object.values(entries).filter((entry) => typeof entry === 'object')) {
    const name = (file) => file.slice(file.lastIndexOf('/') + 1).replace(/\.(?:d\.)?cjs$|\.d\.cts$/, '');
    writeFileSync(join(root, entry.default), `module.exports = require('./${name(entry.default)}.js');\n`);
    const types = `// @ts-ignore TS1479 of \`node16\`: this \`require\` loads ES modules.\nexport * from './${name(entry.types)}.js';\n`;
    writeFileSync(join(root, entry.types), types);
  }
}

// What is published: the entries of package.json, the command, and the modules that workers start with, in one folder two
// levels deep, as the sources are that find files beside them or of the package. Node takes 50 ms to find and read a
// hundred modules, and 5 to read one; and it reads comments too. Names stay as they are, and the maps have the sources.
async function bundle() {
  const { rolldown } = await import('rolldown');
  const { exports: entries, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const published = Object.keys(entries).filter((name) => name.startsWith('./') && !name.endsWith('.json'));
  const input = {
    ...{
      index: 'index',
      cli: 'cli/main',
      'typescript-hooks': 'cli/typescript-hooks',
      'program-runner': 'cli/program-runner',
      'trace-worker': 'cli/trace-worker',
      'replay-worker': 'trace/replay/replay-worker',
    },
    ...{ worker: 'threads/worker', 'driver-worker': 'driver/driver-worker' },
    ...{ job: 'workload/bench/job', 'hammer-job': 'stress/threads/hammer-job' },
    ...Object.fromEntries(published.map((name) => [name.slice(2), `${name.slice(2)}/index`])),
  };
  const build = await rolldown({
    input: Object.fromEntries(Object.entries(input).map(([name, file]) => [name, join(root, 'src', `${file}.ts`)])),
    external: Object.keys(dependencies),
    platform: 'node',
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    transform: { target: 'es2023' },
    tsconfig: join(root, 'tsconfig.build.json'),
    // The maps are for reading: wasm in base64 is left out of them.
    plugins: [
      {
        name: 'embedded',
        transform: (code, id) =>
          /\bwasm =$/m.test(code) && id.startsWith(generated) ? { code, map: { mappings: '' } } : null,
      },
    ],
    logLevel: 'warn',
  });
  await build.write({
    dir: join(root, 'dist/bundle'),
    format: 'esm',
    chunkFileNames: '[name]-[hash].js',
    // One file for what an allocator by itself needs, and one for what a machine needs besides.
    codeSplitting: {
      groups: [
        { debugName: 'entries', name: (id, context) => SHARED.find(([, entry]) => needs(context, entry).has(id))?.[0] },
      ],
    },
    minify: { compress: false, mangle: false, codegen: true },
    sourcemap: true,
  });
  await build.close();
}

/** Modules that an entry imports, without those that it imports later. */
function needs(context, entry) {
  const ids = new Set([join(root, 'src', `${entry}.ts`)]);
  for (const id of ids) for (const next of context.getModuleInfo(id)?.importedIds ?? []) ids.add(next);
  return ids;
}

/** Time of the newest change below any of these paths. */
function changed(paths) {
  let newest = 0;
  const visit = (path) => {
    const stat = statSync(path);
    if (!stat.isDirectory()) {
      newest = Math.max(newest, stat.mtimeMs);
    } else if (path !== generated) {
      for (const name of readdirSync(path)) visit(join(path, name));
    }
  };
  for (const path of paths) visit(join(root, path));
  return newest;
}

/** Time of a file, 0 when it is not there. */
function time(path) {
  try {
    return statSync(join(root, path)).mtimeMs;
  } catch {
    return 0;
  }
}

async function compile(name) {
  const { target, entries, more = [] } = modules[name];
  await run('assemblyscript/bin/asc.js', [...entries, '--target', target, '--outFile', `build/${name}.wasm`, ...more]);
  return name;
}

function run(script, args) {
  const path = createRequire(import.meta.url).resolve(`${script.split('/')[0]}/package.json`);
  const file = join(dirname(path), ...script.split('/').slice(1));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('exit', (code) => (code === 0 ? resolve() : process.exit(code ?? 1)));
  });
}

function embed(name) {
  const base64 = readFileSync(join(root, `build/${name}.wasm`)).toString('base64');
  writeFileSync(
    join(generated, `${name}.ts`),
    `// Made by scripts/build.mjs: build/${name}.wasm.\n\nexport const wasm =\n  '${base64}';\n`,
  );
}
