import { Machine } from 'gemdma';

const machine = new Machine({ ram: '1GiB', kernel: 'linux-6.12', iommu: 'strict' });
const gpu = machine.addI915({ gen: 8, policy: 'i915-4.1', ppgtt: 'full' });

const bo = gpu.createObject('4MiB');
bo.pwrite(0, new TextEncoder().encode('hello, GPU'));

const global = bo.bind(gpu.ggtt);
const own = bo.bind(gpu.createContext().vm); // i915-4.1 maps again: the first mapping is lost

// Through the GPU's page table, the IOVA, the VT-d table and the frame, to the bytes that the CPU wrote.
console.log(new TextDecoder().decode(gpu.read(own.vm, own.start, 10)));

global.unbind();
own.unbind();
bo.release();

const { lost, bySite } = machine.dmaDebug.report();
console.log(`${lost.count} mapping lost, ${lost.iovaBytes / 1024 ** 2} MiB of IOVA, made ${bySite[0].origin}`);
