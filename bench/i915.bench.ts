import { Machine, type PolicyName } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { scattered } from './support.js';

const PAGES = 1024;
const ROUNDS = 16;
const LIMIT = 'bare PTE loop, 1,024';

const suite: Suite = {
  name: 'gem',
  title: 'the life of a 4 MiB object: create, getPages, bind in GGTT and a PPGTT, unbind both, putPages, free',
  warmup: 1000,
  variants: ['limit', 'contiguous', 'scattered', 'contiguous leaky', 'scattered checked'],
  tasks(variant: string): Task[] {
    if (variant === 'limit') return [limit()];
    const [where, how] = variant.split(' ');
    const policy = how === 'leaky' ? 'i915-4.1' : 'i915-4.2';
    const dmaDebug = how === 'checked';
    const name = `life under ${policy}, ${where}${dmaDebug ? ', dma-debug on' : ''}`;
    return [life(name, policy, where === 'scattered' ? 1 : 0, dmaDebug)];
  },
};

function limit(): Task {
  const machine = new Machine({ ram: '256MiB', dmaDebug: false });
  const { blockAlloc } = machine.core.exports;
  const { limitStorePtes } = machine.core.tools;
  const table = blockAlloc(machine.context, 1);
  const { vector } = scattered(machine, PAGES);
  return { name: LIMIT, operations: ROUNDS, run: () => limitStorePtes(table, vector, PAGES, ROUNDS) };
}

function life(name: string, policy: PolicyName, fragmentation: number, dmaDebug: boolean): Task {
  const machine = new Machine({ ram: { size: '256MiB', fragmentation }, dmaDebug });
  const gpu = machine.addI915({ gen: 8, policy });
  const { vm } = gpu.createContext();
  // Under 4.1 each life that binds twice loses a mapping: with one bind a life the machine lasts.
  const twice = policy === 'i915-4.2';
  return {
    name,
    operations: ROUNDS,
    limit: LIMIT,
    ...(policy === 'i915-4.2' && !dmaDebug && { reach: { of: LIMIT, ratio: 5 } }),
    run() {
      for (let i = 0; i < ROUNDS; ++i) {
        const object = gpu.createObject(4194304);
        object.getPages();
        const global = object.bind(gpu.ggtt);
        const own = twice ? object.bind(vm) : global;
        global.unbind();
        if (twice) own.unbind();
        object.putPages();
        object.release();
      }
    },
  };
}

export default suite;
