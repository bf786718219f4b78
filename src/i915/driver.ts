import { LIBRARY } from '../core/life.js';
import type { DeviceDriver } from '../drm/driver.js';
import { type I915Options, i915Config, readI915Options } from './config.js';
import { I915Device } from './device.js';

/** i915 as a machine takes it: `machine.addDriver(i915Driver, { gen: 8 })`. */
export const i915Driver: DeviceDriver<I915Options, I915Device> = {
  name: 'i915',
  // The driver sets the mask of its hardware itself, and takes segments of any length.
  limits: { maxSegment: 0xffffffff },

  check(options, host) {
    const plain = readI915Options(options);
    i915Config(plain, host.translates);
    return plain;
  },

  probe(host, device, options) {
    return new I915Device(LIBRARY, host, device, options);
  },

  callbacks(gpu) {
    return [gpu.policy];
  },
};
