/** gemdma/recordings: recordings of real kernels, replayed at once. `verifyAsync` is in gemdma itself. */

export { RecordingError } from '../files/recording-error.js';
export type { Divergence, ReplayOptions, VerifyResult } from './replay/recording.js';
export { verify } from './verify.js';
