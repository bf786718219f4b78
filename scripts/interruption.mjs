// How long every long command takes from a key or signal to its end, and every long call of the library from its abort to
// its result: a table. Each command runs in a pseudo-terminal of its own. The tests take the list of commands from here.
//
//   node scripts/interruption.mjs [--json] [--only='stress --fail-nth']

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
export const CLI = join(root, 'dist/bundle/cli.js');

/** What a command needs: files that are made for it, in a folder. */
export function inputs(folder) {
  const trace = join(folder, 'trace.txt');
  const module = join(folder, 'ring.wasm');
  const files = { trace, module, test: join(root, 'examples/drivers/nic/ring_nic.test.mjs') };
  writeFileSync(trace, longTrace(60));
  const source = join(root, 'examples/drivers/nic/ring_nic.c');
  const build = ['driver', 'build', source, '--output', module, '--cache', join(folder, 'cache')];
  const { status } = spawnSync(process.execPath, [CLI, ...build], { encoding: 'utf8' });
  return { ...files, source, built: status === 0, hang: hangingTest(folder) };
}

/** The network card's trace over and over, as ftrace text: minutes of work for a replay. */
function longTrace(times) {
  const text = gunzipSync(readFileSync(join(root, 'test/golden/trace/net.txt.gz'))).toString();
  const lines = text.trimEnd().split('\n');
  const events = lines.filter((line) => !line.startsWith('#'));
  const head = lines
    .filter((line) => line.startsWith('#'))
    .map((line) => line.replaceAll(/\b8904\b/g, String(events.length * times)));
  const stamp = / (\d+\.\d{6}): /;
  const [first, last] = [events[0], events.at(-1)].map((line) => Number(stamp.exec(line)[1]));
  const rounds = Array.from({ length: times }, (_, round) =>
    events.map((line) =>
      line.replace(stamp, (_all, time) => ` ${(Number(time) + round * (last - first + 0.01)).toFixed(6)}: `),
    ),
  );
  return `${[...head, ...rounds.flat()].join('\n')}\n`;
}

/** A driver's test whose scenario never ends. */
function hangingTest(folder) {
  const test = pathToFileURL(join(root, 'examples/drivers/nic/ring_nic.test.mjs')).href;
  const file = join(folder, 'hang.test.mjs');
  writeFileSync(
    file,
    `import { writeSync } from 'node:fs';
import test from '${test}';
export default { ...test, run: () => { writeSync(1, 'it hangs\\n'); for (;;); } };
`,
  );
  return file;
}

/**
 * Commands that do not end by themselves for a minute: what is typed, what is on the screen when the work has begun, and
 * what is printed in the end.
 */
export const COMMANDS = [
  { command: () => 'run', started: /\[\?25l[\s\S]*leak under/, printed: /Interrupted|interrupted/ },
  { command: () => 'run leak', started: /leak under/, printed: /interrupted: the figures are of a part/ },
  { command: () => 'stress --ops 1000M --time 1000', started: /ops/, printed: /operations in [\d.]+ s.*interrupted/ },
  { command: () => 'stress --fail-nth', started: /object: /, printed: /allocations failed/ },
  {
    command: () => 'stress --threads 2 --ops 1000M',
    started: /2 threads, [1-9]/,
    printed: /2 threads.* on one domain/,
  },
  { command: () => 'stress --seeds 100000 --ops 20k', started: /seed [2-9]/, printed: /"seed":1,/ },
  { command: () => `verify --time ${'test/golden/iova/*.gz '.repeat(4)}`, started: /steps/, printed: /iova .*ok/ },
  { command: () => 'bench --seconds 100', started: /measure/, printed: /mappings\/s/ },
  {
    command: () => 'bench --seconds 100 --sweep live=1k,10k',
    started: /measure/,
    printed: /nothing was measured|over live/,
  },
  { command: () => 'bench --seconds 100 --threads 2', started: /measure/, printed: /mappings\/s/ },
  { command: ({ trace }) => `trace ${`${trace} `.repeat(20)}`, started: /%/, printed: /events|Devices/ },
  { command: ({ trace }) => `trace --verify ${trace}`, started: /replaying/, printed: /interrupted/ },
  {
    command: ({ trace }) => `trace ${'--what-if mode=lazy '.repeat(80)} ${trace}`,
    started: /mode=lazy/,
    printed: /IOTLB flushes/,
  },
  {
    command: ({ module, hang }) => `driver run ${module} --test ${hang} --time-limit 600000`,
    driver: true,
    started: /it hangs/,
    printed: /interrupted/,
  },
  {
    command: ({ module, test }) => `driver stress ${module} --test ${test} --rounds 1000000`,
    started: /%/,
    driver: true,
    printed: /rounds/,
  },
  {
    command: ({ module, hang }) => `driver fail-nth ${module} --test ${hang} --time-limit 600000`,
    driver: true,
    started: /it hangs/,
    printed: /interrupted/,
  },
  {
    command: ({ module, hang }) => `driver bench ${module} --test ${hang}`,
    driver: true,
    started: /it hangs/,
    printed: /interrupted/,
  },
  {
    command: ({ source }) => `driver build ${source} --output /tmp/none.wasm --cache $(mktemp -d)`,
    driver: true,
    started: /compiling/,
    printed: /interrupted/,
  },
];

/** Long calls of the library: each is given a signal that is aborted after a moment. */
export async function libraryCalls() {
  const { bench, failNthAsync, runScenarioAsync, stress, stressThreads, verifyAsync } = await import('gemdma');
  const { FAIL_NTH_SCENARIOS } = await import('gemdma/workload');
  const { readTrace, Rebuild, verifyTraceAsync, whatIfAsync } = await import('gemdma/trace');
  const recording = join(root, 'test/golden/iova/w2-single-100k.txt.gz');
  const rebuild = new Rebuild();
  const calls = (async () => {
    const source = (async function* () {
      yield new TextEncoder().encode(longTrace(6));
    })();
    for await (const batch of readTrace(source, { name: 'trace' })) rebuild.add(batch);
    return rebuild.finish();
  })();
  const many = async (times, signal, act) => {
    for (let i = 0; i < times && !signal.aborted; ++i) await act();
  };
  return {
    stress: (signal) => stress({ operations: 1e9, seconds: 1000, signal }),
    stressThreads: (signal) => stressThreads({ threads: 2, operations: 1e9, signal }),
    bench: (signal) => bench({ seconds: 1000, signal }),
    'failNthAsync, all scenarios': (signal) =>
      many(50, signal, async () => {
        for (const scenario of FAIL_NTH_SCENARIOS) if (!signal.aborted) await failNthAsync(scenario, { signal });
      }),
    "runScenarioAsync('leak')": (signal) => many(50, signal, () => runScenarioAsync('leak', { signal })),
    verifyAsync: (signal) => many(500, signal, () => verifyAsync(recording, { time: true, signal })),
    verifyTraceAsync: async (signal) => verifyTraceAsync(await calls, { signal }),
    whatIfAsync: async (signal) =>
      many(500, signal, async () => whatIfAsync(await calls, { mode: 'lazy' }, { signal })),
  };
}

const CTRL_C = '\u0003';

/** Runs a command until its work has begun, types or sends something, and measures until it ends. */
function interrupt({ command, started }, files, act) {
  return new Promise((resolve, reject) => {
    const line = `stty cols 100 rows 24; echo pid=$$.; exec '${process.execPath}' '${CLI}' ${command(files)}`;
    const child = spawn('script', ['-qefc', line, '/dev/null'], { cwd: root, env: { ...process.env, TERM: 'xterm' } });
    let screen = '';
    let at = 0;
    const begin = () => {
      at = performance.now();
      act(child, Number(/pid=(\d+)\./.exec(screen)[1]));
    };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      screen += text;
      if (at !== 0) return;
      if (started.test(screen)) {
        at = -1;
        setTimeout(begin, 200);
      }
    });
    child.on('close', (code) =>
      at > 0 ? resolve({ code, milliseconds: performance.now() - at }) : reject(new Error(screen)),
    );
  });
}

const WAYS = {
  'Ctrl-C': (child) => child.stdin.write(CTRL_C),
  'SIGINT, process alone': (_, pid) => process.kill(pid, 'SIGINT'),
  'Ctrl-C twice': (child) => child.stdin.write(CTRL_C + CTRL_C),
  SIGTERM: (_, pid) => process.kill(pid, 'SIGTERM'),
};

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'gemdma-interruption-'));
  const files = inputs(folder);
  const short = (text) =>
    text
      .replaceAll(folder, '')
      .replaceAll(root, '')
      .replace(/(\S+ )\1+/g, '$1... ');
  const rows = [];
  const ways = Object.keys(WAYS);
  console.log(`${'milliseconds from'.padEnd(60)} ${ways.map((way) => way.padStart(22)).join('')}`);
  const only = process.argv.find((word) => word.startsWith('--only='))?.slice(7);
  for (const item of COMMANDS.filter(({ command }) => !only || command(files).startsWith(only))) {
    if (item.driver && !files.built) continue;
    const times = {};
    for (const way of ways) {
      const { code, milliseconds } = await interrupt(item, files, WAYS[way]);
      times[way] = { code, milliseconds };
    }
    const name = short(`gemdma ${item.command(files)}`).slice(0, 60);
    rows.push({ name, times });
    const cells = ways.map((way) => `${times[way].milliseconds.toFixed(0)} (${times[way].code})`.padStart(22));
    console.log(`${name.padEnd(60)} ${cells.join('')}`);
  }
  for (const [name, call] of Object.entries(await libraryCalls())) {
    const controller = new AbortController();
    const work = call(controller.signal);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const start = performance.now();
    controller.abort();
    await work;
    const milliseconds = performance.now() - start;
    rows.push({ name, milliseconds });
    console.log(`${`${name}, from its abort`.padEnd(60)} ${milliseconds.toFixed(0).padStart(22)}`);
  }
  if (process.argv.includes('--json')) console.log(JSON.stringify(rows));
  rmSync(folder, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
