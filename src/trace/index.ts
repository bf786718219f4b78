/** gemdma/trace: traces and logs of real machines, read, audited, rebuilt, replayed. */

export { Audit, type AuditOptions } from './audit/audit.js';
export type { Percentiles } from './audit/histogram.js';
export type {
  AddressEvent,
  AuditResult,
  Completeness,
  DeviceSummary,
  Evidence,
  FaultReport,
  Holder,
  Mismatch,
  MismatchKind,
  Overlap,
  SpaceSample,
  SuspectGroup,
} from './audit/result.js';
export type { ColumnName } from './batches/batch.js';
export { type Columns, EVENT, ROW, type TraceBatch } from './batches/batch.js';
export { type Gaps, type NotUnderstood, TraceError } from './batches/completeness.js';
export { type Codecs, inMemory, type RandomAccess, type TraceSource } from './batches/source.js';
export { type FtraceOptions, FtraceWriter, formatFtrace } from './export/ftrace.js';
export { type ReadOptions, readTrace, type TraceReader } from './read.js';
export { type ReplayCallOptions, verifyTraceAsync, whatIfAsync } from './replay/in-thread.js';
export type { OperationList, Operations } from './replay/operations.js';
export { Rebuild } from './replay/rebuild.js';
export type { VerifyDifference } from './replay/verify.js';
export { type TraceVerification, verifyTrace } from './replay/verify.js';
export type { WhatIfMode } from './replay/what-if.js';
export { parseWhatIf, type WhatIfOptions, type WhatIfResult, whatIf } from './replay/what-if.js';
