import { i915Driver } from '../../i915/driver.js';
import { policyWith } from '../../i915/policy/index.js';
import { kernelWith } from '../../kernels/kernels.js';
import type { ExpectedFinding, Lab, Mistake } from './corpus.js';

/** The bug of Linux commit e227330223a7, in the driver that had it. */

/** One object is bound in its own address space and in the global one, unbound from both and freed; the driver is unbound. */
function bindTwice(lab: Lab): void {
  const gpu = lab.machine.addDriver(i915Driver, { gen: 8, policy: policyWith(({ remaps }) => remaps), ppgtt: 'full' });
  const context = gpu.createContext();
  const object = gpu.createObject('64KiB');
  const own = object.bind(context.vm);
  const global = object.bind(gpu.ggtt);
  global.unbind();
  own.unbind();
  lab.at('free object');
  object.release();
  context.release();
  lab.unbind(lab.machine.devices.at(-1));
}

const COMMIT = 'e227330223a7 ("drm/i915: avoid leaking DMA mappings")';
const OURS: readonly ExpectedFinding[] = [
  'DOUBLE_MAP at bind',
  'ADDRESS_OVERWRITTEN at bind',
  'FREED_WHILE_MAPPED at free object',
  'OBJECT_GONE at free object',
];
const HARM = 'Each bind in a second address space loses the range of the first; in the end nothing can be mapped.';

export const i915: Readonly<Record<string, Mistake>> = {
  'i915-two-address-spaces': {
    title: 'i915 maps an object at each first bind, under dma-debug of its time',
    harm: HARM,
    commit: COMMIT,
    machine: { kernel: kernelWith(({ dmaDebug }) => !dmaDebug.growing) },
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: OURS,
    run: bindTwice,
  },
  'i915-two-address-spaces-6.12': {
    title: 'the same driver under dma-debug of 6.12',
    harm: HARM,
    commit: COMMIT,
    kernel: ['CACHELINE_OVERLAP at bind', 'LEAK_ON_UNBIND at unbind'],
    ours: OURS,
    run: bindTwice,
  },
};
