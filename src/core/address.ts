/** The 64 bits of a device's address: DMA_MAPPING_ERROR, which is -1 here, has all of them set. */
export function addressBits(address: number): bigint {
  return BigInt.asUintN(64, BigInt(address));
}
