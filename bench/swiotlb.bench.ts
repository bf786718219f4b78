import { DMA_BIDIRECTIONAL, DMA_TO_DEVICE, Machine } from 'gemdma';
import { PAGE_SIZE as PAGE } from '#contract';
import type { Suite, Task } from './frame.js';

const CALLS = 256;
const LIMIT = 'copy 4 KiB in JavaScript';

const suite: Suite = {
  name: 'swiotlb',
  title: 'bounce buffers: a page mapped and unmapped for a device that must bounce',
  variants: ['copy', 'empty', 'written', 'written, to device', 'written, pool nearly full'],
  tasks: (variant: string): Task[] => [variant === 'copy' ? copy() : bounce(variant)],
};

/** What bouncing cannot do without: the bytes go to the pool and come back. */
function copy(): Task {
  const [from, to] = [new Uint8Array(PAGE).fill(1), new Uint8Array(PAGE)];
  return {
    name: LIMIT,
    operations: CALLS,
    run() {
      for (let i = 0; i < CALLS; ++i) to.set(from);
    },
  };
}

function bounce(variant: string): Task {
  const machine = new Machine({ ram: '512MiB', iommu: 'off', swiotlb: { force: true }, dmaDebug: false });
  const device = machine.addDevice({ maskBits: 32 });
  const pfn = machine.ram.allocBlock(0);
  if (variant !== 'empty') machine.ram.write(pfn * PAGE, new Uint8Array(PAGE).fill(1));
  const dir = variant.endsWith('to device') ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
  if (variant.endsWith('full')) {
    // One page of the full pool is free again, and is found each time.
    const held: number[] = [];
    for (let at = device.mapPage(pfn, 0, PAGE, dir); at >= 0; at = device.mapPage(pfn, 0, PAGE, dir)) held.push(at);
    device.unmapPage(held[held.length >> 1], PAGE, dir);
  }
  return {
    name: `map + unmap 4 KiB, ${variant}`,
    operations: CALLS,
    ...(variant.startsWith('written') && { limit: LIMIT }),
    run() {
      for (let i = 0; i < CALLS; ++i) device.unmapPage(device.mapPage(pfn, 0, PAGE, dir), PAGE, dir);
    },
  };
}

export default suite;
