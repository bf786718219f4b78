import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import { deviceRead, deviceWrite } from '../../iommu/iommu.js';
import type { Mistake } from './corpus.js';

/** Devices with limits: not coherent, behind a narrow bus, external, below one switch. */

const RAM_ABOVE_4GIB = 5 * 1024 ** 3;

export const devices: Readonly<Record<string, Mistake>> = {
  'noncoherent-missing-sync': {
    title: 'a device without coherency writes, the CPU reads on with no sync',
    harm: 'The CPU sees what was in its cache: a packet of before, or half of one.',
    device: { coherent: false },
    kernel: [],
    ours: [],
    silent: true,
    run(lab) {
      const { machine, device } = lab;
      const pfn = lab.page();
      machine.ram.write(pfn * PAGE, new Uint8Array(64).fill(1));
      lab.at('map');
      const address = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
      device.mappingError(address);
      lab.at('receive');
      deviceWrite(machine, device, address, new Uint8Array(64).fill(2));
      lab.expect('the CPU sees stale bytes', machine.ram.read(pfn * PAGE, 1)[0] === 1);
      device.syncForCpu(address, PAGE, DMA_FROM_DEVICE);
      lab.expect('after the sync it sees what was written', machine.ram.read(pfn * PAGE, 1)[0] === 2);
      device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    },
  },
  'bus-limit': {
    title: 'a device with 64 bits of address behind a bus with 32, and memory above 4 GiB',
    harm: 'The mask promises what the bridge before it cuts off.',
    machine: { ram: RAM_ABOVE_4GIB, iommu: 'off', swiotlb: false, memoryLimit: '512MiB' },
    device: { maskBits: 64, busLimitBits: 32 },
    kernel: [],
    ours: [],
    says: [
      /^careless 0000:00:02\.0: DMA addr 0x00000001[0-9a-f]{8}\+4096 overflow \(mask ffffffffffffffff, bus limit ffffffff\)\.$/,
    ],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      const address = device.mapPage(lab.block(0), 0, PAGE, DMA_TO_DEVICE);
      lab.expect('the mapping fails', device.mappingError(address));
    },
  },
  'untrusted-no-pool': {
    title: 'a device at a cable maps part of a page, and there is no bounce pool',
    harm: 'An IOMMU protects whole pages: without a pool such a device cannot be served at all.',
    device: { untrusted: true },
    kernel: [],
    ours: [],
    says: [/^careless 0000:00:02\.0: DMA bounce buffers are inactive, unable to map unaligned transaction\.$/],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      lab.expect('part of a page fails', device.mappingError(device.mapPage(lab.page(), 512, 64, DMA_TO_DEVICE)));
      const whole = device.mapPage(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.expect('a whole page does not', !device.mappingError(whole));
      device.unmapPage(whole, PAGE, DMA_TO_DEVICE);
    },
  },
  'untrusted-bounce': {
    title: 'the same with a bounce pool: the neighbours in the page stay hidden',
    harm: 'None: this is how it should be. Without the bounce the device would read what lies beside the buffer.',
    machine: { swiotlb: '1MiB' },
    device: { untrusted: true },
    kernel: [],
    ours: [],
    silent: true,
    run(lab) {
      const { machine, device } = lab;
      const pfn = lab.page();
      machine.ram.write(pfn * PAGE, new Uint8Array(PAGE).fill(7));
      lab.at('map');
      const address = device.mapPage(pfn, 0, 64, DMA_TO_DEVICE);
      device.mappingError(address);
      lab.at('read');
      lab.expect(
        'the buffer is read',
        deviceRead(machine, device, address, 64).every((byte) => byte === 7),
      );
      const beside = deviceRead(machine, device, address + 64, PAGE - 64);
      lab.expect(
        'the rest of the page is zero',
        beside.every((byte) => byte === 0),
      );
      device.unmapPage(address, 64, DMA_TO_DEVICE);
    },
  },
  'dma-pool-busy': {
    title: 'a dma_pool is destroyed with a block still in use, and one is freed twice',
    harm: 'The pool leaks its memory, since the device may still write there.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: [],
    says: [
      /^careless 0000:00:02\.0: pool_block_err descriptors, dma 0x[0-9a-f]{16} already free$/,
      /^careless 0000:00:02\.0: dma_pool_destroy descriptors busy$/,
      /^DMA-API: pci 0000:00:02\.0: device driver has pending DMA allocations while released from device \[count=1\]$/,
      /^One of leaked entries details: .* \[mapped as coherent\]$/,
    ],
    run(lab) {
      lab.at('probe');
      const pool = lab.machine.createDmaPool(lab.device, { name: 'descriptors', size: 64, align: 64 });
      const kept = pool.alloc();
      const other = pool.alloc();
      lab.at('remove');
      pool.free(other);
      pool.free(other);
      lab.expect('a block is in use', kept.address > 0 && pool.stats.active === 1);
      lab.expect('the memory stays', pool.destroy() === 1);
      lab.unbind();
    },
  },
  'p2p-bar': {
    title: "a device writes to another one's BAR, mapped with dma_map_resource, and goes on after the unmap",
    harm: 'Behind an IOMMU it faults; without one the registers of a running device are overwritten.',
    kernel: [],
    ours: [],
    says: [
      /^DMAR: DRHD: handling fault status reg 2$/,
      /^DMAR: \[DMA Write NO_PASID\] Request device \[00:02\.0\] fault addr 0x[0-9a-f]+ \[fault reason 0x05\] PTE Write access is not set$/,
    ],
    run(lab) {
      const { machine, device } = lab;
      const peer = machine.addDevice({ driver: 'nvme' });
      const bar = machine.addBar(peer, 64 * 1024);
      lab.at('map');
      const address = device.mapResource(bar.address + PAGE, PAGE, DMA_FROM_DEVICE);
      device.mappingError(address);
      lab.at('write');
      deviceWrite(machine, device, address + 8, Uint8Array.of(1, 2, 3));
      lab.expect('the BAR has it', bar.read(PAGE + 8, 3).join() === '1,2,3');
      lab.at('unmap');
      device.unmapResource(address, PAGE, DMA_FROM_DEVICE);
      let faulted = false;
      try {
        deviceWrite(machine, device, address, Uint8Array.of(9));
      } catch {
        faulted = true;
      }
      lab.expect('a later write faults', faulted && bar.read(PAGE, 1)[0] === 0);
    },
  },
};
