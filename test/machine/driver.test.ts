import { describe, expect, test } from 'vitest';
import { FAULT_KINDS } from '../../src/core/faults.js';
import type { DeviceDriver } from '../../src/drm/driver.js';
import { i915Driver } from '../../src/i915/driver.js';
import { BaseMachine } from '../../src/machine/machine.js';

describe('a driver', () => {
  test('is told of its options before there is a device', () => {
    const machine = new BaseMachine({ ram: '32MiB' });
    const used = machine.ram.stats.inUse;
    const driver: DeviceDriver<number, object> = {
      name: 'even',
      check(options) {
        if (options % 2 !== 0) throw new RangeError('odd');
      },
      probe: (_, device, options) => ({ device, options }),
    };
    expect(() => machine.addDriver(driver, 1)).toThrow(RangeError);
    expect([machine.devices.length, machine.ram.stats.inUse]).toEqual([0, used]);
    expect(machine.addDriver(driver, 2)).toEqual({ device: machine.devices[0], options: 2 });
    expect(machine.devices[0].driver).toBe('even');
  });

  test('that cannot take its device leaves none', () => {
    const machine = new BaseMachine({ ram: '32MiB' });
    const driver: DeviceDriver<object, object> = {
      name: 'broken',
      probe() {
        throw new Error('no firmware');
      },
    };
    expect(() => machine.addDriver(driver, {})).toThrow('no firmware');
    expect(machine.devices).toEqual([]);
    machine.check();
  });

  test.each(FAULT_KINDS)('i915 without memory at any allocation (%s) leaves no device and no frame', (kind) => {
    const machine = new BaseMachine({ ram: '128MiB', kernel: 'linux-4.2' });
    const options = { gen: 8, ppgtt: 'aliasing', stolen: '8MiB' } as const;
    const used = machine.ram.stats.inUse;
    // Page tables of an aliasing PPGTT are thousands of the same allocation.
    for (let nth = 1, failed = true; failed; nth += Math.ceil(nth / 20)) {
      machine.failAllocation(kind, nth);
      try {
        machine.addDriver(i915Driver, options);
        failed = false;
      } catch (error) {
        expect(error).toMatchObject({ name: 'GemDmaError' });
        expect([nth, machine.devices, machine.ram.stats.inUse]).toEqual([nth, [], used]);
      }
      machine.check();
    }
    expect(machine.devices.length).toBe(1);
  });
});
