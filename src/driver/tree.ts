import { GemDmaError } from '../core/errors.js';

/** Flags that make a kernel tree's headers those of a driver. */
export function treeHeaders(kernel: string): string[] {
  throw new GemDmaError('ENOENT', 'open', `headers of a kernel tree are not supported yet: ${kernel}`);
}
