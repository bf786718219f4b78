import type { DebugInfo, SourcePlace } from './dwarf.js';

const FRAMES = 64;
const FRAME = /at (?:async )?(?:(\S+) \()?wasm:\/\/wasm\/([^:]*):wasm-function\[\d+\]:0x([0-9a-f]+)/;

/**
 * The calls of a driver that are under way, innermost first: V8's own trace, each frame of the driver's module told by its
 * debug information. The outermost frame of wasm is the driver's, since only drivers are called from outside.
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
