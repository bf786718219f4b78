import { checkLongCall, LONG_CALL, oneOf, optionNames } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { type CallProgress, complete, inSlices, type LongCallOptions, type Sliced } from '../core/slices.js';
import { RecordingError } from '../files/recording-error.js';
import { readBytes, readBytesAsync } from '../files/text.js';
import { type I915Options, readI915Options } from '../i915/config.js';
import { DEFAULT_PROFILE, NEWEST_PROFILE, PROFILE_NAMES, profileOf, type UapiProfile } from '../i915/uapi/profiles.js';
import { IOCTL, type IoctlName } from '../i915/uapi/requests.js';
import type { MachineOptions } from '../machine/config.js';
import { Machine } from '../machine-drivers/machine.js';
import { execTrace, isExecTrace } from './formats/exec-trace.js';
import { jsonLines } from './formats/json-lines.js';
import type { IoctlStep, Stream, StreamStep } from './formats/stream.js';
import { Run } from './run.js';

/** How a stream is replayed. Everything has a default. */
export interface StreamReplayOptions extends LongCallOptions {
  /** Whose interface: `auto` (the default) takes `modern` where the stream has what Linux 4.2 did not know. */
  profile?: UapiProfile | 'auto';
  /** The machine. Default: 1 GiB of RAM behind a strict IOMMU. */
  machine?: MachineOptions;
  /** The GPU: generation, platform, mapping policy. Default: gen 8, with four levels of page tables for `modern`. */
  i915?: I915Options;
  /** Virtual time that each request takes, in ms. Default 0.01. */
  requestTime?: number;
}

/** Where a request answered otherwise than in the recording. */
export interface StreamDifference {
  /** Number of the step, from 1: its line, in a text. */
  step: number;
  /** The request's name, or its number. */
  request: string;
  /** What differs: `result`, or a field of the struct. */
  field: string;
  /** As recorded. */
  expected: string;
  /** As it is now. */
  got: string;
}

/** What came of the replay of a stream. */
export interface StreamReplayResult {
  /** Path of the file. */
  file: string;
  /** `json-lines` or `exec-trace`. */
  format: string;
  /** Whose interface it was replayed with. */
  profile: UapiProfile;
  /** The mapping policy's name. */
  policy: string;
  /** Requests that were made. */
  requests: number;
  /** Results that the recording has. */
  compared: number;
  /** Of these, the same ones. */
  matched: number;
  /** Structs that came back and are recorded; addresses, times and sizes of the machine are not compared. */
  structs: {
    /** How many. */
    compared: number;
    /** Of these, the same ones. */
    matched: number;
  };
  /** The first differences, at most 20. */
  differences: StreamDifference[];
  /** Parameters that only one of the two kernels has: a description, no result. */
  parameters: {
    /** The request: GETPARAM, or that of a context. */
    request: string;
    /** Number of the parameter. */
    param: number;
    /** As recorded. */
    expected: number;
    /** As it is now. */
    got: number;
  }[];
  /** Requests by name: how many, and how many of them failed. */
  byRequest: Record<
    string,
    {
      /** How many. */
      count: number;
      /** Of these, those that failed. */
      failed: number;
    }
  >;
  /** Failures by errno. */
  errnos: Record<string, number>;
  /** What the driver did. */
  statistics: {
    /** Files that were opened. */
    files: number;
    /** Most handles at a time. */
    handles: number;
    /** Batches that were run. */
    batches: number;
    /** Bytes that pwrite and pread moved. */
    bytesMoved: number;
    /** Reads of memory that the recording does not have; they gave zeros. */
    unrecorded: number;
    /** Steps that have nothing to do with the driver. */
    others: number;
    /** Virtual time, in ms. */
    virtualTime: number;
  };
  /** Findings of dma-debug by check. */
  findings: Record<string, number>;
  /** Mappings that were left when all files were closed and the driver unbound. */
  leaked: number;
  /** WARN_ONs of the driver. */
  warnings: string[];
  /** Seconds that the requests took, without reading the file. */
  seconds: number;
  /** Requests a second. */
  rate: number;
  /** The signal was aborted: this is what there was. */
  interrupted?: true;
}

const OPTIONS = optionNames<StreamReplayOptions>({
  ...LONG_CALL,
  ...{ profile: true, machine: true, i915: true, requestTime: true },
});

/**
 * Replays a stream of requests that a program made of a kernel, with the results compared.
 * @param file JSON lines or the binary of IGT's gem_exec_tracer, plain or gzip
 * @throws RecordingError for a file that cannot be read as one of them; TypeError or RangeError for options that cannot be
 * @example
 * const { requests, matched, compared } = replayStream('va.jsonl.gz', { i915: { policy: 'i915-4.1' } });
 */
export function replayStream(file: string, options: StreamReplayOptions = {}): StreamReplayResult {
  const given = checkLongCall(options, OPTIONS);
  checkPath(file);
  return complete(replay(file, readStream(file, readBytes(file)), given));
}

/** replayStream, with turns for the event loop. Aborted, it gives what there was. */
export async function replayStreamAsync(file: string, options: StreamReplayOptions = {}): Promise<StreamReplayResult> {
  const given = checkLongCall(options, OPTIONS);
  checkPath(file);
  const bytes = await readBytesAsync(file, given.signal);
  return inSlices(replay(file, readStream(file, bytes), given), given.onProgress);
}

function checkPath(file: string): void {
  if (typeof file !== 'string') throw invalidType('file', 'of type string', file);
}

function readStream(file: string, bytes: Uint8Array): Stream {
  if (isExecTrace(bytes)) return execTrace(file, bytes);
  if (bytes.length === 0) throw new RecordingError(file, 0, 'empty');
  if (bytes[0] !== 0x5b)
    throw new RecordingError(file, 1, 'neither JSON lines of requests nor a trace of gem_exec_tracer');
  const lines = new TextDecoder().decode(bytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return jsonLines(file, lines);
}

/** Requests that Linux 4.2 has not: by number, or by the size of a struct that has grown. */
const NEWER = new Set<number>([
  ...(
    [
      ...['I915_QUERY', 'I915_GEM_VM_CREATE', 'I915_GEM_VM_DESTROY', 'I915_GEM_CREATE_EXT', 'I915_GEM_MMAP_OFFSET'],
      ...['I915_GEM_CONTEXT_CREATE_EXT', 'I915_GEM_EXECBUFFER2_WR', 'SYNCOBJ_CREATE', 'SYNCOBJ_WAIT'],
    ] as IoctlName[]
  ).map((name) => IOCTL[name]),
]);

function isNewer({ request, struct, memory, result }: IoctlStep): boolean {
  if (result !== null && result !== 0) return false;
  if (NEWER.has(request)) return true;
  if (request === IOCTL.I915_GEM_CONTEXT_SETPARAM) return struct.length > 8 && struct[8] > 2;
  const { lastParam, execFlags, objectFlags } = profileOf(DEFAULT_PROFILE);
  if (request === IOCTL.I915_GETPARAM && struct.length >= 4)
    return new DataView(struct.buffer, struct.byteOffset).getUint32(0, true) > lastParam;
  if (request !== IOCTL.I915_GEM_EXECBUFFER2 || struct.length < 44) return false;
  const flags = new DataView(struct.buffer, struct.byteOffset).getUint32(40, true);
  if (flags > execFlags) return true;
  const [, list] = memory[0] ?? [];
  // Flags of objects that came with fixed addresses.
  for (let at = 32; list !== undefined && list.length % 56 === 0 && at < list.length; at += 56)
    if (list[at] > objectFlags) return true;
  return false;
}

function* replay(file: string, stream: Stream, options: StreamReplayOptions): Sliced<StreamReplayResult, CallProgress> {
  const { signal, requestTime = 0.01 } = options;
  const i915 = readI915Options(options.i915 ?? {});
  const asked = oneOf('profile', options.profile ?? 'auto', ['auto', ...PROFILE_NAMES]);
  const steps: Iterable<StreamStep> = stream.answered ? [] : stream.steps;
  let read = stream.length;
  if (stream.answered) {
    read = 0;
    for (const step of stream.steps) {
      (steps as StreamStep[]).push(step);
      if (++read % 256 !== 0) continue;
      yield { done: read / 2, total: stream.length, what: file };
      if (signal?.aborted) break;
    }
  }
  const newer = stream.answered
    ? (steps as StreamStep[]).some((step) => step.kind === 'ioctl' && isNewer(step))
    : stream.modern;
  const profile = asked !== 'auto' ? asked : newer ? NEWEST_PROFILE : DEFAULT_PROFILE;
  const machine = new Machine({ ram: '1GiB', iommu: 'strict', ...options.machine });
  const gpu = machine.addI915(
    profile === NEWEST_PROFILE && i915.ppgtt === undefined && (i915.gen ?? 8) >= 8 && i915.platform === undefined
      ? { ...i915, ppgtt: 'full-48bit' }
      : i915,
  );
  const run = new Run(gpu, profile);
  let at = 0;
  let seconds = 0;
  let since = performance.now();
  for (const step of steps) {
    ++at;
    run.step(step, at);
    if (requestTime > 0) machine.clock.advance(requestTime);
    if (at % 64 !== 0) continue;
    seconds += performance.now() - since;
    yield { done: stream.answered ? read / 2 + at / 2 : at, total: stream.length, what: file };
    if (signal?.aborted) break;
    since = performance.now();
  }
  if (signal?.aborted !== true) seconds += performance.now() - since;
  seconds /= 1000;
  run.end();
  gpu.idle();
  const leaked = gpu.remove();
  const findings = machine.dmaDebugOrNull?.report().findings ?? {};
  return {
    ...{ file, format: stream.format, profile, policy: gpu.policy.name },
    ...run.result(),
    ...{ findings, leaked, warnings: [...gpu.warnings], seconds, rate: seconds > 0 ? run.requests / seconds : 0 },
    ...(signal?.aborted && { interrupted: true as const }),
  };
}
