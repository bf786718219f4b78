import { GemDmaError, type GemObject, Machine, type MappingPolicy } from 'gemdma';

/**
 * A mapping policy of your own, run under dma-debug.
 *
 * The idea is good: map an object with its first vma, unmap it with its last, and count vmas so that none in between
 * maps again. It passes every test that binds and unbinds. Can you see the bug before dma-debug does?
 */
export function countingPolicy(): MappingPolicy {
  const bound = new WeakMap<GemObject, number>();
  return {
    name: 'count the vmas',
    bind(object) {
      const count = (bound.get(object) ?? 0) + 1;
      bound.set(object, count);
      return count === 1 ? object.mapSg() : 0;
    },
    unbind(object) {
      const count = bound.get(object)! - 1;
      bound.set(object, count);
      if (count === 0) object.unmapSg();
    },
  };
}

/** The bug's cure: a bind that fails after its hook has to be counted back. */
export function correctedPolicy(): MappingPolicy {
  const policy = countingPolicy();
  return { ...policy, name: 'count the vmas, failed binds too', bindFailed: policy.unbind };
}

/** Binds and unbinds objects in two address spaces; every seventh bind meets a page table that cannot be had. */
export function work(policy: MappingPolicy): { lost: number; report: string } {
  const machine = new Machine({ ram: '64MiB' });
  const gpu = machine.addI915({ gen: 7, ppgtt: 'full', policy });

  for (let i = 0; i < 21; ++i) {
    // A new address space has no page tables yet: the first bind makes one.
    const context = gpu.createContext();
    const object = gpu.createObject('4MiB');
    if (i % 7 === 0) machine.failAllocation('gtt', 2); // range managers' nodes and GPU page tables
    try {
      object.bind(context.vm);
      object.bind(gpu.ggtt);
    } catch (error) {
      // ENOMEM is what a driver must live with. The object is released all the same.
      if (!GemDmaError.is(error, 'ENOMEM')) throw error;
    } finally {
      object.release();
      context.release();
    }
  }
  const result = { lost: machine.dmaDebug.report().lost.count, report: machine.dmaDebug.reportText() };
  machine[Symbol.dispose]();
  return result;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  for (const policy of [countingPolicy(), correctedPolicy()]) {
    const { lost, report } = work(policy);
    console.log(`${policy.name}: ${lost} mappings lost\n${report}\n`);
  }
}
