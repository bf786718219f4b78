import { checkBytes } from '../core/arguments.js';
import { checkInteger, errnoName, GemDmaError, invalidType } from '../core/errors.js';
import { ENOMEM } from '../core/generated/constants.js';
import type { GpuVmHandle, MmHandle } from '../core/generated/exports.js';
import { type Life, notMade } from '../core/life.js';
import { Living } from '../core/living.js';
import { ListLink } from '../drm/list.js';
import type { I915Device } from './device.js';
import type { Vma } from './vma.js';

/** Most bytes of one access that the staging block takes. */
const STEP = 65536;

/**
 * An address space of the GPU (struct i915_address_space): the global GTT or a per-process one. It has a range manager
 * that says which addresses are free, page tables, and the vmas in it in the order of their last use.
 */
export abstract class AddressSpace extends Living {
  static {
    Living.guard(AddressSpace, ['enter', 'checkRoom', 'get', 'put']);
  }

  /** @internal */
  static override lifeOf(one: AddressSpace, call: string): Life {
    if (typeof one !== 'object' || one === null || !(#life in one)) throw notMade(call);
    return one.#life;
  }

  /**
   * @internal An address space that comes as an argument of a call of a GPU, which has entered.
   * @throws ERR_INVALID_ARG_TYPE if the argument is not an address space; GemDmaError if it is dead or of another machine
   */
  static admit(one: AddressSpace, gpu: Life, call: string): void {
    if (typeof one !== 'object' || one === null || !(#life in one)) {
      throw invalidType('vm', 'an instance of AddressSpace', one);
    }
    gpu.join(one.#life, call);
    one.enter(call);
  }

  readonly #life: Life;
  /** The GPU that it belongs to. */
  readonly device: I915Device;
  /** As reports name it: `GGTT`, or `PPGTT` with a number. */
  readonly name: string;
  /** The global GTT; otherwise a PPGTT. */
  readonly isGgtt: boolean;
  /** Shadows the GGTT: objects are bound through that. @internal */
  readonly isAliasing: boolean;
  /** Handle in the core. @internal */
  readonly handle: GpuVmHandle;
  /** Bytes; addresses run from 0 up to here. @internal */
  readonly total: number;
  /** Vmas that the GPU uses, and those that it does not, least recently used first. @internal */
  readonly activeList = new ListLink<Vma>(null);
  /** @internal */
  readonly inactiveList = new ListLink<Vma>(null);
  /** @internal */
  refcount = 1;
  /** Contexts and ids that lead to it. */
  private holders = 1;
  private closed = false;
  /** Vmas of it are being evicted for another vma: a hook that runs meanwhile must not take the space. @internal */
  makesRoom = false;
  /** Handle of the range manager. @internal */
  readonly mm: MmHandle;

  /** @internal */
  constructor(device: I915Device, name: string, kind: 'ggtt' | 'aliasing' | 'ppgtt', handle: GpuVmHandle) {
    super(device.core.timeline, name);
    this.#life = Living.lifeOf(this, name);
    const { exports } = device.core;
    this.device = device;
    this.name = name;
    this.isGgtt = kind === 'ggtt';
    this.isAliasing = kind === 'aliasing';
    this.handle = handle;
    this.total = exports.vmTotal(handle);
    this.mm = exports.vmMm(handle);
  }

  /**
   * Makes the page tables for a vma that has a place (allocate_va_range). Returns 0 or -ENOMEM, tables as before.
   * @internal
   */
  abstract allocateVaRange(vma: Vma): number;

  /**
   * Writes a vma's entries for `wanted` (GLOBAL_BIND, LOCAL_BIND). Returns further bits to set, or a negative errno.
   * @internal
   */
  abstract bindVma(vma: Vma, wanted: number): number;

  /** Points a vma's entries to the scratch page. @internal */
  abstract clearVma(vma: Vma): void;

  /** The raw entry for an address, as a number below 2^53. */
  entry(address: number): number {
    this.enter('gpu_entry');
    return this.entryAt(address);
  }

  /** The raw page table entry for an address of this space. */
  protected abstract entryAt(address: number): number;

  /** The last reference is gone: tables, scratch page and range manager go. */
  protected abstract destroy(): void;

  /** @internal */
  override enter(call: string): void {
    AddressSpace.lifeOf(this, call).enter(call);
    if (!this.closed) return;
    throw new GemDmaError('ENODEV', call, `the context of ${this.name} was released`, { reason: 'OBJECT_DESTROYED' });
  }

  /** @internal Another context or id of the user leads to it. */
  hold(): void {
    ++this.holders;
    ++this.refcount;
  }

  /** @internal A context or id of it is gone. With the last one the user has no way to it any more, though vmas may be in it. */
  close(): void {
    if (--this.holders === 0) this.closed = true;
    this.put();
  }

  /**
   * @internal For what is to get a place in it.
   * @throws GemDmaError EBUSY from within a hook of a call that makes room in it
   */
  checkRoom(call: string): void {
    if (!this.makesRoom) return;
    const message = `a call makes room in ${this.name}: not from within a hook of that call`;
    throw new GemDmaError('EBUSY', call, message, { reason: 'ADDRESS_SPACE_BUSY' });
  }

  /** @internal */
  get(): void {
    ++this.refcount;
  }

  /** @internal */
  put(): void {
    if (--this.refcount > 0) return;
    this.destroy();
    this.end();
  }

  /** Vmas in it, least recently used first, unused ones before used ones. */
  get vmas(): Vma[] {
    return [...this.inactiveList.toArray(), ...this.activeList.toArray()];
  }

  /** n bytes as the GPU reads them. Throws EFAULT where a table or the IOMMU leads nowhere; the fault is recorded. */
  read(address: number, n: number): Uint8Array {
    checkInteger('address', address, 0, 2 ** 48);
    checkInteger('n', n, 0, 2 ** 30);
    this.enter('gpu_read');
    const { core, context } = this.device;
    const bytes = new Uint8Array(n);
    const staging = core.staging(context);
    for (let done = 0; done < n; done += STEP) {
      const part = Math.min(STEP, n - done);
      this.refused('gpu_read', core.exports.gpuRead(this.handle, address + done, staging, part), address, n);
      bytes.set(core.readBytes(staging, part), done);
    }
    return bytes;
  }

  /**
   * Writes bytes as the GPU does. Errors as read.
   * @throws GemDmaError EFAULT where the table maps nothing or the IOMMU blocks it; RangeError for an
   *   address beyond 48 bits
   */
  write(address: number, bytes: Uint8Array): void {
    checkInteger('address', address, 0, 2 ** 48);
    bytes = checkBytes('bytes', bytes);
    this.enter('gpu_write');
    const { core, context } = this.device;
    const staging = core.staging(context);
    for (let done = 0; done < bytes.length; done += STEP) {
      const part = bytes.subarray(done, done + STEP);
      core.writeBytes(staging, part);
      const rc = core.exports.gpuWrite(this.handle, address + done, staging, part.length);
      this.refused('gpu_write', rc, address, bytes.length);
    }
  }

  private refused(syscall: string, rc: number, address: number, n: number): void {
    if (rc >= 0) return;
    const where = `${n} bytes at 0x${address.toString(16)} of ${this.name}`;
    const details = { vm: this.name, address, size: n, errno: errnoName(rc) };
    if (rc === ENOMEM) throw new GemDmaError('ENOMEM', syscall, `no linear memory for ${where}`, { details });
    throw new GemDmaError('EFAULT', syscall, `the GPU cannot reach ${where}`, { details });
  }

  override toString(): string {
    return this.name;
  }
}
