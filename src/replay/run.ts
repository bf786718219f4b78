import { GemDmaError } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { Process } from '../drm/process.js';
import type { I915Device } from '../i915/device.js';
import { EFAULT, EINVAL, resultName } from '../i915/uapi/errno.js';
import type { DrmFile } from '../i915/uapi/file.js';
import type { UapiProfile } from '../i915/uapi/profiles.js';
import { IOCTL, IOCTL_NAMES, type IoctlName, requestInfo } from '../i915/uapi/requests.js';
import { type FieldName, type StructName, unpackStruct } from '../i915/uapi/structs.js';
import { type IoctlStep, RecordedMemory, type StreamStep } from './formats/stream.js';
import type { StreamDifference, StreamReplayResult } from './replay.js';

/** Fields that are the kernel's own choice, or the machine's: where something lies, how long it took, what hardware is there. */
const OWN: Partial<Record<StructName, readonly string[]>> = {
  version: ['version_patchlevel', 'date_len'],
  gem_mmap: ['addr_ptr'],
  gem_mmap_gtt: ['offset'],
  gem_mmap_offset: ['offset'],
  gem_busy: ['busy'],
  gem_wait: ['timeout_ns'],
  gem_get_aperture: ['aper_size', 'aper_available_size'],
  gem_set_tiling: ['swizzle_mode'],
  gem_get_tiling: ['swizzle_mode', 'phys_swizzle_mode'],
  gem_madvise: ['retained'],
  gem_caching: ['caching'],
  get_cap: ['value'],
  unique: ['unique_len'],
  reg_read: ['val'],
  gem_context_param: ['value'],
  reset_stats: ['reset_count', 'batch_active', 'batch_pending'],
  prime_handle: ['fd'],
  syncobj_handle: ['fd'],
  syncobj_wait: ['first_signaled'],
  syncobj_timeline_wait: ['first_signaled'],
  gem_execbuffer2: ['rsvd2'],
};

/** Most bytes of memory of the client's that are made for one object. */
const MOST_USER = 2 ** 30;
/** Most differences that are kept. */
const SHOWN = 20;
/** Where the number of the parameter is. */
const PARAMS = new Map<number, number>([
  [IOCTL.I915_GETPARAM, 0],
  [IOCTL.I915_GEM_CONTEXT_GETPARAM, 8],
  [IOCTL.I915_GEM_CONTEXT_SETPARAM, 8],
]);
const { I915_GEM_USERPTR, I915_GETPARAM, I915_GEM_PREAD, I915_GEM_PWRITE, PRIME_HANDLE_TO_FD, PRIME_FD_TO_HANDLE } =
  IOCTL;
const { SYNCOBJ_HANDLE_TO_FD, SYNCOBJ_FD_TO_HANDLE } = IOCTL;
/** Where the number of what a request makes is in its struct: a handle, an id, a name. */
const MADE = new Map<number, number>([
  ...(
    [
      ['I915_GEM_CREATE', 8],
      ['I915_GEM_CREATE_EXT', 8],
      ['GEM_OPEN', 4],
      ['GEM_FLINK', 4],
      ['I915_GEM_USERPTR', 20],
      ['PRIME_FD_TO_HANDLE', 0],
      ['SYNCOBJ_CREATE', 0],
      ['SYNCOBJ_FD_TO_HANDLE', 0],
      ['I915_GEM_CONTEXT_CREATE', 0],
      ['I915_GEM_CONTEXT_CREATE_EXT', 0],
      ['I915_GEM_CONTEXT_GETPARAM', 16],
      ['I915_GEM_VM_CREATE', 12],
    ] as const satisfies [IoctlName, number][]
  ).map(([name, at]): [number, number] => [IOCTL[name], at]),
]);
/** Where the descriptor is in these structs. */
const FD = 8;

const NAMES = new Map<number, IoctlName>(IOCTL_NAMES.map((name) => [requestInfo(name).request, name]));
const BATCHES: readonly (IoctlName | undefined)[] = ['I915_GEM_EXECBUFFER2', 'I915_GEM_EXECBUFFER2_WR'];

interface Tally {
  readonly name: string;
  readonly known: IoctlName | undefined;
  readonly struct: StructName | undefined;
  count: number;
  failed: number;
}

/** The replay of one stream: its files, and what is counted. */
export class Run {
  requests = 0;
  private compared = 0;
  private matched = 0;
  private structsCompared = 0;
  private structsMatched = 0;
  private readonly differences: StreamDifference[] = [];
  private readonly parameters = new Map<string, StreamReplayResult['parameters'][number]>();
  private readonly tallies = new Map<number, Tally>();
  private readonly errnos = new Map<number, number>();
  private readonly files = new Map<number, DrmFile>();
  /** Descriptors of the recording to those of the replay. */
  private readonly fds = new Map<number, number>();
  private readonly memory = new RecordedMemory();
  /** The client's memory as frames, as far as userptr objects need it. */
  private readonly process: Process;
  private opened = 0;
  private handles = 0;
  private bytesMoved = 0;
  private others = 0;
  private readonly gpu: I915Device;
  private readonly profile: UapiProfile;

  constructor(gpu: I915Device, profile: UapiProfile) {
    this.gpu = gpu;
    this.profile = profile;
    this.process = new Process(gpu.ram);
  }

  /** @param at number of the step */
  step(step: StreamStep, at: number): void {
    switch (step.kind) {
      case 'ioctl':
        this.ioctl(step, at);
        break;
      case 'open':
        ++this.opened;
        this.files.get(step.file)?.close();
        this.files.set(step.file, this.open(step.render));
        break;
      case 'close':
        if (this.files.has(step.file)) this.close(step.file);
        else ++this.others;
        break;
      case 'munmap': {
        let found = this.unmap(step.address, step.length);
        for (const file of this.files.values()) found = file.munmap(step.address) || found;
        if (!found) ++this.others;
        break;
      }
      default:
        ++this.others;
    }
  }

  private open(render: boolean): DrmFile {
    return this.gpu.open({
      profile: this.profile,
      memory: this.memory,
      process: this.process,
      node: render ? 'render' : 'card',
    });
  }

  private close(number: number): void {
    this.files.get(number)?.close();
    this.files.delete(number);
  }

  // GEM_USERPTR: what the recorded client had there is memory.
  private mapUser(struct: Uint8Array): void {
    if (struct.length < 16) return;
    const view = new DataView(struct.buffer, struct.byteOffset);
    const [address, size] = [view.getBigUint64(0, true), view.getBigUint64(8, true)].map(Number);
    if (address % PAGE_SIZE !== 0 || size === 0 || size > MOST_USER) return;
    try {
      this.process.mmap(size, { address });
    } catch (error) {
      // It is there already, or lies where no memory can be: the request says so.
      if (!GemDmaError.is(error, 'EEXIST') && !(error instanceof RangeError)) throw error;
    }
  }

  // munmap of the client's own memory invalidates what is made of it.
  private unmap(address: number, length: number): boolean {
    try {
      this.process.munmap(address, length);
      return true;
    } catch (error) {
      if (!GemDmaError.is(error, 'EINVAL')) throw error;
      return false;
    }
  }

  /** The stream is over: files that are still open go. */
  end(): void {
    if (this.fds.size > 0) {
      using last = this.open(false);
      for (const fd of this.fds.values()) last.closeFd(fd);
    }
    for (const number of [...this.files.keys()]) this.close(number);
    this.process.exit();
  }

  private ioctl(step: IoctlStep, at: number): void {
    const { request, struct, result } = step;
    let file = this.files.get(step.file);
    if (file === undefined) {
      // A stream that begins in the middle, or a descriptor that came by another way than open.
      file = this.open(false);
      this.files.set(step.file, file);
      ++this.opened;
    }
    const tally = this.tally(request);
    this.memory.load(step, -EFAULT);
    if (request === PRIME_FD_TO_HANDLE || request === SYNCOBJ_FD_TO_HANDLE) this.translate(struct);
    if (request === I915_GEM_USERPTR) this.mapUser(struct);
    const made = step.after === null ? undefined : MADE.get(request);
    if (made !== undefined && step.after!.length >= made + 4) {
      file.expect(new DataView(step.after!.buffer, step.after!.byteOffset).getUint32(made, true));
    }
    const rc = file.ioctl(request, struct, this.memory);
    if (made !== undefined) file.expect(undefined);
    ++this.requests;
    ++tally.count;
    if (rc !== 0) {
      ++tally.failed;
      this.errnos.set(rc, (this.errnos.get(rc) ?? 0) + 1);
    }
    if (request === I915_GEM_PWRITE || request === I915_GEM_PREAD) {
      if (rc === 0) this.bytesMoved += new DataView(struct.buffer, struct.byteOffset).getUint32(16, true);
    } else if (file.objects.count > this.handles) this.handles = file.objects.count;
    const param = PARAMS.get(request);
    if (param !== undefined && this.parameter(step, tally.name, param, rc)) return;
    if (result !== null) this.compare(step, at, tally, rc);
  }

  private tally(request: number): Tally {
    let tally = this.tallies.get(request);
    if (tally === undefined) {
      const known = NAMES.get(request);
      const struct = known === undefined ? undefined : requestInfo(known).struct;
      tally = { name: known ?? `0x${request.toString(16)}`, known, struct, count: 0, failed: 0 };
      this.tallies.set(request, tally);
    }
    return tally;
  }

  // What a kernel and its hardware have is no answer to what the client does. Returns whether the result says no more than that.
  private parameter({ request, struct, result }: IoctlStep, name: string, at: number, got: number): boolean {
    if (result === null || struct.length < at + 4) return false;
    if (request !== I915_GETPARAM && (result === -EINVAL) === (got === -EINVAL)) return false;
    const param = new DataView(struct.buffer, struct.byteOffset).getInt32(at, true);
    if (result !== got) this.parameters.set(`${name} ${param}`, { request: name, param, expected: result, got });
    return true;
  }

  private compare({ request, struct, after, result }: IoctlStep, at: number, tally: Tally, rc: number): void {
    ++this.compared;
    if (rc === result) ++this.matched;
    else this.differ(at, tally, 'result', resultName(result!), resultName(rc));
    if (after === null || rc !== 0 || result !== 0) return;
    if (request === PRIME_HANDLE_TO_FD || request === SYNCOBJ_HANDLE_TO_FD) this.keep(after, struct);
    ++this.structsCompared;
    const field = same(struct, after) ? undefined : this.difference(tally, struct, after);
    if (field === undefined) ++this.structsMatched;
    else this.differ(at, tally, field.name, field.expected, field.got);
  }

  private difference(
    { struct: name }: Tally,
    struct: Uint8Array,
    after: Uint8Array,
  ): { name: string; expected: string; got: string } | undefined {
    if (name === undefined) return { name: 'struct', expected: hex(after), got: hex(struct) };
    const [got, expected] = [unpackStruct(name, struct), unpackStruct(name, after)];
    const own = OWN[name] ?? [];
    for (const field of Object.keys(got) as FieldName<StructName>[]) {
      if (got[field] !== expected[field] && !own.includes(field)) {
        return { name: field, expected: String(expected[field]), got: String(got[field]) };
      }
    }
    return undefined;
  }

  private differ(step: number, { name }: Tally, field: string, expected: string, got: string): void {
    if (this.differences.length < SHOWN) this.differences.push({ step, request: name, field, expected, got });
  }

  // The recorded descriptor stands for the one that the replay has got.
  private keep(after: Uint8Array, struct: Uint8Array): void {
    this.fds.set(
      new DataView(after.buffer, after.byteOffset).getInt32(FD, true),
      new DataView(struct.buffer, struct.byteOffset).getInt32(FD, true),
    );
  }

  private translate(struct: Uint8Array): void {
    if (struct.length < FD + 4) return;
    const view = new DataView(struct.buffer, struct.byteOffset);
    const own = this.fds.get(view.getInt32(FD, true));
    if (own !== undefined) view.setInt32(FD, own, true);
  }

  result(): Omit<
    StreamReplayResult,
    'file' | 'format' | 'profile' | 'policy' | 'findings' | 'leaked' | 'warnings' | 'seconds' | 'rate'
  > {
    const tallies = [...this.tallies.values()].sort((a, b) => b.count - a.count);
    const batches = tallies.filter(({ known }) => BATCHES.includes(known));
    return {
      ...{ requests: this.requests, compared: this.compared, matched: this.matched },
      structs: { compared: this.structsCompared, matched: this.structsMatched },
      differences: this.differences,
      parameters: [...this.parameters.values()],
      byRequest: Object.fromEntries(tallies.map(({ name, count, failed }) => [name, { count, failed }])),
      errnos: Object.fromEntries([...this.errnos].map(([rc, count]) => [resultName(rc), count])),
      statistics: {
        ...{ files: this.opened, handles: this.handles },
        batches: batches.reduce((sum, { count, failed }) => sum + count - failed, 0),
        ...{ bytesMoved: this.bytesMoved, unrecorded: this.memory.unrecorded, others: this.others },
        virtualTime: this.gpu.clock.now,
      },
    };
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; ++i) if (a[i] !== b[i]) return false;
  return true;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 64), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
