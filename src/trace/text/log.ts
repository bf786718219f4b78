import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_NONE, DMA_TO_DEVICE } from '../../core/generated/constants.js';

/** The prefix of a message in a kernel log, in the known forms of logs, and readers that messages share. */

export interface LogLine {
  /** Nanoseconds since boot, NaN where the log has no such time. */
  time: number;
  message: string;
}

/** `<4>`, `Mar 16 18:11:41 host kernel: `, an ISO date, `[ 4851.947037]`, `[  T123]`, `[Tue Mar  3 12:00:01 2024]`. */
const PREFIX =
  /^\s*(?:<\d+>)?(?:(?:[A-Z][a-z]{2}\s+\d+\s+[\d:.]+|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)\s+\S+\s+kernel:\s*)?(?:\[\s*(\d+)\.(\d{6})\]\s*(?:\[\s*[TC]\d+\]\s*)?|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]+ \d{4}\]\s*)?/;

export function logLine(text: string): LogLine {
  const match = PREFIX.exec(text)!;
  const time = match[1] === undefined ? Number.NaN : Number(match[1]) * 1e9 + Number(match[2]) * 1000;
  return { time, message: text.slice(match[0].length) };
}

/** Whether a line begins as a log's do. */
export function hasLogPrefix(text: string): boolean {
  return PREFIX.exec(text)![0].trim() !== '';
}

/** `driver 0000:00:1f.2: message` -> the device, '' for none. */
export function deviceBefore(message: string): string {
  return /^(?:\S+ )?((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|[\w.:-]+?): /i.exec(message)?.[1] ?? '';
}

/** A PCI address as devices are named: with its segment. */
export function pciName(address: string): string {
  return /^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(address) ? `0000:${address.toLowerCase()}` : address;
}

/** Page and offset of an address in hexadecimal digits, exact for all 64 bits. */
export function splitAddress(digits: string): { page: number; offset: number } {
  const plain = digits.replace(/^0x/i, '');
  return { page: Number.parseInt(plain.slice(0, -3) || '0', 16), offset: Number.parseInt(plain.slice(-3), 16) };
}

const DIRECTIONS = {
  DMA_BIDIRECTIONAL,
  DMA_TO_DEVICE,
  DMA_FROM_DEVICE,
  DMA_NONE,
} as const;

export function directionOf(name: string): number {
  const known: Readonly<Record<string, number>> = DIRECTIONS;
  return known[name.replace(/^(?!DMA_)/, 'DMA_')] ?? 255;
}
