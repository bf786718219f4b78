import { turnOperations } from './dma-access.js';
import { mappingOperations } from './dma-mappings.js';
import { rangeOperations } from './dma-ranges.js';
import type { AnyKind } from './types.js';

/** Everything that drivers of other devices do. */
export const dmaOperations: readonly AnyKind[] = [...mappingOperations, ...rangeOperations, ...turnOperations];
