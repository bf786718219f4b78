import { expect, test } from 'vitest';
import type { DmaDeviceHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { Machine } from '../../src/machine-drivers/machine.js';
import { debug } from './debug.js';

// A device that is none: what the mask is set in lies in the null record.
const none = 0 as DmaDeviceHandle;
const failure = /^deviceSetMask wrote to the null record, at \+\d+$/;

test('a call that writes to the null record fails there and is named', () => {
  const core = new Core(debug);
  const context = made(core.exports.machineCreate(64 * 2 ** 20, 1, 1024, 0, 1));
  expect(core.tools.machineCheck(context)).toBe(0);
  expect(() => core.exports.deviceSetMask(none, 64, 64)).toThrow(failure);
});

test('on every machine that a test makes', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  expect(() => machine.core.exports.deviceSetMask(none, 64, 64)).toThrow(failure);
  // Whatever is called next.
  expect(() => device.setMask(64)).toThrow(/wrote to the null record/);
});
