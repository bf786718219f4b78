import type { I915Options } from '../../src/i915/config.js';
import type { I915Device } from '../../src/i915/device.js';
import type { MachineOptions } from '../../src/machine/config.js';
import { Machine } from '../../src/machine-drivers/machine.js';

export const MiB = 1024 * 1024;
export const KiB = 1024;

/** A machine of 2015 with a GPU in it, behind a strict IOMMU unless options say otherwise. */
export function gpuOn(
  options: I915Options = {},
  machineOptions: MachineOptions = {},
): { machine: Machine; gpu: I915Device } {
  const machine = new Machine({ kernel: 'linux-4.2', ram: '128MiB', iommu: 'strict', ...machineOptions });
  return { machine, gpu: machine.addI915(options) };
}

/** Ranges that the IOVA allocator of the GPU's domain holds: one a mapping, and those that are reserved. */
export function iovaRanges(machine: Machine, gpu: I915Device): number {
  const { domain } = gpu.dmaDevice;
  if (domain === undefined || domain === 'passthrough') throw new Error('no IOMMU translates for the GPU');
  return machine.core.exports.iovaRanges(domain.iova);
}

/** Bytes 0, 1, 2 ... from a start, modulo 251 so that pages differ. */
export function pattern(n: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(n);
  for (let i = 0; i < n; ++i) bytes[i] = (start + i) % 251;
  return bytes;
}
