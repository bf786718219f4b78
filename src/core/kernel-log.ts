import type { PayloadView } from './dma-debug-records.js';
import { KMSG_FIRST, KMSG_PAYLOAD } from './generated/constants.js';
import type { ContextHandle } from './generated/exports.js';
import { KmsgRecordView } from './generated/records.js';
import type { Core } from './instance.js';

/** Messages of a dma_pool (mm/dmapool.c). */
export type DmaPoolMessage = 'POOL_CORRUPTED' | 'POOL_BAD_DMA' | 'POOL_ALREADY_FREE' | 'POOL_BUSY';

/** One record of what the kernel would print; what its fields mean is documented in assembly/kmsg/kmsg.ts. */
export interface RawMessage {
  kind: number;
  /** Virtual time in nanoseconds. */
  time: number;
  device: number;
  flags: number;
  cpu: number;
  d: number;
  e: number;
  entryKind: number;
  address: bigint;
  size: bigint;
  a: bigint;
  b: bigint;
  /** Of a finding the check's payload, as numbers and with 64 bits as they are; null without one. */
  payload: object | null;
  exact: Readonly<Record<string, number | bigint>> | null;
  entryAddress: bigint;
  entrySize: bigint;
}

/**
 * Takes what the core has written since the last call, oldest first.
 * @param viewOf what reads a check's payload, null for a check without one
 */
export function readKernelLog(
  core: Core,
  context: ContextHandle,
  viewOf: (check: number) => PayloadView | null,
): RawMessage[] {
  const { kmsgFirst, kmsgRead, kmsgRun } = core.exports;
  const records: RawMessage[] = [];
  for (let run = kmsgRun(context); run > 0; run = kmsgRun(context)) {
    const first = kmsgFirst(context);
    const record = new KmsgRecordView(core);
    for (let i = 0; i < run; ++i) {
      const at = first + i * KmsgRecordView.SIZE;
      const { kind } = record.moveTo(at);
      const View = kind < KMSG_FIRST ? viewOf(kind) : null;
      const told = View && new View(core, at + KMSG_PAYLOAD);
      records.push({ ...copy(record), payload: told?.payload() ?? null, exact: told?.exact() ?? null });
    }
    kmsgRead(context, run);
  }
  return records;
}

const wide = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);

function copy(record: KmsgRecordView): Omit<RawMessage, 'payload' | 'exact'> {
  const { kind, time, device, flags, cpu, d, e, entryKind } = record;
  return {
    ...{ kind, time, device, flags, cpu, d, e, entryKind },
    address: wide(record.addressLow, record.addressHigh),
    size: wide(record.sizeLow, record.sizeHigh),
    a: wide(record.aLow, record.aHigh),
    b: wide(record.bLow, record.bHigh),
    entryAddress: wide(record.entryAddressLow, record.entryAddressHigh),
    entrySize: wide(record.entrySizeLow, record.entrySizeHigh),
  };
}
