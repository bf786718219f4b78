/** gemdma/threads: one machine shared by worker threads. Apart from the main entry, which pulls none of it in. */

export type { CoreHost } from '../core/arguments.js';
export { type Contention, contention, type LockKind } from './contention.js';
export { WorkerPool } from './pool.js';
export type { Job, JobContext } from './protocol.js';
