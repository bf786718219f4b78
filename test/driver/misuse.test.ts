import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findCompiler } from '../../dist/driver/compiler.js';
import { buildDriver, runDriver } from '../../dist/driver/index.js';
import { CTRL_C, gemdma, main } from '../cli/terminal.js';
import { temporaryFolder } from '../folder.js';

const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const source = fileURLToPath(new URL('misuse.c', import.meta.url));
const scenario = fileURLToPath(new URL('misuse.test.mjs', import.meta.url));
const folder = temporaryFolder();

const compiler = await findCompiler().catch(() => null);
const module = join(folder, 'misuse.wasm');
let wasm: Uint8Array | undefined;
async function built(): Promise<Uint8Array> {
  if (wasm === undefined) {
    wasm = (await buildDriver({ files: [source], cache })).wasm;
    writeFileSync(module, wasm);
  }
  return wasm;
}

function driver(act: string, ...args: string[]) {
  const env = { ...process.env, MISUSE: act };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'driver', ...args], { encoding: 'utf8', env });
  return { code: status, out: stdout, err: stderr };
}

describe.skipIf(compiler === null)('mistakes of one call (needs clang)', { timeout: 300_000 }, () => {
  test.each([
    ['writes_null', 'NULL_ACCESS', /writes 4 bytes at address 0x4/],
    ['frees_twice', 'DOUBLE_FREE', /an object of 32 bytes that is free already/],
    ['frees_nothing', 'BAD_FREE', /no object that was allocated/],
    ['frees_the_middle', 'BAD_FREE', /no object that was allocated/],
    ['sleeps_with_lock', 'SLEEP_IN_ATOMIC', /kmalloc may sleep with a spinlock held/],
    ['sleeps_with_irqs_off', 'SLEEP_IN_ATOMIC', /kmalloc may sleep with interrupts off/],
    ['keeps_a_lock', 'LOCK', /returns with a spinlock held/],
    ['unlocks', 'LOCK', /releases a spinlock that is not held/],
    ['frees_in_irq', 'SLEEP_IN_ATOMIC', /dma_free_coherent with interrupts off/],
    ['unmaps_twice', 'UNMAP_UNKNOWN', /unmaps 64 bytes/],
    ['maps_null', 'REJECT_VMALLOC', /maps NULL/],
    ['maps_without_device', 'MISUSE', /for a device that does no DMA/],
    ['maps_in_no_direction', 'BUG', /valid_dma_direction/],
    ['asks_for_too_much', 'WARN', /more than it ever has/],
    ['divides', 'OOPS', /divide by zero/],
    ['writes_beyond', 'OUT_OF_BOUNDS', /writes 65 bytes at offset 0 of 64 bytes/],
    ['reads_no_register', 'BAD_REGISTER', /at offset 0x1000 of region 0, which has 4096 bytes/],
    ['reads_unmapped_register', 'BAD_REGISTER', /of region 0, which is not mapped/],
  ] as const)('%s is found as %s', async (act, id, message) => {
    const { findings } = runDriver(await built(), {
      run(t) {
        t.call(act);
        if (act !== 'frees_in_irq') return;
        t.driver.hardware.raise();
        t.advance(1);
        t.call('frees_irq');
      },
    });
    expect(findings.map((finding) => finding.id)).toEqual([id]);
    expect(findings[0].message).toMatch(message);
    const place = findings[0].at ?? findings[0].born;
    expect(place).toMatchObject({ file: expect.stringMatching(/misuse\.c$/) });
  });

  test('run prints a finding with the calls that led to it, exit code 1', async () => {
    await built();
    const { code, out } = driver('frees_twice', 'run', module, '--test', scenario, '--stacks');
    expect(code).toBe(1);
    expect(out).toMatch(/DOUBLE_FREE: frees_twice \(.*misuse\.c:\d+\)[\s\S]*made in frees_twice/);
    const { out: json } = driver('frees_twice', 'run', module, '--test', scenario, '--json');
    expect(JSON.parse(json)).toMatchObject({ findings: [{ id: 'DOUBLE_FREE' }] });
  });

  test('a run that does not come back is a finding when its time is over', async () => {
    await built();
    const { code, out } = driver('loops', 'run', module, '--test', scenario, '--time-limit', '500');
    expect([code, out]).toEqual([1, expect.stringMatching(/HANG: the driver does not come back within 0.5 s/)]);
  });

  test.each(['run', 'fail-nth'])('Ctrl-C ends %s of a driver that loops for ever, 130', async (sub) => {
    await built();
    const terminal = gemdma(`driver ${sub} ${module} --test ${scenario} --time-limit 600000`, {
      env: { MISUSE: 'loops' },
    });
    await terminal.shows(/pid=/);
    // Some time for the worker to start: earlier is as good.
    await new Promise((done) => setTimeout(done, 2000));
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(130);
  });

  test('symbols says who has each function, and 1 where nobody has one', async () => {
    await built();
    const { code, out } = driver('', 'symbols', module);
    expect(code).toBe(0);
    expect(out).toMatch(/^real +dma_alloc_attrs/m);
    expect(out).toMatch(/^core +gd_dma_map /m);
  });

  test('what a test throws is said in one line, 2', async () => {
    await built();
    const { code, err } = driver('nobody', 'run', module, '--test', scenario);
    expect([code, err]).toEqual([2, expect.stringMatching(/^gemdma: the test threw TypeError: .*no function nobody/)]);
  });
});
