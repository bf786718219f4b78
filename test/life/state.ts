import { expect } from 'vitest';
import type { BaseMachine } from '../../src/machine/machine.js';

/** Everything that a refused call must leave as it was. */
export function stateOf(machine: BaseMachine): unknown {
  const { core, context } = machine;
  return {
    records: core.tools.machineRecords(context),
    sound: core.tools.machineCheck(context) >>> 0,
    frames: machine.ram.stats.inUse,
    devices: machine.devices.map((device) => [device.id, device.counts]),
    domains: machine.iommu.stats.domains,
    time: machine.clock.now,
    waiting: machine.clock.pending,
    live: machine.dmaDebugOrNull?.counters(),
  };
}

/** Runs calls that are all refused, and sees that nothing has changed. */
export function tracked(machine: BaseMachine, calls: () => void): void {
  const before = stateOf(machine);
  calls();
  expect(stateOf(machine)).toEqual(before);
}
