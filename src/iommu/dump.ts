import { PAGE_SIZE as PAGE } from '../core/generated/constants.js';
import type { TableEntry } from '../core/iommu.js';
import type { AlreadySet, IommuFault, StaleAccess } from './iommu.js';

/** Tables and records of the VT-d unit as text for people. */

const SIZES = ['', '4 KiB', '2 MiB', '1 GiB'];
const PAGES = [0, 1, 512, 512 ** 2];

const hex = (value: number, digits = 0): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** Bits of an entry below the address: r read, w write, s snoop. */
function access(raw: number): string {
  const low = raw % PAGE;
  return `${low & 1 ? 'r' : '-'}${low & 2 ? 'w' : '-'}${low & 0x800 ? 's' : ''}`;
}

function address(raw: number): number {
  return raw - (raw % PAGE);
}

/**
 * A domain's tables, one entry a line, each level indented below the entry that leads to it; leaves in runs:
 *
 *     domain 2: 4 levels, 4 table pages
 *     4 0x0000000000000 -> 0x400000123000
 *      3 0x0000000000000 -> 0x400000124000
 *       2 0x0000000200000 = 0x140000000 rw 2 MiB x 3
 */
export function dumpTables(
  entries: readonly TableEntry[],
  { id, levels, tablePages }: { id: number; levels: number; tablePages: number },
): string {
  const lines = [`domain ${id}: ${levels} levels, ${tablePages} table page${tablePages === 1 ? '' : 's'}`];
  for (const { level, iova, raw, run } of entries) {
    const place = `${' '.repeat(levels - level)}${level} ${hex(iova, 13)}`;
    if (run === 0) lines.push(`${place} -> ${hex(address(raw))}`);
    else lines.push(`${place} = ${hex(address(raw))} ${access(raw)} ${SIZES[level]}${run > 1 ? ` x ${run}` : ''}`);
  }
  const mapped = entries.reduce((sum, { level, run }) => (run === 0 ? sum : sum + run * PAGES[level]), 0);
  lines.push(`${mapped} pages of 4 KiB mapped`);
  return lines.join('\n');
}

/** bus:device.function of a requester id. */
export function formatSource(sourceId: number): string {
  const digits = (value: number): string => value.toString(16).padStart(2, '0');
  return `${digits(sourceId >> 8)}:${digits((sourceId >> 3) & 31)}.${sourceId & 7}`;
}

/** A fault in the words of the kernel log. */
export function formatFault({ write, sourceId, address, reason, message }: IommuFault): string {
  const page = hex(address - (address % PAGE));
  const code = hex(reason, 2);
  return `DMAR: [DMA ${write ? 'Write' : 'Read'} NO_PASID] Request device [${formatSource(sourceId)}] fault addr ${page} [fault reason ${code}] ${message}`;
}

/** An entry found already set in the words of the kernel log. */
export function formatAlreadySet({ pfn, entry }: AlreadySet): string {
  return `DMAR: ERROR: DMA PTE for vPFN ${hex(pfn)} already set (not ${entry.toString(16)})`;
}

/** A time span with a unit that fits. */
export function formatSpan(nanoseconds: number): string {
  if (nanoseconds < 1000) return `${nanoseconds} ns`;
  if (nanoseconds < 1e6) return `${Number((nanoseconds / 1000).toPrecision(4))} us`;
  return `${Number((nanoseconds / 1e6).toPrecision(6))} ms`;
}

/**
 * The stale accesses of a machine, for a report: one line for each, newest window last, and a line that sums up.
 * @param nameOf how the caller calls an object; by number when it is missing
 */
export function formatStaleAccesses(
  accesses: readonly StaleAccess[],
  nameOf = (object: number) => `object ${object}`,
): string {
  if (accesses.length === 0) return 'no stale accesses';
  const lines = accesses.map(({ time, sourceId, address, write, age, object }) => {
    const who = object === 0 ? 'it was unmapped' : `${nameOf(object)} was unmapped`;
    return `${formatSpan(time)}: device [${formatSource(sourceId)}] ${write ? 'wrote' : 'read'} ${hex(address)} ${formatSpan(age)} after ${who}`;
  });
  const longest = Math.max(...accesses.map(({ age }) => age));
  const plural = accesses.length === 1 ? 'access' : 'accesses';
  return [...lines, `${accesses.length} stale ${plural}, the longest window ${formatSpan(longest)}`].join('\n');
}
