import { checkArray, checkFunction, readRecord, type Shape } from '../core/arguments.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { TableEntry } from '../core/iommu.js';
import { formatSource, hex, type IommuFormat } from '../iommu-formats/format.js';
import type { StaleAccess } from './iommu.js';

/** Tables and records of an IOMMU as text. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function size(bytes: number): string {
  const unit = Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  return `${bytes / 1024 ** unit} ${UNITS[unit]}`;
}

/**
 * A domain's tables, one entry per line, each level indented below the entry that leads to it; leaves in runs:
 *
 *     domain 2: 4 levels, 4 table pages
 *     4 0x0000000000000 -> 0x400000123000
 *      3 0x0000000000000 -> 0x400000124000
 *       2 0x0000000200000 = 0x140000000 rw 2 MiB x 3
 */
export function dumpTables(
  format: IommuFormat,
  entries: readonly TableEntry[],
  { id, levels, tablePages }: { id: number; levels: number; tablePages: number },
): string {
  const lines = [`domain ${id}: ${levels} levels, ${tablePages} table page${tablePages === 1 ? '' : 's'}`];
  let mapped = 0;
  for (const { level, iova, raw, run } of entries) {
    const place = `${' '.repeat(levels - level)}${level} ${hex(iova, 13)}`;
    const address = hex(format.address(level, raw));
    if (run === 0) lines.push(`${place} -> ${address}`);
    else {
      const page = format.page(level, raw);
      // Fewer slots than the page fills are what a mapping over it has left.
      const pages = Math.max(1, Math.floor(run / page.slots));
      lines.push(`${place} = ${address} ${format.access(raw)} ${size(page.size)}${pages > 1 ? ` x ${pages}` : ''}`);
      mapped += (pages * page.size) / PAGE_SIZE;
    }
  }
  lines.push(`${mapped} pages of 4 KiB mapped`);
  return lines.join('\n');
}

const STALE: Shape = { time: 'number', sourceId: 'number', address: 'number', write: 'boolean', age: 'number' };

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
  checkArray('accesses', accesses);
  checkFunction('nameOf', nameOf);
  if (accesses.length === 0) return 'no stale accesses';
  const lines = accesses.map((access) => readRecord('accesses', access, STALE, line));
  function line({ time, sourceId, address, write, age, object }: StaleAccess): string {
    const who = object === 0 ? 'it was unmapped' : `${nameOf(object)} was unmapped`;
    return `${formatSpan(time)}: device [${formatSource(sourceId)}] ${write ? 'wrote' : 'read'} ${hex(address)} ${formatSpan(age)} after ${who}`;
  }
  const longest = Math.max(...accesses.map(({ age }) => age));
  const plural = accesses.length === 1 ? 'access' : 'accesses';
  return [...lines, `${accesses.length} stale ${plural}, the longest window ${formatSpan(longest)}`].join('\n');
}
