/** gemdma/replay: streams of requests that programs made of a kernel's i915, replayed. */

export { RecordingError } from '../files/recording-error.js';
export {
  replayStream,
  replayStreamAsync,
  type StreamDifference,
  type StreamReplayOptions,
  type StreamReplayResult,
} from './replay.js';
