import type { ContextHandle } from './generated/exports.js';
import { KmsgRecordView } from './generated/records.js';
import type { Core } from './instance.js';

/** One record of what the kernel would print; what its fields mean is told in assembly/kmsg/kmsg.ts. */
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
  entryAddress: bigint;
  entrySize: bigint;
}

/** Takes what the core has written since the last call, oldest first. */
export function readKernelLog(core: Core, context: ContextHandle): RawMessage[] {
  const { kmsgFirst, kmsgRead, kmsgRun } = core.exports;
  const records: RawMessage[] = [];
  for (let run = kmsgRun(context); run > 0; run = kmsgRun(context)) {
    const first = kmsgFirst(context);
    const record = new KmsgRecordView(core);
    for (let i = 0; i < run; ++i) records.push(copy(record.moveTo(first + i * KmsgRecordView.SIZE)));
    kmsgRead(context, run);
  }
  return records;
}

const wide = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);

function copy(record: KmsgRecordView): RawMessage {
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
