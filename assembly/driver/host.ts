// What this module asks of the host, only when something was found: both take a stack trace of the driver.

import { toHost } from '../memory/host';

/** The checker has new findings. */
// @ts-ignore: decorator
@external("host", "settle")
export declare function hostSettle(): void;

// @ts-ignore: decorator
@external("host", "report")
declare function report(
  kind: u32, address: usize, size: u32, write: u32, other: usize, length: u32, dma: f64, dir: u32, site: u32,
): void;

/**
 * An access of the CPU, or a free, that is wrong.
 * @param kind REPORT_ (shadow.ts)
 * @param address, size of the access
 * @param other address of the mapping or 0; dma its device address; site where the mapping was made
 */
export function hostReport(
  kind: u32, address: usize, size: u32, write: u32, other: usize, length: u32, dma: u64, dir: u32, site: u32,
): void {
  report(kind, address, size, write, other, length, toHost(dma), dir, site);
}
