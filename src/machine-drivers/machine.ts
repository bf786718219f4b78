import { type I915Options, readI915Options } from '../i915/config.js';
import type { I915Device } from '../i915/device.js';
import { i915Driver } from '../i915/driver.js';
import { BaseMachine } from '../machine/machine.js';

/** A machine (machine/machine.ts), with a shorthand for each driver that comes with the library. */
export class Machine extends BaseMachine {
  static {
    BaseMachine.guard(Machine);
  }

  /**
   * Adds an Intel GPU with its driver: `addDriver(i915Driver, options)`. Options as in i915/config.ts.
   * @throws RangeErrors and TypeErrors naming the option at fault; GemDmaError ENOMEM
   */
  addI915(options: I915Options = {}): I915Device {
    // Read before a driver is being added: a getter may do to the machine what it likes.
    return this.addDriver(i915Driver, readI915Options(options));
  }
}
