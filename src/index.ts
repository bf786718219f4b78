/** gemdma: the memory side of a Linux GPU driver in user space. */
export type { BouncePool, SwiotlbMapping, SwiotlbStats } from './core/bounce-pool.js';
export { ERRNO, type ErrnoName, GemDmaError } from './core/errors.js';
export type { TableEntry } from './core/iommu.js';
export type { PhysicalMemory, RamStats } from './core/physical-memory.js';
export {
  type DeviceOptions,
  type Direction,
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_MAPPING_ERROR,
  DMA_TO_DEVICE,
  DmaDevice,
} from './dma/device.js';
export { DmaDomain, type DomainOptions } from './dma/domain.js';
export { type DmaHost, type PagesOptions, ScatterTable, type SgEntry, type SgSegment } from './dma/sg-table.js';
export {
  type Attribution,
  FINDING_CHANNEL,
  type Finding,
  type MappingInfo,
  POOL_CHANNEL,
  type PoolMessage,
} from './dma-debug/channels.js';
export type { CheckData, CheckId } from './dma-debug/checks.js';
export type { DmaDebug } from './dma-debug/dma-debug.js';
export type { DmaDebugOptions } from './dma-debug/options.js';
export { type Forecast, type LeakReport, type MappingGroup, reportText } from './dma-debug/report.js';
export { DrmDevice, type DrmHook } from './drm/device.js';
export { DmaBuf, type DmaBufAttachment, type DmaBufExporter } from './drm/dma-buf.js';
export type { Driver, DriverClock, DriverHost } from './drm/driver.js';
export { exportObject } from './drm/gem-export.js';
export { DrmGemObject, type GemBacking } from './drm/gem-object.js';
export { type MmuNotifier, Process } from './drm/process.js';
export type { Reclaim, Shrinker } from './drm/reclaim.js';
export { ShmemFile } from './drm/shmem-file.js';
export { SystemHeap } from './drm/system-heap.js';
export {
  type EventFields,
  type EventKind,
  type EventLog,
  formatEvent,
  type MachineEvent,
  type Tracepoint,
} from './events/events.js';
export type { AddressSpace } from './i915/address-space.js';
export type { BackingKind, MappingKind } from './i915/backing/backing.js';
export type { BindOptions } from './i915/bind.js';
export type { Defects, I915Config, I915Options, Platform, PpgttMode } from './i915/config.js';
export type { GpuContext } from './i915/context.js';
export type { Caching, Domain } from './i915/cpu-access.js';
export type { I915Device, UserptrOptions } from './i915/device.js';
export { i915Driver } from './i915/driver.js';
export type { ExecObject, ExecOptions } from './i915/execbuffer.js';
export type { Madv } from './i915/madvise.js';
export type { GemObject } from './i915/object.js';
export { DRIVER_NAMES, type DriverName, POLICIES } from './i915/policy/index.js';
export { type BindStage, HOOKS, type HookName, type MappingPolicy } from './i915/policy/policy.js';
export { SHRINK_BOUND, SHRINK_PURGEABLE, SHRINK_UNBOUND } from './i915/shrinker.js';
export type { View } from './i915/view.js';
export type { Vma } from './i915/vma.js';
export { formatAlreadySet, formatFault, formatSource, formatStaleAccesses } from './iommu/dump.js';
export {
  type AlreadySet,
  deviceRead,
  deviceWrite,
  Iommu,
  type IommuStats,
  type IotlbStats,
  type StaleAccess,
} from './iommu/iommu.js';
export type { IommuFault } from './iommu-formats/format.js';
export type { IommuFormatName } from './iommu-formats/index.js';
export { ALLOCATORS, type AllocatorName, type AllocatorRules } from './iova/allocators.js';
export {
  type IovaAllocFastOptions,
  type IovaAllocOptions,
  IovaDomain,
  type IovaDomainOptions,
  type IovaRange,
  type IovaReason,
  type IovaStats,
} from './iova/domain.js';
export { KERNELS, type KernelName, type KernelProperties } from './kernels/kernels.js';
export type { VirtualClock } from './machine/clock.js';
export type { IommuMode, MachineConfig, MachineOptions } from './machine/config.js';
export type { MachineSnapshot } from './machine/snapshot.js';
export { Machine } from './machine.js';
export type { Divergence, VerifyResult } from './recordings/recording.js';
export { RecordingError } from './recordings/recording.js';
export { verify } from './recordings/verify.js';
export { Audit, type AuditOptions } from './trace/audit/audit.js';
export type { AuditResult } from './trace/audit/result.js';
export { EVENT, ROW, type TraceBatch } from './trace/batch.js';
export { type Gaps, TraceError } from './trace/completeness.js';
export { type FtraceOptions, FtraceWriter, formatFtrace } from './trace/export/ftrace.js';
export { type ReadOptions, readTrace, type TraceReader } from './trace/read.js';
export { Rebuild } from './trace/replay/rebuild.js';
export { type TraceVerification, verifyTrace } from './trace/replay/verify.js';
export { parseWhatIf, type WhatIfOptions, type WhatIfResult, whatIf } from './trace/replay/what-if.js';
export { type Codecs, inMemory, type RandomAccess, type TraceSource } from './trace/source.js';
export {
  PROFILES,
  type ProfileName,
  type StressConfig,
  type StressProfile,
} from './workload/stress/config/profiles.js';
export type { StressFailure } from './workload/stress/engine/failure.js';
export type { Operation } from './workload/stress/engine/operation.js';
export { type FailNthOptions, type FailNthResult, failNth } from './workload/stress/fail-nth/fail-nth.js';
export { FAIL_NTH_SCENARIOS } from './workload/stress/fail-nth/scenarios.js';
export type { StressOptions, StressProgress } from './workload/stress/run/configure.js';
export type { OperationScenario } from './workload/stress/run/scenario.js';
export { type StressResult, stress } from './workload/stress/stress.js';
