import { DIRECTIONS, MAPPING_TYPES, type MappingType } from '../core/dma-debug-records.js';
import {
  KMSG_FAULT,
  KMSG_FIRST,
  LIMIT_FAULTS,
  REPORT_ENTRY,
  REPORT_KERNEL,
  REPORT_PRINTED,
} from '../core/generated/constants.js';
import { type Fields, fill } from '../core/kernel-format.js';
import type { RawMessage } from '../core/kernel-log.js';
import { type CheckId, checkOf } from '../dma-debug/checks.js';
import { faultFields, type IommuFormat } from '../iommu-formats/format.js';
import { wordsOf } from '../iommu-formats/index.js';
import type { AccessMessage, DmaPoolMessage } from './kinds.js';
import { LIMITED, type NoticeId, noticeOf, OWN_NOTICES } from './kinds.js';
import type { KernelWords, Message } from './words.js';

/** Records of the core's log in the words of a kernel. */

/** `gemdma:dmesg`: a message that the kernel would print, or one of gemdma alone. */
export interface KernelMessage {
  /** What it is about: a check of the checker, or a notice. */
  id: CheckId | NoticeId | DmaPoolMessage | AccessMessage;
  /** Virtual time in nanoseconds. */
  time: number;
  /** Virtual CPU on which it was said, from 0. */
  cpu: number;
  /** Name of the device, empty where none is involved. */
  device: string;
  /** The kernel prints it; false for a message of gemdma alone, whose lines begin with `gemdma:`. */
  kernel: boolean;
  /** Its limits let it through: num_errors and all_errors, the driver filter. */
  printed: boolean;
  /** The lines, without line ends; none for a bare WARN_ON. */
  text: string[];
  /** Of a WARN the place: file, line where it is known, function. */
  where?: string;
  /** The text is a line before the WARN, not part of it. */
  apart?: boolean;
}

/** A device as messages name it, with its masks where they are known; no bus limit is 0. */
export interface KernelDevice {
  readonly driver: string;
  readonly name: string;
  readonly mask?: bigint;
  readonly busLimit?: bigint;
}

/** What a record's numbers mean on a machine. */
export interface MessageContext {
  readonly words: KernelWords;
  readonly types: Readonly<Record<MappingType, string>>;
  /** Entries that dma-debug began with (dma_debug_entries=). */
  readonly entries: number;
  readonly format: () => IommuFormat;
  /** dev_driver_string and dev_name of a device; undefined where no device has that number. */
  readonly device: (id: number) => KernelDevice | undefined;
}

/** dev_driver_string of a device without a driver: its bus. */
export const BUS = 'pci';

/** Where NO_MASK is said, by the call. */
const NO_MASK = [
  { line: 164, function: 'dma_map_page_attrs' },
  { line: 209, function: '__dma_map_sg_attrs' },
  { line: 329, function: 'dma_map_resource' },
  { line: 598, function: 'dma_alloc_attrs' },
  { line: 672, function: '__dma_alloc_pages' },
];

/** The message of a record; null if this kernel prints none. */
export function messageOf(record: RawMessage, context: MessageContext): KernelMessage | null {
  return record.kind < KMSG_FIRST ? finding(record, context) : notice(record, context);
}

function notice(record: RawMessage, context: MessageContext): KernelMessage | null {
  const id = noticeOf(record.kind);
  const own = OWN_NOTICES[id];
  if (own !== undefined) return { ...message(id, { text: own }, record, context, true), kernel: false };
  const { words } = context;
  const driver = wordsOf(context.format(), words.release);
  const known = context.device(record.device) !== undefined;
  const fault = { text: known ? driver.fault : (driver.unknownDevice ?? driver.fault) };
  const row = id === 'FAULT' ? fault : (driver.notices[id] ?? words.notices[id]);
  return row === undefined ? null : message(id, row, record, context, true);
}

function finding(record: RawMessage, context: MessageContext): KernelMessage {
  const { id } = checkOf(record.kind);
  const row = context.words.findings[id];
  if (row !== undefined && (record.flags & REPORT_KERNEL) !== 0) {
    return message(id, row, record, context, (record.flags & REPORT_PRINTED) !== 0);
  }
  return { ...message(id, { text: ownText(record) }, record, context, true), kernel: false };
}

function message(
  id: KernelMessage['id'],
  row: Message,
  record: RawMessage,
  context: MessageContext,
  printed: boolean,
): KernelMessage {
  const fields = fieldsOf(record, row, context);
  const text = row.text === '' ? [] : fill(row.text, fields).split('\n');
  const { time, cpu } = record;
  const device = context.device(record.device)?.name ?? '';
  return {
    ...{ id, time, cpu, device, kernel: true, printed, text },
    ...(row.where && { where: fill(row.where, fields) }),
    ...(row.apart && { apart: true }),
  };
}

function fieldsOf(record: RawMessage, row: Message, { words, types, entries, format, device }: MessageContext): Fields {
  const { address, size, a, b, d, e, entryAddress, entrySize, entryKind } = record;
  const told: Readonly<Record<string, number | bigint>> = record.exact ?? {};
  const who = device(record.device);
  const type = (number: number | bigint): string | undefined => types[MAPPING_TYPES[Number(number)]];
  return {
    ...{ address, size, entryAddress, entrySize },
    ...(record.exact ?? { a, b, d, e }),
    mask: who?.mask ?? a,
    busLimit: who?.busLimit ?? b,
    driver: row.bus ? BUS : (who?.driver ?? 'NULL'),
    device: who?.name ?? 'NULL',
    mappedAs: type(told.mappedAs),
    unmappedAs: type(told.unmappedAs),
    mappedDir: DIRECTIONS[Number(told.mapped)],
    givenDir: DIRECTIONS[Number(told.unmapped ?? told.synced)],
    entryType: type(entryKind & 0xff),
    entryDir: DIRECTIONS[(entryKind >> 8) & 0xff],
    // dma_debug_entry pool grown to %u (%u00%%)
    times: Math.floor(Number(told.total) / entries),
    ...NO_MASK[d],
    limited: d === LIMIT_FAULTS ? wordsOf(format(), words.release).limited : LIMITED[d],
    doing: d === 1 ? 'unmapping' : 'mapping',
    ...(record.kind === KMSG_FAULT &&
      faultFields(format(), { address, sourceId: Number(size), write: e === 1, reason: d })),
  };
}

/** The text of a check that only gemdma has. */
function ownText(record: RawMessage): string {
  const check = checkOf(record.kind);
  const { time, device, flags, payload, entryKind } = record;
  const exact = (value: bigint): number => (value === 0xffffffffffffffffn ? -1 : Number(value));
  const by = { object: 0, vma: 0, hook: 0, site: 0 };
  const verdict = {
    ...{ check: record.kind, sequence: 0, time, device, flags, payload, caller: by },
    ...{ address: exact(record.address), size: Number(record.size) },
    mapping:
      (flags & REPORT_ENTRY) === 0
        ? null
        : {
            ...{ device, time, sequence: 0, by },
            address: exact(record.entryAddress),
            size: Number(record.entrySize),
            type: MAPPING_TYPES[entryKind & 0xff],
            direction: DIRECTIONS[(entryKind >> 8) & 0xff],
          },
  };
  const story = check.say(check.data(verdict), verdict).replace(/[{}]/g, '');
  return `gemdma: {driver} {device}: ${check.id}: ${story}`;
}
