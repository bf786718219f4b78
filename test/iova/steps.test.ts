import { expect, test } from 'vitest';
import { STEP_ALLOC, STEP_FREE } from '../../src/core/generated/constants.js';
import { IovaSteps } from '../../src/core/iova-steps.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import { Machine } from '../../src/machine-drivers/machine.js';

test('steps that are measured in one call do what the same calls do one by one', () => {
  const machine = new Machine({ ram: '16MiB' });
  const options = { allocator: 'tree-6.12' } as const;
  const one = new IovaDomain(machine, options);
  const all = new IovaDomain(machine, options);
  using steps = new IovaSteps(machine.core, machine.context, 300);
  const limit = one.limit32;
  for (let i = 0; i < 200; ++i) {
    const pfn = one.alloc((i % 7) + 1, { limit, aligned: i % 3 === 0 });
    steps.push(STEP_ALLOC, limit, (i % 7) + 1, i % 3 === 0);
    if (i % 2 === 0) {
      one.free(pfn);
      steps.push(STEP_FREE, pfn);
    }
  }
  expect(steps.run(all.handle)).toBe(0);
  const { exports, tools } = machine.core;
  const ranges = (domain: IovaDomain): string[] => {
    const found: string[] = [];
    for (let at = 0; tools.iovaNextRange(domain.handle, at); at = exports.iovaFoundHi(domain.handle) + 1) {
      found.push(`${exports.iovaFoundLo(domain.handle)} ${exports.iovaFoundHi(domain.handle)}`);
    }
    return found;
  };
  expect(ranges(all)).toEqual(ranges(one));
  expect(ranges(all).length).toBe(100);
});
