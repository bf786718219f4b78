/** gemdma/iova: an IOVA allocator by itself, for a third of what a machine costs to load. */

export { GemDmaError } from '../core/errors.js';
export { ALLOCATORS, type AllocatorName, type AllocatorRules } from './allocators.js';
export {
  type IovaAllocFastOptions,
  type IovaAllocOptions,
  IovaDomain,
  type IovaDomainOptions,
  type IovaHost,
  type IovaRange,
  type IovaReason,
  type IovaStats,
} from './iova-domain.js';
