import type { LiveEntryRecord, MappingType } from '../core/dma-debug-records.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { fill } from '../core/kernel-format.js';
import type { DebugDialect } from './dialects.js';

/** Entries that no kernel has. */
const OWN_TYPES: readonly MappingType[] = ['link', 'reservation', 'remainder'];
/** The kernel's hash takes an address from this bit on (hash_fn). */
const HASH_BITS = 13;
/** L1_CACHE_SHIFT of x86-64. */
const LINE_BYTES = 64;

const CHECKED = {
  'not applicable': 'dma map error check not applicable',
  'not checked': 'dma map error not checked',
  checked: 'dma map error checked',
} as const;

/**
 * Entries as the kernel dumps them, those that it has: bucket by bucket of its hash, oldest first (dump_show, debug_dma_dump_mappings).
 * @param device dev_driver_string and dev_name by the device's number
 */
export function dumpLines(
  entries: readonly LiveEntryRecord[],
  dialect: Pick<DebugDialect, 'buckets' | 'dump' | 'types'>,
  device: (id: number) => { driver: string; name: string },
): string[] {
  const bucket = ({ address }: LiveEntryRecord): number => Math.floor(address / 2 ** HASH_BITS) % dialect.buckets;
  const kernel = entries.filter(({ type }) => !OWN_TYPES.includes(type));
  const sorted = kernel.sort((one, other) => bucket(one) - bucket(other) || one.sequence - other.sequence);
  return sorted.map((entry) => {
    const { driver, name } = device(entry.device);
    return fill(dialect.dump, {
      ...{ driver, device: name, idx: bucket(entry), type: dialect.types[entry.type], dir: entry.direction },
      ...{ phys: entry.phys, pfn: Math.floor(entry.phys / PAGE_SIZE), cln: Math.floor(entry.phys / LINE_BYTES) },
      ...{ address: entry.address, size: entry.size, checked: CHECKED[entry.checked] },
    });
  });
}
