import { FAULT_IOVA } from '../../core/generated/constants.js';
import type { DmaDevice } from '../../dma/device.js';
import { ScatterTable } from '../../dma/sg-table.js';
import type { Direction } from '../../dma/transfer.js';
import type { Finding } from '../../dma-debug/channels.js';
import type { CheckId } from '../../dma-debug/checks.js';
import type { MachineOptions } from '../../machine/config.js';
import type { MachineDeviceOptions } from '../../machine/devices.js';
import { BaseMachine } from '../../machine/machine.js';
import { once, type Scenario, type ScenarioResult } from '../scenarios/scenario.js';

/**
 * A corpus of mistakes that drivers make with the DMA API. Each is a short piece of driver against the public API, with
 * the reports of the kernel's checker and of ours, and the steps at which they come.
 */

export interface Mistake {
  title: string;
  /** What it leads to on real machines. */
  harm: string;
  /** The mainline commit that fixed an instance of it; only where it is certain. */
  commit?: string;
  /** Default: Linux 6.12, the IOMMU strict. */
  machine?: MachineOptions;
  device?: MachineDeviceOptions;
  /** What the kernel's checker reports, as `CHECK at step`, in order. */
  kernel: readonly ExpectedFinding[];
  /** What only ours reports. */
  ours: readonly ExpectedFinding[];
  /** No checker reports it: it shows in the bytes alone. */
  silent?: true;
  /** What the kernel's log says, line by line; not compared without. */
  says?: readonly RegExp[];
  run(lab: Lab): void;
}

export type ExpectedFinding = `${CheckId} at ${string}`;

/** A machine with a device, and a driver whose steps have names. */
export class Lab {
  readonly machine: BaseMachine;
  readonly device: DmaDevice;
  /** What was found so far, with the step at which it was. */
  readonly findings: { finding: Finding; step: string }[] = [];
  /** Expectations that did not come true. */
  readonly broken: string[] = [];
  #step = '';

  constructor(mistake: Mistake) {
    this.machine = new BaseMachine({
      ...{ ram: '64MiB', dmaDebug: { allErrors: true }, memoryLimit: '256MiB' },
      ...mistake.machine,
    });
    this.machine.dmaDebug.onError = (finding) => {
      this.findings.push({ finding, step: finding.caller.hook ?? this.#step });
    };
    this.device = this.machine.addDevice({ driver: 'careless', ...mistake.device });
  }

  /** What follows is a step of this name; findings and mappings carry it. */
  at(step: string, object = 0): void {
    this.#step = step;
    const { attributions } = this.machine.dmaDebug;
    attributions.set(object, 0, attributions.hookId(step));
  }

  /** The step `map`, as a careful driver makes it: the address is checked. Returns it. */
  map(pfn: number, offset: number, length: number, dir: Direction): number {
    this.at('map');
    const address = this.device.mapPage(pfn, offset, length, dir);
    this.device.mappingError(address);
    return address;
  }

  /** What must be so at this point. */
  expect(what: string, is: boolean): void {
    if (!is) this.broken.push(what);
  }

  /** The pfn of a fresh page. */
  page(): number {
    return this.machine.ram.alloc(1)[0];
  }

  /** The first pfn of 2^order neighbouring pages. */
  block(order: number): number {
    return this.machine.ram.allocBlock(order);
  }

  /** A list of n single pages, none the neighbour of another. */
  scattered(n: number): ScatterTable {
    const pfns = this.machine.ram.alloc(2 * n).filter((_, i) => i % 2 === 0);
    return ScatterTable.fromPages(this.machine, pfns);
  }

  /** The driver is unbound from a device: the only time at which the kernel looks for leaks. */
  unbind(device = this.device): void {
    this.at('unbind');
    this.machine.dmaDebug.driverUnbound(device);
  }

  /** Makes the next allocation of device address space fail. */
  failNextIova(): void {
    this.machine.core.exports.faultArm(this.machine.context, FAULT_IOVA, 1);
  }
}

const COLUMNS = 80;

/** The scenario of a mistake: it is as the kernel has it when both checkers report exactly what the corpus lists. */
export function mistakeScenario(name: string, mistake: Mistake): Scenario {
  return {
    name,
    title: mistake.title,
    group: 'Mistakes with the DMA API',
    policies: [],
    run: () => once(() => run(name, mistake), name),
    describe: (result) => describe(mistake, result),
  };
}

function says(lines: readonly string[], expected: readonly RegExp[] | undefined): boolean {
  return (
    expected === undefined || (lines.length === expected.length && expected.every((line, i) => line.test(lines[i])))
  );
}

function run(name: string, mistake: Mistake): ScenarioResult {
  const lab = new Lab(mistake);
  mistake.run(lab);
  const { machine } = lab;
  const { dmaDebug } = machine;
  const findings = lab.findings.filter(({ finding }) => finding.check !== 'POOL_GROWN');
  const said = (kernel: boolean): string[] =>
    findings
      .filter(({ finding }) => finding.kernel === kernel)
      .map(({ finding, step }) => `${finding.check} at ${step}`);
  const counts = machine.devices.map((device) => device.counts);
  const { live, lost, lostIovaBytes } = dmaDebug.poll();
  const lines = machine.dmesg();
  const kernel = said(true);
  const ours = said(false);
  return {
    scenario: name,
    ok:
      same(kernel, mistake.kernel) && same(ours, mistake.ours) && lab.broken.length === 0 && says(lines, mistake.says),
    maps: counts.reduce((sum, { maps }) => sum + maps, 0),
    unmaps: counts.reduce((sum, { unmaps }) => sum + unmaps, 0),
    live,
    leakedMappings: lost,
    leakedIovaBytes: lostIovaBytes,
    kernel,
    ours,
    expected: { kernel: mistake.kernel, ours: mistake.ours },
    broken: lab.broken,
    dmesg: lines,
    messages: findings.map(({ finding }) => finding.message),
    config: machine.config,
  };
}

function same(got: readonly string[], expected: readonly string[]): boolean {
  return got.length === expected.length && got.every((text, i) => text === expected[i]);
}

function describe(mistake: Mistake, result: ScenarioResult): string[] {
  const lines = wrap(mistake.harm, '  ');
  if (mistake.commit) lines.push(`  fixed in mainline by ${mistake.commit}`);
  const said = (title: string, verdicts: unknown): void => {
    const list = verdicts as string[];
    lines.push(...wrap(`${title} ${list.length === 0 ? 'nothing' : list.join(', ')}`, '  '));
  };
  said("the kernel's checker says:", result.kernel);
  said('gemdma says besides:', result.ours);
  for (const message of result.messages as string[]) lines.push(...wrap(message, '    '));
  return lines;
}

/** A text in lines of at most 80 columns, each after the first set further in. */
function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + word.length >= COLUMNS) {
      lines.push(line.trimEnd());
      line = `${indent}  `;
    }
    line += `${word} `;
  }
  lines.push(line.trimEnd());
  return lines;
}
