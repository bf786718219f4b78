import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { GemDmaError, Machine } from '../../src/index.js';

test('a disposed machine refuses every call, its objects too; disposing it again does nothing', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  const gpu = machine.addI915();
  const object = gpu.createObject(4096);
  machine[Symbol.dispose]();
  machine[Symbol.dispose]();
  for (const call of [
    () => machine.check(),
    () => machine.addDevice(),
    () => machine.snapshot(),
    () => machine.ram.alloc(1),
    () => machine.clock.advance(1),
    () => device.mapPage(1, 0, 4096, 0),
    () => gpu.createObject(4096),
    () => object.bind(gpu.ggtt),
  ])
    expect(call).toThrow(GemDmaError);
});

const HELD = `
import { Machine } from 'gemdma';
const machines = [];
let dropped = 0;
const collected = new FinalizationRegistry(() => ++dropped);
for (let i = 0; i < 20; ++i) {
  const machine = new Machine({ ram: '16MiB' });
  machine.addI915().createObject('1MiB');
  collected.register(machine.core.memory, i);
  machine[Symbol.dispose]();
  machines.push(machine);
}
for (let i = 0; i < 10 && dropped < machines.length; ++i) {
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 10));
}
console.log(machines.length, dropped >= 19); // the engine may still have the last one at hand
`;

test('its linear memory is collected though the machine is still held', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', HELD], {
    encoding: 'utf8',
  });
  expect([stdout, stderr]).toEqual(['20 true\n', '']);
});
