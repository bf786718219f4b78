// The core's tools: checks, dumps, statistics and functions for benchmarks. No operation of a machine needs them, so the release and
// threads builds compile them to a module of their own, which is instantiated on the same linear memory at the first use. The debug
// build has one module.
//
// Two instances on one memory share all state but the number of the virtual CPU, a global of each. So nothing here may
// depend on it: no operation that maps, allocates from a CPU's stocks or says why it failed. What calls such operations in
// batches (bench/bench.ts, the replays) stays in the core, beside the code that it calls and would otherwise copy.

export { lockContention } from './contention';
export { machineCheck, machineRecords } from './machine-check';
export { blocksUsed } from './memory/block';
export { faultCount, faultPending } from './memory/fault';
export {
  histogramCount, histogramCreate, histogramDestroy, histogramDeviation, histogramLargest, histogramMean,
  histogramPercentile, histogramRecord, histogramSmallest,
} from './bench/histogram';
export { limitCall, limitFill, limitStorePtes } from './bench/limits';
export { ramStats } from './ram/host';
export { swiotlbMappings, swiotlbPools, swiotlbStats } from './swiotlb/host';
export { mmNext, mmNodes } from './gtt/drm-mm';
export {
  ggttEntry, ggttMappable, gpuPteAddress, gpuPteEncode, mmHeadHole, mmNodeHole, mmNodeSize, ppgttEntry, ppgttRegister,
  vmScratch, vmScratchEntry,
} from './gtt/host';
export { debugCount, debugEntryFirst, debugEntryNext } from './dma-debug/query';
export { debugDirectionAt, debugValue } from './dma-debug/host';
export * from './iommu/formats/tools';
export {
  domainAlreadySet, domainId, domainLevels, domainTablePages, iommuStats, leavesDump, tablesDump,
} from './iommu/api/host';
export {
  iovaCachedNode, iovaCachedPages, iovaDepot, iovaFreePages, iovaGapHistogram, iovaLargestGap, iovaMax32,
  iovaNextRange,
} from './iova/host';
export { iovaDomainCheck } from './iova/check';
export { ppgttPages, ppgttTables } from './gtt/ppgtt';
export { ramInUse } from './ram/ram';
export { faultLogCount, faultLogFirst } from './iommu/fault-log';
export { deviceMaps, deviceUnmaps } from './device/counts';
export { devicePagesMapped, devicePagesUnmapped } from './device/host';
export { deferredPending } from './iommu/deferred-list';
export { flushQueueFullFlushes, flushQueuePending, flushQueueTimerFlushes } from './iommu/flush-queue';
