/** gemdma: the memory side of a Linux GPU driver in user space. */

export type { CoreHost } from './core/arguments.js';
export type {
  BouncePool,
  RestrictedPoolOptions,
  SwiotlbMapping,
  SwiotlbPool,
  SwiotlbStats,
} from './core/bounce-pool.js';
export type {
  CallerIds,
  DirectionName,
  DmaDebugCounters,
  EntryRecord,
  LiveEntryRecord,
  MappingType,
} from './core/dma-debug-records.js';
export { ERRNO, type ErrnoName, GemDmaError } from './core/errors.js';
export { FAULT_KINDS, type FaultKind } from './core/faults.js';
export { PAGE_SIZE } from './core/generated/constants.js';
export type { DmaDeviceHandle, GgttHandle, Handle, SgTableHandle } from './core/generated/exports.js';
export type { TableEntry } from './core/iommu.js';
export type { Living } from './core/living.js';
export type { PhysicalMemory, RamStats } from './core/physical-memory.js';
export type { AbortSignalLike, CallProgress, LongCallOptions } from './core/slices.js';
export type { AtomicPoolStats } from './dma/cma.js';
export type { AllocOptions, CoherentBuffer } from './dma/coherent.js';
export { DmaDevice } from './dma/device.js';
export type { BusWindow, DeviceOptions, ReservedRegion, ReservedRegionOptions } from './dma/device-options.js';
export { DmaDomain, type DomainOptions } from './dma/dma-domain.js';
export type { DmaPool, DmaPoolOptions, PoolBlock } from './dma/dma-pool.js';
export type { LinkedRange } from './dma/linked-range.js';
export type { P2pConfig } from './dma/p2p.js';
export type { DmaPages } from './dma/pages.js';
export {
  type BusMemory,
  type BusRegion,
  type DmaHost,
  type PagesOptions,
  ScatterTable,
  type SgEntry,
  type SgSegment,
} from './dma/sg-table.js';
export type { StreamingDevice } from './dma/streaming-device.js';
export {
  type Direction,
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_MAPPING_ERROR,
  DMA_TO_DEVICE,
} from './dma/transfer.js';
export {
  type FaultHandler,
  IOMMU_READ,
  IOMMU_WRITE,
  UnmanagedDomain,
  type UnmanagedOptions,
} from './dma/unmanaged-domain.js';
export {
  type Attribution,
  FINDING_CHANNEL,
  type Finding,
  type MappingInfo,
  POOL_CHANNEL,
  type PoolMessage,
} from './dma-debug/channels.js';
export type { CheckData, CheckId } from './dma-debug/checks.js';
export type { Checkers, DebugDialect } from './dma-debug/dialects.js';
export type { DebugDevice, DmaDebug, PhysicalRange } from './dma-debug/dma-debug.js';
export type { DmaDebugConfig, DmaDebugOptions } from './dma-debug/options.js';
export { type Forecast, type LeakReport, type MappingGroup, reportText } from './dma-debug/report.js';
export { DMESG_CHANNEL, type DmesgOptions } from './dmesg/kernel-log.js';
export type { AccessMessage, DmaPoolMessage, NoticeId } from './dmesg/kinds.js';
export type { KernelMessage } from './dmesg/message.js';
export type { KernelWords, Message } from './dmesg/words.js';
export { DrmDevice, type DrmHook } from './drm/device.js';
export { DmaBuf, type DmaBufAttachment, type DmaBufExporter } from './drm/dma-buf.js';
export type { DeviceDriver, DriverClock, DriverHost } from './drm/driver.js';
export { exportObject } from './drm/gem-export.js';
export { DrmGemObject, type GemBacking } from './drm/gem-object.js';
export { type MmuNotifier, Process } from './drm/process.js';
export type { Reclaim, Shrinker, Swappable } from './drm/reclaim.js';
export type { Shared } from './drm/shared.js';
export { ShmemFile } from './drm/shmem-file.js';
export { SystemHeap } from './drm/system-heap.js';
export {
  type EventFields,
  type EventHeader,
  type EventKind,
  type EventLog,
  formatEvent,
  type MachineEvent,
  type Tracepoint,
} from './events/events.js';
export { RecordingError } from './files/recording-error.js';
export type { AddressSpace } from './i915/address-space.js';
export type { BackingKind, MappingKind } from './i915/backing/backing.js';
export type { BindOptions } from './i915/bind.js';
export type { Defects, I915Config, I915Options, Platform, PpgttMode } from './i915/config.js';
export type { GpuContext } from './i915/context.js';
export type { Caching, Domain } from './i915/cpu-access.js';
export type { CreateOptions, I915Device, UserptrOptions } from './i915/device.js';
export { i915Driver } from './i915/driver.js';
export type { ExecObject, ExecOptions } from './i915/execbuffer.js';
export type { Ggtt } from './i915/ggtt.js';
export type { Madv } from './i915/madvise.js';
export type { GemObject } from './i915/object.js';
export { POLICIES, POLICY_NAMES, type PolicyName } from './i915/policy/index.js';
export { type BindStage, HOOKS, type HookName, type MappingPolicy } from './i915/policy/policy.js';
export type { PresetPolicy } from './i915/policy/preset.js';
export type { EngineName, Request } from './i915/retire.js';
export { SHRINK_BOUND, SHRINK_PURGEABLE, SHRINK_UNBOUND } from './i915/shrinker.js';
export type { BatchEnd, BatchRun } from './i915/uapi/executor.js';
export type { DrmFile, OpenOptions } from './i915/uapi/file.js';
export type { CpuMapping, CpuMappingType } from './i915/uapi/mapping.js';
export { UserBlock, type UserMemory } from './i915/uapi/memory.js';
export type { UapiProfile } from './i915/uapi/profiles.js';
export { IOCTL, type IoctlName } from './i915/uapi/requests.js';
export { type FieldName, packStruct, type StructName, structSize, unpackStruct } from './i915/uapi/structs.js';
export type { View } from './i915/view.js';
export type { Vma } from './i915/vma.js';
export { formatStaleAccesses } from './iommu/dump.js';
export {
  deviceRead,
  deviceWrite,
  Iommu,
  type IommuStats,
  type IotlbStats,
  type StaleAccess,
} from './iommu/iommu.js';
export { type AlreadySet, formatAlreadySet, formatFault, type IommuFault } from './iommu-formats/fault.js';
export {
  type FormatMessage,
  type FormatOptions,
  type FormatWords,
  formatSource,
  type IommuFormat,
  type UnitOptions,
} from './iommu-formats/format.js';
export type { IommuFormatName, IommuLevels } from './iommu-formats/index.js';
export { ALLOCATORS, type AllocatorName, type AllocatorRules } from './iova/allocators.js';
export type { IovaHost } from './iova/iova-domain.js';
export {
  type IovaAllocFastOptions,
  type IovaAllocOptions,
  IovaDomain,
  type IovaDomainOptions,
  type IovaRange,
  type IovaReason,
  type IovaStats,
} from './iova/iova-domain.js';
export { KERNELS, type KernelName, type KernelProperties } from './kernels/kernels.js';
export { bench, failNthAsync, runScenarioAsync, stress, stressThreads, verifyAsync } from './long-calls.js';
export type { Bar } from './machine/bar.js';
export type { VirtualClock } from './machine/clock.js';
export type { IommuMode, MachineConfig, MachineOptions } from './machine/config.js';
export type { MachineDeviceOptions } from './machine/devices.js';
export type { BaseMachine, SearchCosts } from './machine/machine.js';
export type { MachineSnapshot } from './machine/snapshot.js';
export { Machine } from './machine-drivers/machine.js';
export type { Divergence, ReplayOptions, VerifyResult } from './recordings/replay/recording.js';
export type { StressProgress, StressRunOptions } from './stress/config/configure.js';
export type { OperationScenario } from './stress/config/scenario.js';
export type { Sources } from './stress/config/sources.js';
export type { DmaPart, DmaSetup } from './stress/dma/part.js';
export type { Entities } from './stress/engine/entities.js';
export type { FailureKind, StressFailure } from './stress/engine/failure.js';
export type { KindIn, Operation, OperationIn, OperationKind } from './stress/engine/operation.js';
export type { Random, Weighted } from './stress/engine/random.js';
export type { StressWorld, Tally } from './stress/engine/runner.js';
export type { FailNthResult, FailNthRunOptions } from './stress/fail-nth.js';
export type { Reproducer } from './stress/shrink/reproduce.js';
export type { StressResult } from './stress/stress.js';
export type { ThreadStressOptions, ThreadStressResult } from './stress/threads/threads.js';
export type { Contents } from './stress/world/contents.js';
export type { Books, Lent, WorldPart } from './stress/world/part.js';
export type { StressConfig, StressProfile } from './stress/world/profile.js';
export type { ProgramText, Repertoire, Vocabulary } from './stress/world/vocabulary.js';
export type { World, WorldState } from './stress/world/world.js';
export type { I915Part, I915Setup } from './stress-i915/part.js';
export type { OwnPolicy, PolicySource } from './stress-i915/policy.js';
export type { I915Profile, ProfileName } from './stress-i915/profiles.js';
export type { I915StressOptions } from './stress-i915/vocabulary.js';
export type { BenchCallOptions } from './workload/bench/bench.js';
export type { Latency, Measured } from './workload/bench/measure.js';
export type { BenchBackend, BenchDirection, BenchMode, BenchOptions } from './workload/bench/options.js';
export type { BenchResult, Contention, LockKind } from './workload/bench/run.js';
export type { Scenario, ScenarioOptions, ScenarioResult, ScenarioStep } from './workload/scenarios/scenario.js';
export type { FailNthOptions, StressOptions, StressSubject } from './workload/stress.js';
