import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { benchDriver, buildDriver, CDriver, loadTest, runDriver } from '../../src/driver/index.js';
import { Machine } from '../../src/machine-drivers/machine.js';

/** What is no argument is refused with a code, before there is a device. */

const refused = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) });
const source = new URL('../../examples/drivers/nic/ring_nic.c', import.meta.url).pathname;
let wasm: Uint8Array;

beforeAll(async () => {
  expect(readFileSync(source).length).toBeGreaterThan(0);
  wasm = (await buildDriver({ files: [source] })).wasm;
}, 120_000);

const machine = (): Machine => new Machine({ ram: '64MiB', memoryLimit: '256MiB' });

describe('a driver', () => {
  test.each<[unknown]>([
    [null],
    [5],
    [{ bogus: 1 }],
    [{ ids: 5 }],
    [{ ids: 'zz' }],
    [{ bus: 'x' }],
    [{ revision: Number.NaN }],
    [{ bars: 'x' }],
    [{ bars: [Number.NaN] }],
    [{ bars: [-1] }],
    [{ ioBars: 5 }],
    [{ config: 5 }],
    [{ config: { x: 1 } }],
    [{ name: 5 }],
  ])('of a device described as %j leaves no device', (description) => {
    const host = machine();
    expect(() => new CDriver(host, wasm, description as never)).toThrow(refused);
    expect(host.devices).toHaveLength(0);
  });

  test('that is no module leaves no device', () => {
    const host = machine();
    for (const junk of [null, 5, 'x']) expect(() => new CDriver(host, junk as never)).toThrow(refused);
    expect(() => new CDriver(host, new Uint8Array(5))).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => new CDriver(host, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))).toThrow();
    expect(host.devices).toHaveLength(0);
    expect(() => new CDriver(null as never, wasm)).toThrow(refused);
  });

  test('is not entered, and keeps its machine, while its device answers', async () => {
    const { default: nic } = await import('../../examples/drivers/nic/ring_nic.test.mjs' as string);
    const busy = expect.objectContaining({ code: 'EBUSY', reason: 'CALL_UNDER_WAY' });
    let driver!: CDriver;
    let answered = 0;
    const test = {
      ...nic,
      model(hardware: never) {
        const own = nic.model(hardware);
        return {
          ...own,
          write(...given: number[]) {
            const { machine } = driver ?? {};
            ++answered;
            if (driver !== undefined) {
              expect(() => driver.call('gd_poll')).toThrow(busy);
              expect(() => machine.snapshot()).toThrow(busy);
              expect(() => machine[Symbol.dispose]()).toThrow(busy);
            }
            return own.write(...given);
          },
        };
      },
      run(scenario: { driver: CDriver; run?: never }) {
        driver = scenario.driver;
        return nic.run(scenario);
      },
    };
    const { findings } = runDriver(wasm, test);
    expect([findings, driver.stopped]).toEqual([[], false]);
    expect(answered).toBeGreaterThan(10);
  });

  test('takes numbers where it asks for them', () => {
    const driver = new CDriver(machine(), wasm);
    for (const junk of [Number.NaN, -1, 'x', null, 5n, Symbol('mine')] as never[]) {
      expect(() => driver.advance(junk)).toThrow(refused);
      expect(() => driver.armFault(junk)).toThrow(refused);
      expect(() => driver.armRandomFaults(junk, 1)).toThrow(refused);
      expect(() => driver.armRandomFaults(1, junk)).toThrow(refused);
      expect(() => driver.bytes(junk, 1)).toThrow(refused);
      expect(() => driver.bytes(1, junk)).toThrow(refused);
      expect(() => driver.call(junk)).toThrow(refused);
      expect(() => {
        driver.model = junk;
      }).toThrow(refused);
    }
    expect(() => driver.call('gd_probe', 5n as never)).toThrow(refused);
    expect(driver.bytes(0, 4)).toHaveLength(4);
  });
});

test.each([null, 5, { run: 5 }, { model: 5 }])('%j is no test of a driver', async (junk) => {
  expect(() => runDriver(wasm, junk as never)).toThrow(refused);
  expect(() => benchDriver(wasm, junk as never)).toThrow(refused);
  await expect(loadTest(junk as never)).rejects.toThrow(refused);
});

test('what a run takes', () => {
  expect(() => runDriver(null as never, {})).toThrow(refused);
  expect(() => runDriver(wasm, {}, { machine: 5 } as never)).toThrow(refused);
  expect(() => benchDriver(wasm, {}, 5 as never)).toThrow(refused);
});
