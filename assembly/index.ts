// What the core exports, by subsystem. Nothing else is here; what only looks at the core is in tools.ts.

export { clockAdvance, clockNow, clockSetTick, machineCreate } from './host';
export { searchCost, searchCostStart, searchCostStop } from './memory/search-cost';
export { blockAlloc, blockFree } from './memory/block';
export { cpuRecord } from './memory/context';
export { cpuGet, cpuSet } from './memory/cpu';
export { faultArm } from './memory/fault';
export {
  eventsDrained, eventsFirst, eventsPending, eventsRun, eventsSequence, eventsStart, eventsStop,
} from './events/events';
export { eventEmit } from './events/host';
export { kmsgFirst, kmsgLost, kmsgRead, kmsgRun, kmsgSetup } from './kmsg/kmsg';
export { benchCreate, benchMap, benchPunch, benchUnmap } from './bench/bench';
export { physRead, physWrite } from './ram/host';
export { framesNumber, framesUnnumber } from './ram/numbered';
export { blockOfPagesAlloc, pagesAlloc, pagesDrain } from './ram/pages';
export { atomicFree, atomicPages, atomicPoolsMake } from './dma/atomic';
export { cmaFirst, cmaFree, cmaPages, cmaReserve } from './ram/cma';
export { blockBelow, rangeAllocLow, rangeFree, rangeReserve } from './ram/range';
export { sgEntryOffset, sgEntrySize, sgNents, sgOrigNents } from './sg/entries';
export {
  sgBytes, sgContiguous, sgDmaPage, sgDmaSegmentAddress, sgDmaSegmentLength, sgEntryAddress, sgFinish, sgRead, sgWrite,
} from './sg/host';
export { sgAllocBlock, sgAllocPages, sgFinishRuns, sgFromPages, sgReserve, sgReserveRuns } from './sg/build';
export { sgNextWritten } from './sg/copy';
export { sgPartial, sgRotate } from './sg/derive';
export { sgFlags, sgPageCount, sgPfnVector, sgRunVector } from './sg/sg-table';
export { lastReason } from './memory/reason';
export {
  swiotlbMapSingle, swiotlbResetHighWater, swiotlbSetIndex, swiotlbSyncSingle, swiotlbUnmapSingle,
} from './swiotlb/host';
export { swiotlbAssign, swiotlbCreate, swiotlbOf, swiotlbRestricted } from './swiotlb/pools';
export { swiotlbMaxMapping } from './swiotlb/swiotlb';
export { mmBadNeighbours, mmDestroy, mmNodeSetColor, mmRemove } from './gtt/drm-mm';
export {
  ggttClear, ggttCreate, ggttInsert, ggttInsertPages, ggttInsertRange, gpuRead, gpuTranslate, gpuWrite, mmCreate,
  mmInsert, mmNodeStart, mmReserve, mmScanInit, ppgttAllocRange, ppgttClear, ppgttCreate, ppgttInsert,
  ppgttInsertRange, vmTotal,
} from './gtt/host';
export { mmScanAdd, mmScanColorEvict, mmScanRemove } from './gtt/drm-mm-scan';
export { mmReplay } from './gtt/drm-mm-replay';
export { debugLogDrained, debugLogDropped, debugLogFirst, debugLogRun } from './dma-debug/entries/log';
export { debugCountersSet, debugCreate, debugOptions } from './dma-debug/entries/state';
export { debugDeviceDestroy, debugDriverUnbound } from './dma-debug/device';
export { debugCpuTouch } from './dma-debug/kernel/device';
export { debugObjectGone } from './dma-debug/own/objects';
export {
  blockOfPagesFree, debugBinding, debugFeedMap, debugFeedMapSg, debugFeedMapSingle, debugFeedMappingError,
  debugFeedSegments, debugFeedSync, debugFeedSyncSg, debugFeedUnmap, debugFeedUnmapSg, debugPlaces, pagesFree,
  sgDestroy,
} from './dma-debug/host';
export { attachDevice, detachDevice, deviceRedirect } from './iommu/api/access';
export { deviceAccept, deviceReason, deviceRefuse } from './device/failure';
export * from './iommu/formats/index';
export { domainDestroy } from './iommu/api/domain-life';
export { faultLogClear } from './iommu/fault-log';
export {
  deviceRead, deviceTranslate, deviceWrite, dmaDomainCreate, domainCreate, domainFlushPages, domainFlushQueue,
  domainIova, domainIovaToPhys, domainMap, domainMapPfns, domainMapped, domainUnmap,
} from './iommu/api/host';
export { iotlbFlushDomain, iotlbFlushGlobal } from './iommu/iotlb';
export { iommuCreate, iommuFormat, iommuMake } from './iommu/unit';
export {
  iovaAllocate, iovaAllocateFast, iovaCreate, iovaFindRange, iovaFoundHi, iovaFoundLo, iovaRanges, iovaRelease, iovaReleaseRange,
  iovaReleaseFast, iovaReserveRange, iovaSetCpus, iovaSetMagazine,
} from './iova/host';
export { iovaDomainDestroy } from './iova/iova';
export { iovaReplay } from './iova/replay';
export { dmaAllocCoherent, dmaMapCoherent } from './dma/coherent';
export {
  deviceErrorAddress, dmaFreeCoherent, dmaIovaDestroy, dmaIovaLink, dmaIovaSync, dmaIovaTryAlloc, dmaIovaUnlink, dmaMapPage,
  dmaMapResource, dmaMapSingle, dmaMappingError, dmaMaskSupported, dmaMaxMapping, dmaNeedSync, dmaOptMapping, dmaSyncSingle, dmaUnmapCoherent,
  dmaUnmapPage, dmaUnmapResource,
} from './dma/host';
export { deviceSetFlags, deviceSetMask, deviceSetSegments } from './device/device';
export { deviceAddRange, deviceSetReach } from './device/host';
export { deviceCreate } from './device/life';
export { deviceDestroy } from './dma/device-life';
export { dmaMapSg, dmaUnmapSg } from './dma/map';
export { dmaMapSgBus, dmaUnmapSgBus } from './dma/p2p';
export { dmaMapSgMixed, dmaUnmapSgMixed } from './dma/host';
export { dmaAddressingLimited, dmaMergeBoundary, dmaRequiredBits } from './dma/limits';
export { dmaSyncSg } from './dma/sync';
export { deferredFlush } from './iommu/deferred-list';
export { flushQueueFlush } from './iommu/flush-queue';
export { ggttDestroy } from './gtt/ggtt';
export { ppgttDestroy } from './gtt/ppgtt';
export { vmMm } from './gtt/vm';
