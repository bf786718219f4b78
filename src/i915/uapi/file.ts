import { checkBoolean, checkBytes, checkOptions, oneOf } from '../../core/arguments.js';
import { checkInteger, invalidType, outOfRange } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import { checkMaker, LIBRARY, notMade } from '../../core/life.js';
import { Living } from '../../core/living.js';
import { DmaBuf } from '../../drm/dma-buf.js';
import { Process } from '../../drm/process.js';
import type { AddressSpace } from '../address-space.js';
import type { GpuContext } from '../context.js';
import type { I915Device } from '../device.js';
import type { GemObject } from '../object.js';
import { EACCES, EBADF, EFAULT, EINVAL, ENOTTY, resultOf } from './errno.js';
import type { BatchRun } from './executor.js';
import { type FdTable, fdTable } from './fds.js';
import { IdTable } from './ids.js';
import { CpuMapping, type CpuMappingType } from './mapping.js';
import { TASK_SIZE, type UserMemory, userMemory } from './memory.js';
import { DEFAULT_PROFILE, PROFILE_NAMES, type Profile, profileOf, type UapiProfile } from './profiles.js';
import { DRM_IOCTL_BASE, IOC_IN, IOC_OUT } from './requests.js';
import type { Syncobj } from './syncobj.js';

/** How `gpu.open` opens the device. Everything has a default. */
export interface OpenOptions {
  /** Whose requests and results: `linux-4.2` (the default), or `modern`, Linux 6.12. */
  profile?: UapiProfile;
  /** Memory for calls that bring none: an interface, or a process of the machine. Default: nothing is mapped. */
  memory?: UserMemory | Process;
  /** The process whose memory GEM_USERPTR takes. Default: `memory`, where that is one. */
  process?: Process;
  /** `card` (the default) or `render`: a render node refuses names and authentication with EACCES. */
  node?: 'card' | 'render';
  /** CAP_SYS_ADMIN. Default true. */
  admin?: boolean;
  /** How long a batch keeps its engine busy, in ms of virtual time. Default 0.1. */
  busy?: number;
  /**
   * Run batches (executor.ts): stores, blits and chains read and write memory through the page tables and the IOMMU, when the batch
   * is submitted; other commands are passed over. Default false: batches only take time.
   */
  execute?: boolean;
}

const OPTIONS: readonly (keyof OpenOptions)[] = ['profile', 'memory', 'process', 'node', 'admin', 'busy', 'execute'];

/** What a file has of a context: the context, and the parameters that the client has set. */
export interface FileContext {
  context: GpuContext;
  /** Parameters by number (I915_CONTEXT_PARAM_*). */
  readonly params: Map<number, number>;
  /** Batches that were run in it. */
  batches: number;
  /** Batches of it that hung the GPU. */
  hangs: number;
  /** The engine map (CONTEXT_PARAM_ENGINES): numbers of engines; undefined for the legacy rings. */
  engines?: readonly number[];
}

/** Bytes of the struct of a request that take no memory of their own, as on the kernel's stack. */
const SCRATCH = 128;
/** Where mappings go that the client's memory does not place. */
const MMAP_BASE = 0x7e0000000000;
/** Bytes of the longest array that a request reads at once; those of pread and pwrite come in pieces. */
const MOST_COPIED = 2 ** 30;
/** Fake offsets of the aperture begin here (DRM_FILE_PAGE_OFFSET_START, in bytes). */
const OFFSET_BASE = 0x100000000;

/**
 * An open file of the device (struct drm_file): the requests of one client. Its handles, contexts and names are its own;
 * `close` releases all of them.
 *
 * A request never throws for what the client does wrong: it returns a negative errno. What is thrown is no result: a TypeError
 * for what is no request or buffer, a finding of dma-debug with `strict`, an error of a policy's hook.
 */
export class DrmFile extends Living {
  static {
    Living.guard(DrmFile, ['ioctl']);
  }

  /** Whether it is one, and no made-up object. */
  private static made(one: unknown): boolean {
    return one instanceof DrmFile && Living.is(one);
  }

  /** The GPU that it belongs to. */
  readonly device: I915Device;
  /** Whose requests and results. @internal */
  readonly profile: Profile;
  /** @internal */
  readonly process: Process | undefined;
  /** @internal */
  readonly render: boolean;
  /** @internal */
  readonly admin: boolean;
  /** @internal */
  readonly execute: boolean;
  /** What the last batch did that was run (`execute`). */
  lastRun: BatchRun | undefined;
  /** ms that a batch takes. @internal */
  readonly batchTime: number;
  /** @internal */
  readonly objects = new IdTable<GemObject>(1);
  /** The first is the file's own. @internal */
  readonly contexts = new IdTable<FileContext>(0);
  /** Address spaces of the client's own (GEM_VM_CREATE). @internal */
  readonly vms = new IdTable<AddressSpace>(1);
  /** @internal */
  readonly syncobjs = new IdTable<Syncobj>(1);
  /** Handles by dma-buf, and the other way (struct drm_prime_file_private). @internal */
  readonly primeHandles = new Map<DmaBuf, number>();
  /** @internal */
  readonly fds: FdTable;
  private readonly mappings = new Map<number, CpuMapping>();
  /** Objects by the offset that mmap of the file takes. */
  private readonly offsets = new Map<number, { object: GemObject; type: CpuMappingType }>();
  private readonly offsetsOf = new Map<GemObject, Map<CpuMappingType, number>>();
  private nextOffset = OFFSET_BASE;
  private nextAddress = MMAP_BASE;
  private readonly ownMemory: UserMemory | undefined;
  /** For the struct of a request. It is taken while a request runs: a hook of a policy may make requests. */
  private scratch: DataView | undefined = new DataView(new ArrayBuffer(SCRATCH));
  /** That of the request which runs. */
  private memory: UserMemory | undefined;

  /** @internal */
  constructor(maker: typeof LIBRARY, device: I915Device, given: OpenOptions) {
    checkMaker(maker, 'DrmFile');
    const { profile = DEFAULT_PROFILE, memory, process, node = 'card', admin, busy = 0.1, execute } = given;
    super(device.core.timeline, 'file');
    this.device = device;
    this.profile = profileOf(oneOf('profile', profile, PROFILE_NAMES));
    this.process = process ?? (memory instanceof Process ? memory : undefined);
    if (this.process !== undefined) device.accept(Process, 'process', this.process, 'open');
    this.ownMemory = memory === undefined ? undefined : checkMemory(userMemory(memory));
    this.render = oneOf('node', node, ['card', 'render']) === 'render';
    this.admin = checkBoolean('admin', admin, true);
    this.execute = checkBoolean('execute', execute, false);
    if (typeof busy !== 'number') throw invalidType('busy', 'of type number', busy);
    if (!(busy >= 0 && busy < 2 ** 40)) throw outOfRange('busy', '>= 0 milliseconds', busy);
    this.batchTime = busy;
    this.fds = fdTable(device.core.timeline);
    this.contexts.add({ context: device.createContext(), params: new Map(), batches: 0, hangs: 0 });
    device.files.add(this);
  }

  /**
   * One request (drm_ioctl): its struct is read from the buffer and written back, as far as the request's own size goes; what the
   * kernel's struct has beyond that is 0.
   * @param request as `IOCTL` has them, or any other number
   * @param buffer the struct, as `packStruct` makes it; left out for requests without one
   * @param memory what pointers in the struct point to. Default: that of `gpu.open`
   * @returns 0, or a negative errno: EBADF once the file is closed, ENOTTY for a request that is not DRM's, EINVAL for a number
   *   that the profile does not have, EACCES without the right, EFAULT where buffer or memory are too short, and what the
   *   request itself says
   * @throws TypeError or RangeError for what is no request, buffer or memory
   */
  ioctl(request: number, buffer?: Uint8Array, memory?: UserMemory): number {
    if (!DrmFile.made(this)) throw notMade('ioctl');
    if (typeof request !== 'number' || !Number.isInteger(request))
      throw invalidType('request', 'a whole number', request);
    if (buffer !== undefined) checkBytes('buffer', buffer);
    if (memory !== undefined) checkMemory(memory);
    if (!this.alive) {
      this.device.core.timeline.enter('ioctl');
      return -EBADF;
    }
    const cmd = request >>> 0;
    if (((cmd >>> 8) & 0xff) !== DRM_IOCTL_BASE) return -ENOTTY;
    const entry = this.profile.requests[cmd & 0xff];
    if (entry === undefined) return -EINVAL;
    const asked = (cmd >>> 16) & 0x3fff;
    const both = cmd & entry.request;
    const inSize = (both & IOC_IN) !== 0 ? asked : 0;
    const outSize = (both & IOC_OUT) !== 0 ? asked : 0;
    const length = buffer === undefined ? 0 : buffer.length;
    if (inSize > length) return -EFAULT;
    const ksize = Math.max(inSize, outSize, entry.size);
    const own = this.scratch;
    const k = own !== undefined && ksize <= SCRATCH ? own : new DataView(new ArrayBuffer(ksize));
    for (let i = 0; i < inSize; ++i) k.setUint8(i, buffer![i]);
    for (let i = inSize; i < ksize; ++i) k.setUint8(i, 0);
    let rc = -EACCES;
    if (!this.render || entry.render) {
      const outer = this.memory;
      this.memory = memory ?? this.ownMemory;
      this.scratch = undefined;
      try {
        rc = entry.run(this, k);
      } catch (error) {
        rc = resultOf(error);
      } finally {
        this.scratch = own;
        this.memory = outer;
      }
    }
    if (outSize > length) return -EFAULT;
    for (let i = 0; i < outSize; ++i) buffer![i] = k.getUint8(i);
    return rc;
  }

  /** Ends the client: handles, contexts, mappings and syncobjs go. A second call does nothing. */
  close(): void {
    if (!this.ending('close')) return;
    this.checkIdle('close');
    for (const mapping of this.mappings.values()) mapping.unmap();
    this.mappings.clear();
    for (const [handle, object] of this.objects) {
      this.objects.delete(handle);
      this.dropHandle(object);
    }
    for (const [id, { context }] of this.contexts) {
      this.contexts.delete(id);
      if (context.alive) context.release();
    }
    for (const [id, vm] of this.vms) {
      this.vms.delete(id);
      vm.close();
    }
    for (const [id] of this.syncobjs) this.syncobjs.delete(id);
    this.primeHandles.clear();
    this.offsets.clear();
    this.offsetsOf.clear();
    this.device.files.delete(this);
    this.end();
  }

  /** Ends the client, as `close()`. */
  [Symbol.dispose](): void {
    if (this.alive) this.close();
  }

  /** The object of a handle. */
  object(handle: number): GemObject | undefined {
    checkInteger('handle', handle, 0, 0xffffffff);
    this.enter('gem_lookup');
    return this.objects.get(handle);
  }

  /** Handles that the file has. */
  get handleCount(): number {
    this.enter('gem_lookup');
    return this.objects.count;
  }

  /** The dma-buf of a file descriptor that PRIME_HANDLE_TO_FD gave. */
  dmaBuf(fd: number): DmaBuf | undefined {
    checkInteger('fd', fd, 0, 0x7fffffff);
    this.enter('dma_buf_get');
    const target = this.fds.get(fd);
    return target instanceof DmaBuf ? target : undefined;
  }

  /** A file descriptor of a dma-buf, for PRIME_FD_TO_HANDLE. The descriptor holds a reference of its own. */
  fdOf(dmaBuf: DmaBuf): number {
    this.enter('dma_buf_fd');
    this.accept(DmaBuf, 'dmaBuf', dmaBuf, 'dma_buf_fd');
    dmaBuf.reference();
    return this.fds.add(dmaBuf);
  }

  /** close(2) of a descriptor. @returns whether there was one */
  closeFd(fd: number): boolean {
    checkInteger('fd', fd, 0, 0x7fffffff);
    this.enter('close');
    return this.fds.close(fd);
  }

  /**
   * mmap(2) of the file at an offset that GEM_MMAP_GTT or GEM_MMAP_OFFSET gave.
   * @param size bytes, whole pages. Default: all of the object
   * @returns the mapping, or a negative errno: EINVAL where no object has that offset, or fewer bytes
   * @throws RangeError for a size or offset that cannot be
   */
  mmap(offset: number, size?: number): CpuMapping | number {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    if (size !== undefined) checkInteger('size', size, 1, Number.MAX_SAFE_INTEGER);
    this.enter('mmap');
    const entry = this.offsets.get(offset);
    if (entry === undefined) return -EINVAL;
    const bytes = size ?? entry.object.size;
    if (bytes > entry.object.size) return -EINVAL;
    return this.map(entry.object, entry.type, 0, bytes);
  }

  /** The mapping that begins at an address. */
  mapping(address: number): CpuMapping | undefined {
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    this.enter('mmap');
    return this.mappings.get(address);
  }

  /** @internal A mapping of an object, where the client's memory or the file places it. */
  map(object: GemObject, type: CpuMappingType, offset: number, size: number): CpuMapping {
    const bytes = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    const mapping = new CpuMapping(LIBRARY, object, type, offset, bytes);
    let address = this.memory?.map?.(mapping);
    if (address === undefined) {
      address = this.nextAddress;
      this.nextAddress += bytes + PAGE_SIZE;
    }
    mapping.address = address;
    this.mappings.set(address, mapping);
    return mapping;
  }

  /** munmap(2) of a whole mapping. @returns whether there was one at the address */
  munmap(address: number): boolean {
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    this.enter('munmap');
    const mapping = this.mappings.get(address);
    if (mapping === undefined) return false;
    this.mappings.delete(address);
    mapping.unmap();
    return true;
  }

  /** @internal The offset at which mmap of the file shows an object. */
  offsetOf(object: GemObject, type: CpuMappingType): number {
    let own = this.offsetsOf.get(object);
    if (own === undefined) this.offsetsOf.set(object, (own = new Map()));
    let offset = own.get(type);
    if (offset === undefined) {
      offset = this.nextOffset;
      this.nextOffset += object.size;
      own.set(type, offset);
      this.offsets.set(offset, { object, type });
    }
    return offset;
  }

  /** @internal Another handle of the file. The object's own handle becomes it. */
  addHandle(object: GemObject): number {
    return this.objects.add(object);
  }

  /** @internal GEM_CLOSE, without its check. */
  dropHandle(object: GemObject): void {
    const offsets = this.offsetsOf.get(object);
    if (offsets !== undefined) {
      for (const offset of offsets.values()) this.offsets.delete(offset);
      this.offsetsOf.delete(object);
    }
    if (object.handles === 1) this.device.names.forget(object);
    object.release();
  }

  /** @internal copy_from_user: null for what is not there. */
  copyFrom(address: number, n: number): Uint8Array | null {
    if (!(address + n <= TASK_SIZE) || n > MOST_COPIED) return null;
    return this.memory?.read(address, n) ?? this.mapped(address, n, (mapping, at) => mapping.read(at, n)) ?? null;
  }

  /** @internal copy_to_user. */
  copyTo(address: number, bytes: Uint8Array): boolean {
    if (!(address + bytes.length <= TASK_SIZE)) return false;
    if (this.memory?.write(address, bytes) === true) return true;
    return (
      this.mapped(address, bytes.length, (mapping, at) => {
        mapping.write(at, bytes);
        return true;
      }) ?? false
    );
  }

  // Pointers may lead into an object that the client has mapped.
  private mapped<T>(address: number, n: number, access: (mapping: CpuMapping, at: number) => T): T | undefined {
    for (const [start, mapping] of this.mappings) {
      if (address >= start && address + n <= start + mapping.size) return access(mapping, address - start);
    }
    return undefined;
  }

  /** @internal What the request that comes makes shall have this number; undefined: the lowest free one, as ever. */
  expect(id: number | undefined): void {
    for (const table of [this.objects, this.contexts, this.vms, this.syncobjs, this.device.names.table])
      table.wanted = id;
  }

  /** @internal The client waits: time passes. */
  wait(milliseconds: number): void {
    const { clock } = this.device;
    if (milliseconds > 0) clock.advance(milliseconds);
  }
}

function checkMemory(memory: UserMemory): UserMemory {
  if (
    typeof memory !== 'object' ||
    memory === null ||
    typeof memory.read !== 'function' ||
    typeof memory.write !== 'function'
  ) {
    throw invalidType('memory', 'a UserMemory with read() and write()', memory);
  }
  return memory;
}

/** @internal `gpu.open()`. */
export function openFile(device: I915Device, options: OpenOptions): DrmFile {
  return new DrmFile(LIBRARY, device, checkOptions('options', options, OPTIONS));
}
