import { turnOperations } from './dma-access.js';
import { mappingOperations } from './dma-mappings.js';
import { rangeOperations } from './dma-ranges.js';
import type { DmaOperation } from './mappings.js';

/** Everything that drivers of other devices do. */
export const dmaOperations: readonly DmaOperation[] = [...mappingOperations, ...rangeOperations, ...turnOperations];
