import { checkObject, checkOptions, checkPlainFunction, checkSynchronous, optionNames } from '../core/arguments.js';
import { checkInteger, invalidType } from '../core/errors.js';
import { guard } from '../core/guard.js';
import type { BaseMachine } from '../machine/machine.js';
import type { DeviceDescription, DeviceModel, ModelDevice } from './device-model.js';
import { CDriver, DriverStopped } from './driver.js';

/** A test of a driver, as a module's default export: the device, its model, and the calls of the driver. */
export interface DriverTest {
  /** The device; without it the driver has one of its first PCI id. */
  device?: DeviceDescription;
  /** Makes the device's model; called once for each run. */
  model?(hardware: ModelDevice): DeviceModel;
  /**
   * Calls between probe and remove. A call may fail: under fail-nth each does at some point, and the scenario goes on. It does not
   * run if probe fails. It is synchronous: one that returns a promise is refused with a
   * TypeError.
   */
  run?(scenario: DriverScenario): void;
}

/** Throws unless the value is a test of a driver: its parts have the right types. CDriver checks the device. */
export function checkTest(test: DriverTest): void {
  checkObject('test', test);
  if (test.model !== undefined) checkPlainFunction('test.model', test.model);
  if (test.run !== undefined) checkPlainFunction('test.run', test.run);
}

/** A packet to send: bytes of the linear part, and of each fragment. */
export interface Packet {
  /** Bytes of the linear part. Default 64. */
  length?: number;
  /** Fragments (skb_frag_t), each in a page of its own. Default 0. */
  fragments?: number;
  /** Bytes of each fragment. */
  fragmentLength?: number;
  /** Value of the first byte; each next byte is one more. Default 0. */
  first?: number;
}

const PACKET = optionNames<Packet>({ length: true, fragments: true, fragmentLength: true, first: true });
/** The largest int of the kernel's. */
const MOST = 2 ** 31 - 1;

/** What a scenario does with a driver. Results are errnos as the kernel returns them, 0 or above for success. */
export class DriverScenario {
  static {
    guard(DriverScenario, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** The driver under test, after probe. */
  readonly driver: CDriver;
  /** The machine that it is in. */
  readonly machine: BaseMachine;
  /** Whether the driver is bound to the device. */
  bound = false;

  constructor(driver: CDriver) {
    if (!CDriver.is(driver)) throw invalidType('driver', 'a CDriver', driver);
    this.driver = driver;
    this.machine = driver.machine;
  }

  /** Binds the driver. */
  probe(): number {
    const rc = this.driver.probe();
    this.bound = rc === 0;
    return rc;
  }

  /** Unbinds it; of no effect when it is not bound. */
  remove(): number {
    if (!this.bound) return 0;
    this.bound = false;
    return this.driver.remove();
  }

  /** Advances virtual time: interrupts, timers, work and the model's own actions run. */
  advance(milliseconds: number): void {
    this.driver.advance(milliseconds);
  }

  /** Calls a function that the driver exports (any that is not static). */
  call(name: string, ...args: number[]): number {
    return this.driver.call(name, ...args);
  }

  /** Suspends or resumes the device. */
  suspend(): number {
    return this.driver.call('gd_suspend');
  }

  /** Resumes the device (dev_pm_ops.resume); returns 0 or a negative errno. */
  resume(): number {
    return this.driver.call('gd_resume');
  }

  /** Opens network device n (ifconfig up). */
  open(n = 0): number {
    this.#checkDevice(n);
    return this.driver.call('gd_net_open', n);
  }

  /** Closes it. */
  stop(n = 0): number {
    this.#checkDevice(n);
    return this.driver.call('gd_net_stop', n);
  }

  /** Sends a packet: 0, -16 when the queue is full, -100 when the device is down. */
  send(packet: Packet = {}, n = 0): number {
    const given = checkOptions('packet', packet, PACKET);
    const { length = 64, fragments = 0, fragmentLength = 512, first = 0 } = given;
    for (const [name, value] of Object.entries(given)) checkInteger(`packet.${name}`, value, 0, MOST);
    this.#checkDevice(n);
    return this.driver.call('gd_net_xmit', n, length, fragments, fragmentLength, first);
  }

  /** The transmit watchdog fires (ndo_tx_timeout). */
  timeout(n = 0): number {
    this.#checkDevice(n);
    return this.driver.call('gd_net_timeout', n);
  }

  /** Changes the MTU of a network interface (ndo_change_mtu); returns 0 or a negative errno. */
  setMtu(mtu: number, n = 0): number {
    checkInteger('mtu', mtu, 0, MOST);
    this.#checkDevice(n);
    return this.driver.call('gd_net_mtu', n, mtu);
  }

  /** Packets that the driver gave to the network stack since it was last asked. */
  received(): Uint8Array[] {
    return this.driver.packets.splice(0);
  }

  /** Asserts a condition: a finding if it is false, unless an allocation was made to fail. */
  expect(holds: boolean, what: string): void {
    if (typeof holds !== 'boolean') throw invalidType('holds', 'of type boolean', holds);
    if (typeof what !== 'string') throw invalidType('what', 'of type string', what);
    if (!holds && this.driver.struck === null) this.driver.findings.add('SCENARIO', `expected: ${what}`, []);
  }

  #checkDevice(n: number): void {
    checkInteger('n', n, 0, MOST);
  }
}

/** Runs a test: module_init, probe, the scenario, remove, module_exit, and what is left. */
export function runScenario(driver: CDriver, test: DriverTest): { initialized: number; probed: number } {
  const scenario = new DriverScenario(driver);
  let initialized = 0;
  let probed = 0;
  try {
    initialized = driver.init();
    if (initialized === 0) {
      probed = scenario.probe();
      scenario.expect(probed === 0, `probe returns 0, it returned ${probed}`);
      // What would go on in real time is refused: nothing of it would be seen.
      if (probed === 0) checkSynchronous('test.run', test.run?.(scenario));
      scenario.remove();
      driver.exit();
    }
    driver.advance(0);
    driver.leaks();
  } catch (error) {
    if (!(error instanceof DriverStopped)) throw error;
  }
  return { initialized, probed };
}
