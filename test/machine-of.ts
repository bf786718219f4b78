import { Machine, type MachineDeviceOptions, type MachineOptions } from '../src/index.js';

/** A machine in which dma-debug tells every error, with a network card. */
export function machineOf(options: MachineOptions = {}, device: MachineDeviceOptions = {}) {
  const machine = new Machine({ ram: '64MiB', dmaDebug: { allErrors: true }, ...options });
  return { machine, device: machine.addDevice({ driver: 'e1000', ...device }) };
}
