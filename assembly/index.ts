// What the core exports, by subsystem. Nothing else is here; what only looks at the core is in tools.ts.

export { clockAdvance, clockNow, machineCreate } from './machine';
export { blockAlloc, blockFree } from './memory/block';
export { cpuRecord } from './memory/context';
export { cpuGet, cpuSet } from './memory/cpu';
export { faultArm } from './memory/fault';
export {
  emit as eventEmit, eventsDrained, eventsFirst, eventsPending, eventsRun, eventsSequence, eventsStart, eventsStop,
} from './events/events';
export { kmsgFirst, kmsgLost, kmsgRead, kmsgRun, kmsgSetup } from './kmsg/kmsg';
export { benchCreate, benchMap, benchPunch, benchUnmap } from './bench/bench';
export { physRead, physWrite } from './ram/contents';
export { blockOfPagesAlloc, pagesAlloc, pagesDrain, pagesInUse } from './ram/pages';
export {
  debugBlockFree as blockOfPagesFree, debugPagesFree as pagesFree, debugSgDestroy as sgDestroy,
} from './dma-debug/freed';
export { rangeAllocLow, rangeFree } from './ram/range';
export { sgEntryAddress, sgEntryOffset, sgEntrySize, sgNents, sgOrigNents } from './sg/entries';
export { sgAllocBlock, sgAllocPages, sgFinish, sgFinishRuns, sgFromPages, sgReserve, sgReserveRuns } from './sg/build';
export { sgNextWritten, sgRead, sgWrite } from './sg/copy';
export { sgContiguous, sgPartial, sgRotate } from './sg/derive';
export { sgDmaPage, sgDmaSegmentAddress, sgDmaSegmentLength } from './sg/segments';
export { sgBytes, sgFlags, sgPageCount, sgPfnVector, sgRunVector } from './sg/sg-table';
export { lastReason } from './reason';
export {
  swiotlbMapSingle, swiotlbResetHighWater, swiotlbSetIndex, swiotlbSyncSingle, swiotlbUnmapSingle,
} from './swiotlb/host';
export { swiotlbCreate, swiotlbMaxMapping } from './swiotlb/swiotlb';
export {
  mmBadNeighbours, mmCreate, mmDestroy, mmInsert, mmNodeSetColor, mmNodeStart, mmRemove, mmReserve,
} from './gtt/drm-mm';
export { mmScanAdd, mmScanColorEvict, mmScanInit, mmScanRemove } from './gtt/drm-mm-scan';
export { mmReplay } from './gtt/drm-mm-replay';
export { debugPlaces } from './dma-debug/debug';
export { debugLogDrained, debugLogDropped, debugLogFirst, debugLogRun } from './dma-debug/log';
export { debugCpuTouch, debugDeviceDestroy, debugDriverUnbound } from './dma-debug/query';
export { debugBinding, debugObjectGone } from './dma-debug/own';
export { debugCountersSet, debugCreate, debugOptions } from './dma-debug/state';
export {
  debugFeedMap, debugFeedMapSg, debugFeedMapSingle, debugFeedMappingError, debugFeedSegments, debugFeedSync,
  debugFeedSyncSg, debugFeedUnmap, debugFeedUnmapSg,
} from './dma-debug/feed';
export { attachDevice, detachDevice, deviceRead, deviceWrite } from './iommu/access';
export { amdReplayIovaToPhys, amdReplayMap, amdReplayRefused, amdReplayUnmap } from './iommu/amdv1/replay';
export { callsStart as amdCallsStart } from './iommu/amdv1/calls';
export { dmaDomainCreate, domainCreate, domainDestroy } from './iommu/domain-life';
export { faultLogClear } from './iommu/fault-log';
export {
  deviceTranslate, domainFlushPages, domainFlushQueue, domainIova, domainIovaToPhys, domainMap, domainMapped,
  domainMapPfns, domainUnmap,
} from './iommu/host';
export { iotlbFlushDomain, iotlbFlushGlobal } from './iommu/iotlb';
export { iommuCreate, iommuFormat, iommuMake } from './iommu/unit';
export {
  iovaAllocate, iovaAllocateFast, iovaCreate, iovaFindRange, iovaFoundHi, iovaFoundLo, iovaRanges, iovaRelease,
  iovaReleaseFast, iovaReserveRange, iovaSetCpus, iovaSetMagazine,
} from './iova/exports';
export { iovaDomainDestroy } from './iova/iova';
export { iovaReplay } from './iova/replay';
export { dmaAllocCoherent, dmaFreeCoherent, dmaMapCoherent, dmaUnmapCoherent } from './dma/coherent';
export { deviceSetFlags, deviceSetMask, deviceSetSegments } from './device/device';
export { deviceCreate } from './device/life';
export { deviceDestroy } from './dma/device-life';
export {
  dmaMapPage, dmaMapResource, dmaMapSg, dmaMapSingle, dmaUnmapPage, dmaUnmapResource, dmaUnmapSg,
} from './dma/map';
export { dmaIovaDestroy, dmaIovaLink, dmaIovaSync, dmaIovaTryAlloc, dmaIovaUnlink } from './dma/iova-link';
export { dmaMaxMapping, dmaMergeBoundary, dmaOptMapping } from './dma/limits';
export { dmaMappingError, dmaSyncSg, dmaSyncSingle } from './dma/sync';
export { deferredFlush } from './iommu/deferred-list';
export { flushQueueFlush } from './iommu/flush-queue';
export { ggttClear, ggttCreate, ggttDestroy, ggttInsert, ggttInsertPages, ggttInsertRange } from './gtt/ggtt';
export { ppgttAllocRange, ppgttClear, ppgttCreate, ppgttDestroy, ppgttInsert, ppgttInsertRange } from './gtt/ppgtt';
export { gpuRead, gpuTranslate, gpuWrite } from './gtt/translate';
export { vmMm, vmTotal } from './gtt/vm';
