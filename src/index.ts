/** gemdma: the memory side of a Linux GPU driver in user space. */
export { ERRNO, type ErrnoName, GemDmaError } from './core/errors.js';
