import { Machine } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { scattered } from './support.js';

const PAGES = 1024;
const ROUNDS = 16;

const suite: Suite = {
  name: 'gem',
  title: 'the life of a 4 MiB object: create, getPages, bind in GGTT and a PPGTT, unbind both, putPages, free',
  tasks(): Task[] {
    const tasks: Task[] = [];
    const machine = new Machine({ ram: '256MiB', dmaDebug: false });
    const { blockAlloc, limitStorePtes } = machine.core.exports;
    const table = blockAlloc(machine.context, 1);
    const { vector } = scattered(machine, PAGES);
    tasks.push({
      name: 'bare PTE loop, 1,024',
      operations: ROUNDS,
      run: () => limitStorePtes(table, vector, PAGES, ROUNDS),
    });
    for (const [driver, fragmentation] of [
      ['linux-4.2', 0],
      ['linux-4.2', 1],
      ['linux-4.1', 0],
    ] as const) {
      const where = fragmentation === 0 ? 'contiguous' : 'scattered';
      tasks.push(life(`life under ${driver}, ${where}`, driver, fragmentation, false));
    }
    tasks.push(life('life under linux-4.2, scattered, checker on', 'linux-4.2', 1, true));
    tasks[1].reach = { of: tasks[0].name, ratio: 5 };
    tasks[2].reach = { of: tasks[0].name, ratio: 5 };
    for (const task of tasks.slice(1)) task.limit = tasks[0].name;
    return tasks;
  },
};

function life(name: string, driver: 'linux-4.1' | 'linux-4.2', fragmentation: number, dmaDebug: boolean): Task {
  const machine = new Machine({ ram: { size: '256MiB', fragmentation }, dmaDebug });
  const gpu = machine.addI915({ gen: 8, driver });
  const { vm } = gpu.createContext();
  // Under 4.1 each life that binds twice loses a mapping: with one bind a life the machine lasts.
  const twice = driver === 'linux-4.2';
  return {
    name,
    operations: ROUNDS,
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
