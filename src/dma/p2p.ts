import { DMA_FROM_DEVICE, EREMOTEIO, PAGE_SIZE, REASON_DMA_P2P } from '../core/generated/constants.js';
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

/** How a list is mapped: all of it alike, its pages each in its way, or not at all. */
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

/** BARs of a list that the device reaches by bus addresses: the core reads them as [first, end) of doubles. */
function writeWindows({ host }: DmaDevice, windows: readonly BusRegion[]): number {
  const { core, context } = host;
  const at = core.staging(context);
  const numbers = Float64Array.from(windows.flatMap(({ address, size }) => [address, address + size]));
  core.writeBytes(at, new Uint8Array(numbers.buffer));
  return at;
}

/** Most windows that the core's staging area holds. */
const MOST_WINDOWS = 2048;

/** The lists of a device that are mapped by bus addresses, all or some of their pages; with the BARs of these. */
export class PeerLists {
  private readonly tables = new Map<ScatterTable, readonly BusRegion[]>();

  /**
   * Maps a list that has pages of a BAR. @returns undefined for a list without; else as dmaMapSg
   */
  map(device: DmaDevice, table: ScatterTable, dir: number, attrs: number): number | undefined {
    const { host } = device;
    const type = listType(host, device, table);
    if (type === 'host-bridge' || dir > DMA_FROM_DEVICE) return undefined;
    const { deviceRefuse, dmaMapSgBus, dmaMapSgMixed } = host.core.exports;
    if (type === 'bus-address') {
      this.tables.set(table, []);
      return dmaMapSgBus(device.handle, table.handle, dir, attrs);
    }
    const windows = type === 'mixed' ? this.#windows(device, table) : [];
    if (windows.length === 0 || windows.length > MOST_WINDOWS) {
      deviceRefuse(device.handle, REASON_DMA_P2P);
      return EREMOTEIO;
    }
    const at = writeWindows(device, windows);
    const rc = dmaMapSgMixed(device.handle, table.handle, at, windows.length, dir, attrs);
    if (rc > 0) this.tables.set(table, windows);
    return rc;
  }

  #windows(device: DmaDevice, table: ScatterTable): BusRegion[] {
    const { host } = device;
    const regions = new Set<BusRegion>();
    for (const { pfn } of table.entries()) {
      const region = host.bars!.at(pfn * PAGE_SIZE);
      if (region?.device !== undefined && mapTypeOf(host, region.device, device) === 'bus-address') regions.add(region);
    }
    return [...regions];
  }

  /** Ends such a mapping. Returns false for a list that was mapped like any other. */
  unmap(device: DmaDevice, table: ScatterTable, nents: number, dir: number, attrs: number): boolean {
    const windows = this.tables.get(table);
    if (windows === undefined) return false;
    this.tables.delete(table);
    const { dmaUnmapSgBus, dmaUnmapSgMixed } = device.host.core.exports;
    if (windows.length === 0) dmaUnmapSgBus(device.handle, table.handle, nents, dir);
    else dmaUnmapSgMixed(device.handle, table.handle, writeWindows(device, windows), windows.length, nents, dir, attrs);
    return true;
  }
}
