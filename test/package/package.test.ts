import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { filesOf, packedProject, root } from './packed.js';

const project = packedProject();

/** What a consumer writes: every entry, with types that signatures name. */
const CONSUMER = `
import { bench, failNthAsync, GemDmaError, Machine, stress } from 'gemdma';
import { driverStress, type BuildOptions, type DriverFinding } from 'gemdma/driver';
import { IovaDomain } from 'gemdma/iova';
import { verify } from 'gemdma/recordings';
import { Audit } from 'gemdma/trace';
import { FAIL_NTH_SCENARIOS, runScenario } from 'gemdma/workload';
import type { DmaDevice, Finding, I915Device, MappingPolicy, PolicySource, StressResult, Vma } from 'gemdma';
import { WorkerPool } from 'gemdma/threads';

export const policy: MappingPolicy = { name: 'mine', getPages: (object) => object.mapSg(), putPages: (object) => object.unmapSg() };
export const source: PolicySource = () => policy;
export async function all(): Promise<[StressResult, number]> {
  using machine = new Machine({ ram: '16MiB' });
  const gpu: I915Device = machine.addI915({ policy });
  const device: DmaDevice = machine.addDevice();
  const vma: Vma = gpu.createObject('64KiB').bind(gpu.ggtt);
  machine.dmaDebug.onError = (finding: Finding) => finding.message;
  await using pool = await WorkerPool.create(1, { ram: '16MiB' });
  const controller = { aborted: false, addEventListener() {}, removeEventListener() {} };
  const { failures } = await failNthAsync(FAIL_NTH_SCENARIOS[0], { policy: source, signal: controller });
  const { map } = await bench({ seconds: 0.1, onProgress: ({ done, total }) => done / total });
  const leaked = runScenario('L1', { policy: 'i915-4.1' }).leakedMappings;
  if (GemDmaError.is(undefined)) verify('x').matched;
  const build: BuildOptions = { files: ['nic.c'], signal: controller, onProgress: ({ done, total, what }) => [done, total, what] };
  const { findings } = await driverStress(new Uint8Array(), build.files[0], { rounds: 1, signal: controller });
  const wrong: DriverFinding | undefined = findings[0]?.finding;
  if (wrong) return [await stress({ policy: source }), wrong.count];
  const known: boolean = new Audit().result() !== null && IovaDomain.standalone().alloc(1) > 0;
  if (!known) throw new Error();
  return [await stress({ policy: source }), failures.length + map.p50 + leaked + vma.start + device.id + pool.size];
}
`;

/** The same of a CommonJS module. */
const REQUIRING = `
import gemdma = require('gemdma');
import driver = require('gemdma/driver');
import iova = require('gemdma/iova');
import recordings = require('gemdma/recordings');
import threads = require('gemdma/threads');
import trace = require('gemdma/trace');
import { runScenario } from 'gemdma/workload';
const machine: gemdma.Machine = new gemdma.Machine({ ram: '16MiB' });
const pfn: number = iova.IovaDomain.standalone().alloc(1);
const leaked: number = runScenario('L1', { policy: 'i915-4.1' }).leakedMappings;
export = [machine.config, pfn, leaked, driver.loadTest, recordings.verify, threads.WorkerPool, trace.Audit];
`;

/** What must not be there: the inside of the core and the driver's own state. */
const INTERNALS = ['machine.core', 'machine.context', 'gpu.vmList', 'object.backing', 'object.cursor'].map(
  (expression) => `import type { GemObject, I915Device, Machine } from 'gemdma';
declare const machine: Machine; declare const gpu: I915Device; declare const object: GemObject;
void [machine, gpu, object];
export const inside = ${expression};
`,
);

const COMPILERS = { '5.9': 'typescript-5.9', current: 'typescript' };
const RESOLUTIONS = { node16: 'node16', nodenext: 'nodenext', bundler: 'esnext' };

function typescript(compiler: string, file: string, resolution: keyof typeof RESOLUTIONS): [number | null, string] {
  const tsc = join(root, 'node_modules', compiler, 'bin/tsc');
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
  const target = ['--target', 'es2022', '--lib', 'es2022,esnext.disposable'];
  const modules = ['--module', RESOLUTIONS[resolution], '--moduleResolution', resolution];
  const { status, stdout } = project.run(process.execPath, tsc, ...flags, ...target, ...modules, file);
  return [status, stdout];
}

describe('strict consumers without DOM and without the types of Node', () => {
  const consumer = project.write('consumer.ts', CONSUMER);
  const cases = Object.entries(COMPILERS).flatMap(([version, compiler]) =>
    (Object.keys(RESOLUTIONS) as (keyof typeof RESOLUTIONS)[]).map((how) => [version, how, compiler] as const),
  );
  test.each(cases)('TypeScript %s, %s', (_, resolution, compiler) => {
    expect(typescript(compiler, consumer, resolution)).toEqual([0, '']);
  });

  // `node16` knows no require() of ES modules, and finds declarations for it.
  const cts = project.write('consumer.cts', REQUIRING);
  test.each(cases.filter(([, how]) => how !== 'bundler'))('TypeScript %s, %s, CommonJS', (_, resolution, compiler) => {
    expect(typescript(compiler, cts, resolution)).toEqual([0, '']);
    const wrong = project.write('wrong.cts', REQUIRING.replace("ram: '16MiB'", 'ram: true'));
    expect(typescript(compiler, wrong, resolution)).toEqual([expect.any(Number), expect.stringContaining('TS2322')]);
  });

  test.each(INTERNALS.map((text) => [/inside = (\S+);/.exec(text)![1], text]))('%s is not public', (_, text) => {
    const [status, out] = typescript(COMPILERS.current, project.write('inside.ts', text), 'nodenext');
    expect(out).toMatch(/Property '\w+' does not exist/);
    expect(status).not.toBe(0);
  });
});

test('every type that a signature names is exported', () => {
  const extractor = join(root, 'node_modules/@microsoft/api-extractor/bin/api-extractor');
  const config = join(root, 'scripts/api-extractor.json');
  const { status, stdout, stderr } = spawnSync(process.execPath, [extractor, 'run', '--config', config], {
    cwd: root,
    encoding: 'utf8',
  });
  // A constant whose keys or values make a type (`keyof typeof FAULTS`) is no type itself.
  const said = `${stdout}${stderr}`.split('\n').filter((line) => /\((?:ae-|TS)/.test(line));
  const forgotten = said.filter((line) => !/The symbol "[A-Z_]+(?:_\d)?" needs/.test(line));
  expect(forgotten).toEqual([]);
  expect(status).not.toBeNull();
});

test('publint finds nothing', () => {
  const publint = join(root, 'node_modules/publint/src/cli.js');
  const { status, stdout } = project.run(
    process.execPath,
    publint,
    '--strict',
    join(project.folder, 'node_modules/gemdma'),
  );
  expect(stdout).toContain('All good!');
  expect(status).toBe(0);
});

test('are the types wrong? no', () => {
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  const { status, stdout } = project.run(
    process.execPath,
    attw,
    '--profile',
    'node16',
    '--format',
    'ascii',
    project.tarball,
  );
  expect(stdout).toMatch(/bundler: 🟢/);
  expect(status).toBe(0);
});

const PROGRAM = `
import { Machine, stress, stressThreads } from 'gemdma';
import { runScenario } from 'gemdma/workload';
import { WorkerPool } from 'gemdma/threads';
const machine = new Machine({ ram: '16MiB' });
machine.check();
const { failure } = await stress({ operations: 2000 });
const { failures } = await stressThreads({ threads: 1, operations: 1000, machine: { ram: '32MiB', memoryLimit: '64MiB' } });
const pool = await WorkerPool.create(1, { ram: '16MiB' });
await pool.close();
console.log(process.version.split('.')[0], runScenario('L1', { policy: 'i915-4.1' }).leakedMappings, failure, failures.length);
`;

const PLATFORM = `
import { runScenarioAsync, stress, stressThreads, verifyAsync } from 'gemdma';
const { failure } = await stress({ operations: 2000 });
const { failures } = await stressThreads({ threads: 1, operations: 1000, machine: { ram: '32MiB', memoryLimit: '64MiB' } });
const { steps, matched } = await verifyAsync(process.argv[2]);
const { leakedMappings } = await runScenarioAsync('L1', { policy: 'i915-4.1' });
console.log(leakedMappings, failure, steps === matched, failures.length);
process.exit();
`;

describe('the packed file runs', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [, oldest] = /^>=(\d+\.\d+)$/.exec(engines.node)!;
  const program = project.write('program.mjs', PROGRAM);
  const cli = join(project.folder, 'node_modules/.bin/gemdma');
  test.each([oldest, '22', '24'])(
    'under Node %s: library, threads and command',
    (version) => {
      const node = (...args: string[]) => project.run('npx', '-y', '-p', `node@${version}`, 'node', ...args);
      expect(node(program)).toMatchObject({ stdout: `v${version.split('.')[0]} 1 null 0\n`, status: 0 });
      expect(node(cli, 'run', 'L1', '--policy', 'i915-4.1')).toMatchObject({ status: 0, stderr: '' });
      const names = JSON.stringify(entries.map(([name]) => name.replace('.', 'gemdma')));
      const required = project.write(
        'required.cjs',
        `const same = ${names}.map(async (name) => {
          const [a, b] = [require(name), await import(name)];
          return Object.keys(b).length > 1 && Object.keys(b).every((key) => a[key] === b[key]);
        });
        Promise.all(same).then((all) => console.log(all.join()));`,
      );
      const all = entries.map(() => 'true').join();
      expect(node('--disable-warning=ExperimentalWarning', required)).toMatchObject({ status: 0, stdout: `${all}\n` });
      const policy = project.write(
        'policy.ts',
        "import { POLICIES } from 'gemdma';\nconst name: string = 'mine';\nexport default { ...POLICIES['i915-4.1'], name };\n",
      );
      expect(node(cli, 'stress', '--policy', policy, '--ops', '2k')).toMatchObject({
        status: 1,
        stdout: expect.stringContaining('DOUBLE_MAP'),
      });
    },
    180_000,
  );
});

test.each([
  ['bun@1', 'bun', 'run'],
  ['deno@2', 'deno', 'run', '-A', '--node-modules-dir=manual'],
])(
  'the packed file runs under %s: library, recordings and threads',
  (version, ...command) => {
    const program = project.write('platform.mjs', PLATFORM);
    const recording = join(root, 'test/golden/iova/c_full.txt.gz');
    const { status, stdout } = project.run('npx', '-y', '-p', version, ...command, program, recording);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '1 null true 0\n' });
  },
  180_000,
);

/** Every file that a file of the package imports, now or later, itself included, and what it imports from elsewhere. */
function importsOf(start: string): { files: string[]; foreign: string[] } {
  const files = new Set([start]);
  const foreign = new Set<string>();
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const { staticImports, staticExports, dynamicImports } = parseSync(file, text).module;
    const later = dynamicImports.map(({ moduleRequest: { start: from, end } }) => text.slice(from, end));
    const names = [
      ...staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...staticExports.flatMap(({ entries }) => entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? [])),
      // What is not known before it is imported, such as clang's package, is no import of the package's own.
      ...later.filter((name) => /^["'`]/.test(name)).map((name) => name.slice(1, -1)),
    ];
    for (const name of names) {
      if (name.startsWith('.')) files.add(join(file, '..', name));
      else foreign.add(name);
    }
  }
  return { files: [...files], foreign: [...foreign] };
}

interface Entry {
  default: string;
  types: string;
  require: { default: string; types: string };
}

const shipped = join(project.folder, 'node_modules/gemdma');
const manifest = JSON.parse(readFileSync(join(shipped, 'package.json'), 'utf8'));
const entries = Object.entries(manifest.exports as Record<string, Entry>).filter(([name]) => !name.endsWith('.json'));

test('what is in it: what runs, what is read, and nothing of how it is built', () => {
  const files = filesOf(project);
  for (const name of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    ...entries.flatMap(([, { default: code, types, require }]) => [code, types, require.default, require.types]),
  ])
    expect(files).toContain(name.replace('./', ''));
  expect(files.filter((name) => /(^|\/)(src|assembly|build|node_modules)(\/|$)/.test(name))).toEqual([]);
});

describe.each(entries)('%s', (name, { default: code }) => {
  const { files, foreign } = importsOf(join(shipped, code));

  // What is for Node alone: C drivers.
  test.skipIf(name === './driver')('imports nothing from elsewhere, not even of Node: browsers have it alike', () => {
    expect(foreign).toEqual([]);
    for (const file of files) expect(readFileSync(file, 'utf8')).not.toMatch(/\bBuffer\.(?!from\(text)/);
  });

  test('imports nothing but what Node has', () => {
    expect(foreign.filter((name) => !name.startsWith('node:'))).toEqual([]);
  });

  test('is ASCII, which Node keeps as one byte a character, with a source map to each file', () => {
    for (const file of files) {
      const text = readFileSync(file, 'utf8');
      expect(/[^\0-\x7f]/.exec(text)?.[0]).toBeUndefined();
      if (text.length > 2000) expect(text).toMatch(/\n\/\/# sourceMappingURL=[\w.-]+\.map\s*$/);
    }
  });
});

describe('a bundler', () => {
  const program = `
    import { bench, Machine, stress } from 'gemdma';
    import { IovaDomain } from 'gemdma/iova';
    import { verify } from 'gemdma/recordings';
    import { runScenario } from 'gemdma/workload';
    const machine = new Machine({ ram: '16MiB', dmaDebug: { callSites: true } });
    machine.addI915({ policy: 'i915-4.1' });
    const [pfn] = machine.ram.alloc(1);
    const device = machine.addDevice();
    device.mapPage(pfn, 0, 4096, 1);
    const { leakedMappings } = runScenario('L1', { policy: 'i915-4.1' });
    const { steps, matched } = verify(process.argv[2]);
    const domain = IovaDomain.standalone();
    Promise.all([stress({ operations: 2000 }), bench({ seconds: 0.1 })]).then(([{ failure }, { iterations }]) => {
      console.log(leakedMappings, steps === matched, failure, domain.alloc(1) > 0, machine.dmaDebug.poll().live);
    });
  `;
  const recording = join(root, 'test/golden/iova/c_full.txt.gz');
  test.each(['esm', 'cjs'] as const)('esbuild makes %s of the library, and it runs', async (format) => {
    const entry = project.write('bundled.mjs', program);
    const out = join(project.folder, format === 'cjs' ? 'bundled.cjs' : 'bundled.out.mjs');
    const options = { entryPoints: [entry], outfile: out, bundle: true };
    const { errors } = await build({ ...options, platform: 'node', logLevel: 'silent', format });
    expect(errors).toEqual([]);
    const { status, stdout, stderr } = project.run(process.execPath, out, recording);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '1 true null true 2\n', stderr: '' });
  });
});

test('errors are told where the sources have them', () => {
  const program = project.write('throws.mjs', "import { Machine } from 'gemdma';\nnew Machine({ ram: [] });\n");
  const { stderr } = project.run(process.execPath, '--enable-source-maps', program);
  expect(stderr).toMatch(/src\/machine\/config\.ts:\d+/);
});
