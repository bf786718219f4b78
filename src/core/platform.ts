import { GemDmaError } from './errors.js';

/**
 * What the library uses of the platform beside the language. It runs alike in Node, Deno, Bun, browsers and their workers:
 * no module of Node is imported, each is asked for when it is first used, and a call that cannot do without one says so.
 */

interface NodeModules {
  'node:buffer': typeof import('node:buffer');
  'node:crypto': typeof import('node:crypto');
  'node:diagnostics_channel': typeof import('node:diagnostics_channel');
  'node:fs': typeof import('node:fs');
  'node:os': typeof import('node:os');
  'node:stream': typeof import('node:stream');
  'node:worker_threads': typeof import('node:worker_threads');
  'node:zlib': typeof import('node:zlib');
}

const host = globalThis as {
  process?: Partial<NodeJS.Process>;
  navigator?: { hardwareConcurrency?: number; userAgent?: string };
  setImmediate?: (act: () => void) => unknown;
};

/** A module of Node, undefined where the platform has none of that name. */
export function builtin<Name extends keyof NodeModules>(name: Name): NodeModules[Name] | undefined {
  return host.process?.getBuiltinModule?.(name);
}

/**
 * A module of Node that a call cannot do without.
 * @throws GemDmaError ENODEV with reason NOT_ON_THIS_PLATFORM
 */
export function needed<Name extends keyof NodeModules>(name: Name, call: string): NodeModules[Name] {
  const module = builtin(name);
  if (module === undefined) {
    const message = `${call} needs ${name}, which this platform does not have`;
    throw new GemDmaError('ENODEV', call, message, { reason: 'NOT_ON_THIS_PLATFORM' });
  }
  return module;
}

/** A channel of node:diagnostics_channel; where there is none, one without subscribers. */
export function channel(name: string): { readonly hasSubscribers: boolean; publish(message: unknown): void } {
  return builtin('node:diagnostics_channel')?.channel(name) ?? { hasSubscribers: false, publish() {} };
}

/** The bytes of a text in base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const nodes = builtin('node:buffer');
  if (nodes) return nodes.Buffer.from(text, 'base64');
  const { fromBase64: decode } = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  if (decode) return decode.call(Uint8Array, text);
  const latin1 = atob(text);
  const bytes = new Uint8Array(latin1.length);
  for (let i = 0; i < bytes.length; ++i) bytes[i] = latin1.charCodeAt(i);
  return bytes;
}

/** Characters that a call of String.fromCharCode takes: more could be too many arguments. */
const PIECE = 1000;

/** Bytes as Latin-1. TextDecoder's `latin1` is windows-1252. */
export function latin1(bytes: Uint8Array): string {
  if (bytes.length <= PIECE) return String.fromCharCode(...bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return text;
}

/** One turn of the event loop: timers, signals and I/O that are due are handled. */
export function turn(): Promise<void> {
  const { setImmediate } = host;
  if (setImmediate) return new Promise((resolve) => void setImmediate(resolve));
  // A timer within timers waits 4 ms in browsers, a message does not.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Begins to measure which share of one CPU this process gets: 2 for two threads that never wait, 1 where nothing tells. */
export function cpuShare(): () => number {
  const start = performance.now();
  const before = host.process?.cpuUsage?.();
  return () => {
    if (before === undefined) return 1;
    const { user, system } = host.process!.cpuUsage!(before);
    return (user + system) / 1000 / (performance.now() - start);
  };
}

/** CPUs for threads. */
export function parallelism(): number {
  return builtin('node:os')?.availableParallelism() ?? host.navigator?.hardwareConcurrency ?? 1;
}

/** Name and version of what runs the library. */
export function platformName(): string {
  return host.process?.version ?? host.navigator?.userAgent ?? 'unknown';
}
