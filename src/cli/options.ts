import { parseSize } from '../core/errors.js';
import { type MachineOptions, machineConfig } from '../machine/config.js';
import { UsageError, usage } from './exit.js';

/** Readers of option values for commander. Names out of a few are commander's own `choices`. */

const MULTIPLES: Record<string, number> = { '': 1, k: 1e3, K: 1e3, M: 1e6 };

/** A reader for commander that takes whole numbers, with `1k`, `10k`, `1M` for thousands and millions. */
export function integerOption(name: string, min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const match = /^(\d+)([kKM]?)$/.exec(text.trim());
    const value = match ? Number(match[1]) * MULTIPLES[match[2]] : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
    throw new UsageError(`${name} takes a whole number ${range}, not '${text}'`);
  };
}

/** A reader for seconds and other quantities with a fraction. */
export function numberOption(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new UsageError(`${name} takes a number from ${min} to ${max}, not '${text}'`);
  };
}

/** A reader for sizes such as 4096, 64KiB, 4MiB. */
export function sizeOption(name: string): (text: string) => number {
  return (text) => {
    try {
      return parseSize(name, text);
    } catch {
      throw new UsageError(`${name} takes a size such as 4096, 64KiB or 4MiB, not '${text}'`);
    }
  };
}

/** A reader for `--machine`: options of the machine as JSON. */
export function machineOption(text: string): MachineOptions {
  const options = readJson<MachineOptions>('--machine', text);
  usage(() => machineConfig(options));
  return options;
}

/** A value in JSON; `name` says where it stands. */
export function readJson<T>(name: string, text: string): T {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${name}: ${(error as Error).message}`);
  }
}
