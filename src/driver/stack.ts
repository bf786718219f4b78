import type { DebugInfo, SourcePlace } from './dwarf.js';

const FRAMES = 64;
const FRAME = /at (?:async )?(?:(\S+) \()?wasm:\/\/wasm\/([^:]*):wasm-function\[\d+\]:0x([0-9a-f]+)/;

/**
 * The driver's call stack, innermost first: V8's stack trace, with the frames of the driver's module resolved by its debug
 * information. The outermost frame of wasm is the driver's, since only drivers are called from the host.
 */
export function driverStack(debug: DebugInfo, text = trace()): SourcePlace[] {
  const frames = text.split('\n').flatMap((line) => {
    const match = FRAME.exec(line);
    return match ? [{ name: match[1] ?? '', module: match[2], offset: Number.parseInt(match[3], 16) }] : [];
  });
  const own = frames.at(-1)?.module;
  return frames
    .filter(({ module }) => module === own)
    .flatMap(({ name, offset }) => debug.places(offset, name.replace(/^.*\./, '')));
}

function trace(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES;
  const text = new Error('trace').stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  return text;
}
