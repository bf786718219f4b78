import { DMA_FROM_DEVICE, EREMOTEIO, PAGE_SIZE } from '../core/generated/constants.js';
import type { DmaDevice } from './device.js';
import type { BusRegion, DmaHost, ScatterTable } from './sg-table.js';

/**
 * Peer to peer (drivers/pci/p2pdma.c): pages of a list that are in another device's BAR. Below the same switch a device reaches them
 * by their bus addresses, without the IOMMU; otherwise through the host bridge, like RAM, if the bridge forwards such transactions.
 */

/** What the machine's bus does with transactions from device to device. */
export interface P2pConfig {
  /** Switches redirect all of them to the host bridge (ACS redirect), as Linux configures with an IOMMU. */
  readonly acs: boolean;
  /** The host bridge passes them on (cpu_supports_p2pdma, host_bridge_whitelist). */
  readonly hostBridge: boolean;
}

/** enum pci_p2pdma_map_type. */
export type P2pMapType = 'bus-address' | 'host-bridge' | 'not-supported';

/** @internal How a device reaches another's memory (calc_map_type_and_dist). */
export function mapTypeOf({ p2p }: DmaHost, provider: DmaDevice, client: DmaDevice): P2pMapType {
  if (provider === client) return 'bus-address';
  const near = provider.switch !== undefined && provider.switch === client.switch;
  if (near && p2p?.acs !== true) return 'bus-address';
  return p2p?.hostBridge === false ? 'not-supported' : 'host-bridge';
}

/** The region that a device's access reaches below its switch, before the IOMMU; undefined for other accesses. */
export function peerAt(host: DmaHost, client: DmaDevice, address: number): BusRegion | undefined {
  const region = host.bars?.at(address);
  if (region === undefined || region.device === undefined) return undefined;
  return mapTypeOf(host, region.device, client) === 'bus-address' ? region : undefined;
}

/** How a list is mapped: as RAM, by bus addresses, or not at all, such as a list that mixes both. */
export function listType(host: DmaHost, client: DmaDevice, table: ScatterTable): P2pMapType | 'mixed' {
  const types = new Set<P2pMapType>();
  for (const { pfn } of table.entries()) {
    const provider = host.bars!.at(pfn * PAGE_SIZE)?.device;
    const type = provider === undefined ? 'host-bridge' : mapTypeOf(host, provider, client);
    if (type === 'not-supported') return type;
    types.add(type);
  }
  return types.size > 1 ? 'mixed' : [...types][0];
}

/** The lists of a device that are mapped by bus addresses. */
export class PeerLists {
  private readonly tables = new Set<ScatterTable>();

  /**
   * Maps a list that has pages of a BAR. @returns undefined for a list without; else as dmaMapSg
   */
  map(device: DmaDevice, table: ScatterTable, dir: number, attrs: number): number | undefined {
    const type = listType(device.host, device, table);
    if (type === 'host-bridge' || dir > DMA_FROM_DEVICE) return undefined;
    const { dmaMapSgBus, dmaRefuseP2p } = device.host.core.exports;
    if (type !== 'bus-address') {
      dmaRefuseP2p(device.handle);
      return EREMOTEIO;
    }
    this.tables.add(table);
    return dmaMapSgBus(device.handle, table.handle, dir, attrs);
  }

  /** Ends such a mapping. Returns false for a list that was mapped like any other. */
  unmap(device: DmaDevice, table: ScatterTable, nents: number, dir: number): boolean {
    if (!this.tables.delete(table)) return false;
    device.host.core.exports.dmaUnmapSgBus(device.handle, table.handle, nents, dir);
    return true;
  }
}
