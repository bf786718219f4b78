import { checkBytes } from '../../core/arguments.js';
import { checkInteger, GemDmaError } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import { checkMaker, type LIBRARY } from '../../core/life.js';
import { Living } from '../../core/living.js';
import { ENOMEM, ENOSPC } from '../../drm/errno.js';
import { ShmemBacking } from '../backing/shmem.js';
import { doPin, PIN_GLOBAL, PIN_MAPPABLE, PIN_NONBLOCK } from '../bind.js';
import { swizzled, TILING_NONE, TILING_Y, tiledOffset, tileHeight } from '../fence.js';
import type { GemObject } from '../object.js';
import { retireObject } from '../retire.js';
import type { View } from '../view.js';
import type { Vma } from '../vma.js';

/** How the CPU sees an object: its pages (write-back or write-combined), or through the aperture of the GTT. */
export type CpuMappingType = 'wb' | 'wc' | 'gtt';

/** Pages of the partial view that an object gets which is larger than the aperture (MIN_CHUNK_PAGES, 1 MiB). */
const CHUNK = 256;

/**
 * A client's mapping of an object (GEM_MMAP, or mmap of an offset of GEM_MMAP_GTT). Through the aperture the first access
 * faults, which binds the object where the CPU reaches it; unbinding it, a purge and another tiling revoke the mapping, and
 * the next access faults again (i915_gem_fault, i915_gem_release_mmap).
 */
export class CpuMapping extends Living {
  static {
    Living.guard(CpuMapping, ['revoke']);
  }

  /** The object that is shown. */
  readonly object: GemObject;
  /** How. */
  readonly type: CpuMappingType;
  /** First byte of the object that is shown. */
  readonly offset: number;
  /** Bytes, whole pages. */
  readonly size: number;
  /** Where the client sees it, once that is known. */
  address = 0;
  /** Accesses that had to make the mapping, the first one included. */
  faults = 0;
  /** The places that the CPU's page table leads to, by chunk; 0 for an object that is shown whole. */
  private readonly places = new Map<number, Vma>();

  /** @internal */
  constructor(maker: typeof LIBRARY, object: GemObject, type: CpuMappingType, offset: number, size: number) {
    checkMaker(maker, 'CpuMapping');
    super(object.device.core.timeline, 'mapping');
    this.object = object;
    this.type = type;
    this.offset = offset;
    this.size = size;
    object.get();
    (object.mappings ??= new Set()).add(this);
  }

  /**
   * Reads bytes as the client's CPU does.
   * @param at from the beginning of the mapping
   * @throws RangeError beyond the mapping; GemDmaError EFAULT with the reason `SIGBUS` where the kernel would send that, ENOMEM
   */
  read(at: number, n: number): Uint8Array {
    this.check('mmap_read', at, n);
    const bytes = new Uint8Array(n);
    this.access('mmap_read', at, n, (offset, done, part, place) => {
      if (place !== undefined) bytes.set(place.vm.read(offset, part), done);
      else bytes.set(shmem(this.object).file.read(offset, part, this.object.pages !== 0), done);
    });
    return bytes;
  }

  /** Writes bytes as the client's CPU does. Errors as read. */
  write(at: number, bytes: Uint8Array): void {
    bytes = checkBytes('bytes', bytes);
    this.check('mmap_write', at, bytes.length);
    this.access('mmap_write', at, bytes.length, (offset, done, part, place) => {
      const piece = bytes.subarray(done, done + part);
      if (place !== undefined) place.vm.write(offset, piece);
      else shmem(this.object).file.write(offset, piece, this.object.pages !== 0);
    });
  }

  /** Ends the mapping (munmap). A second call does nothing. */
  unmap(): void {
    if (!this.ending('munmap')) return;
    this.object.mappings!.delete(this);
    this.places.clear();
    this.end();
    this.object.device.hooks.call(() => this.object.put());
  }

  /** Ends the mapping, as `unmap()`. */
  [Symbol.dispose](): void {
    if (this.alive) this.unmap();
  }

  /** The CPU's page table no longer leads anywhere (i915_gem_release_mmap). @internal */
  revoke(): void {
    this.places.clear();
  }

  private check(call: string, at: number, n: number): void {
    checkInteger('at', at, 0, this.size);
    checkInteger('n', n, 0, this.size - at);
    this.enter(call);
  }

  // One piece at a time: of the pages, or of what a fault has made reachable in the aperture.
  private access(
    call: string,
    at: number,
    n: number,
    move: (offset: number, done: number, part: number, place: Vma | undefined) => void,
  ): void {
    const { object } = this;
    const whole = object.size < object.device.config.mappable;
    const chunk = whole ? object.size : CHUNK * PAGE_SIZE;
    for (let done = 0; done < n; ) {
      const offset = this.offset + at + done;
      if (offset >= object.size) this.sigbus(call, 'lies past the end of the object');
      if (this.type !== 'gtt') {
        const part = Math.min(n - done, object.size - offset);
        object.device.hooks.call(() => object.work(() => move(offset, done, part, undefined)));
        done += part;
        continue;
      }
      const index = Math.floor(offset / chunk);
      const part = Math.min(n - done, Math.min(object.size, (index + 1) * chunk) - offset);
      const place = this.places.get(index) ?? this.fault(call, index, chunk, whole);
      if (object.fence >= 0 && whole) done += this.fenced(offset, done, part, place, move);
      else {
        move(place.start + offset - index * chunk, done, part, place);
        done += part;
      }
    }
  }

  // Through a fence: a piece of the linear view, where it lies in its tile. Behind the last whole row of tiles there is none.
  private fenced(
    offset: number,
    done: number,
    n: number,
    place: Vma,
    move: (offset: number, done: number, part: number, place: Vma | undefined) => void,
  ): number {
    const { tilingMode: tiling, stride, size, swizzle, device } = this.object;
    const { gen } = device.config;
    const row = stride * tileHeight(gen, tiling);
    const tiled = offset < size - (size % row);
    const run = tiled ? (tiling === TILING_Y && gen !== 2 ? 16 : 64) : n;
    const part = Math.min(n, tiled ? run - (offset % run) : n);
    const at = tiled ? swizzled(swizzle, tiledOffset(gen, tiling, stride, offset)) : offset;
    move(place.start + at, done, part, place);
    return part;
  }

  // i915_gem_fault
  private fault(call: string, index: number, chunk: number, whole: boolean): Vma {
    const { object } = this;
    const { device } = object;
    const pages = Math.min(object.size - index * chunk, chunk) / PAGE_SIZE;
    const view: View | undefined = whole
      ? undefined
      : { type: 'partial', offset: (index * chunk) / PAGE_SIZE, size: pages };
    ++this.faults;
    if (object.cacheLevel !== 0 && !device.config.llc) this.sigbus(call, 'is snooped, which the aperture cannot do');
    object.checkIdle(call);
    const bind = (): Vma | number => {
      retireObject(object);
      return doPin(object, device.ggtt, view, 0, PIN_GLOBAL | PIN_MAPPABLE | (whole ? 0 : PIN_NONBLOCK), 0);
    };
    const vma = device.hooks.call(() => object.work(bind));
    if (typeof vma !== 'number') {
      --vma.pinCount;
      if (whole && object.tilingMode !== TILING_NONE) device.fences.get(object);
      this.places.set(index, vma);
      return vma;
    }
    if (vma === -ENOMEM) throw new GemDmaError('ENOMEM', call, `no memory to show ${object}`);
    return this.sigbus(call, vma === -ENOSPC ? 'finds no room in the aperture' : 'cannot be bound in the aperture');
  }

  private sigbus(call: string, why: string): never {
    throw new GemDmaError('EFAULT', call, `an access to ${this.object} ${why}`, { reason: 'SIGBUS' });
  }
}

function shmem({ backing }: GemObject): ShmemBacking {
  if (backing instanceof ShmemBacking) return backing;
  throw new GemDmaError('EFAULT', 'mmap_read', 'the object has no file any more', { reason: 'SIGBUS' });
}
