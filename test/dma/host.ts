import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { readLeaves, type TableEntry } from '../../src/core/iommu.js';
import type { DmaDevice } from '../../src/dma/device.js';
import type { DmaDomain } from '../../src/dma/dma-domain.js';
import type { DmaHost } from '../../src/dma/sg-table.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { debug } from '../core/debug.js';

export { PAGE };

export const MiB = 1024 * 1024;
export const MSI: readonly (readonly [number, number])[] = [[0xfee00, 0xfeeff]];

/** A bare machine on the debug core. */
export function host(pages = 8192, cpus = 1, limit = 2 ** 28): DmaHost {
  const core = new Core(debug);
  return { core, context: made(core.exports.machineCreate(limit, cpus, pages, 0, 1)) };
}

/** Moves the virtual clock. */
export function advance({ core, context }: DmaHost, ms: number): void {
  core.exports.clockAdvance(context, ms * 1e6);
}

/** What the tables hold from one DMA address to another, without the holes around it. */
export function leaves(domain: DmaDomain, address: number, length: number): TableEntry[] {
  const { core, context } = domain.host;
  const first = Math.floor(address / PAGE);
  return readLeaves(core, context, domain.handle, first, Math.ceil((address + length) / PAGE) - 1);
}

/** Physical address behind a DMA address, 0 for none. */
export function translated(domain: DmaDomain, address: number): number {
  return domain.host.core.exports.domainIovaToPhys(domain.handle, address);
}

/** Everything that a failed call must leave as it was. */
export function state(device: DmaDevice): unknown {
  const { core, context } = device.host;
  const { domain } = device;
  const translates = domain !== undefined && domain !== 'passthrough';
  return {
    records: core.tools.machineRecords(context),
    sound: core.tools.machineCheck(context) >>> 0,
    counts: device.counts,
    tree: translates ? iovaTree(domain) : [],
    tables: translates ? core.tools.domainTablePages(domain.handle) : 0,
    leaves: translates ? leaves(domain, 0, 2 ** 32).filter(({ level }) => level > 0) : [],
  };
}
