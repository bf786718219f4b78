/** The largest address of a device: the largest integer that a number has exactly. */
export const MAX_DEVICE_ADDRESS = Number.MAX_SAFE_INTEGER;
/** The end of physical addresses, which have 52 bits. */
export const PHYSICAL_END = 2 ** 52;

/** The 64 bits of a device's address: DMA_MAPPING_ERROR, which is -1 here, has all of them set. */
export function addressBits(address: number): bigint {
  return BigInt.asUintN(64, BigInt(address));
}
