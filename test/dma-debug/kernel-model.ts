import {
  DMA_ATTR_SKIP_CPU_SYNC,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  TYPE_PAGE as PAGE,
  TYPE_COHERENT,
  TYPE_SG,
  TYPE_SINGLE,
} from '../../src/core/generated/constants.js';
import type { DebugDialect } from '../../src/dma-debug/dialects.js';

/**
 * The kernel's checker written down as plainly as its rules are told: lists in buckets, walked from their first entry.
 * The core must say the same, verdict by verdict, with its own tables.
 */

export {
  DMA_ATTR_SKIP_CPU_SYNC as SKIP_CPU_SYNC,
  DMA_FROM_DEVICE as FROM_DEVICE,
  DMA_TO_DEVICE as TO_DEVICE,
  PAGE,
  TYPE_COHERENT as COHERENT,
  TYPE_SG as SG,
  TYPE_SINGLE as SINGLE,
};

const ERROR = -1;

export interface Ref {
  device: number;
  address: number;
  size: number;
  phys: number;
  /** 0 single, 1 sg, 2 coherent, 3 resource, 4 page. */
  type: number;
  dir: number;
  ents: number;
}

interface ModelEntry extends Ref {
  mappedEnts: number;
  checked: 0 | 1 | 2;
  sequence: number;
}

export interface ModelVerdict {
  id: string;
  device: number;
  printed: boolean;
  /** The two numbers that tell most about it. */
  values: number[];
}

export class KernelModel {
  readonly verdicts: ModelVerdict[] = [];
  errorCount = 0;
  free: number;
  min: number;
  total: number;
  disabled = false;
  readonly #dialect: DebugDialect;
  readonly #prealloc: number;
  #numErrors: number;
  readonly #allErrors: boolean;
  readonly #buckets: ModelEntry[][];
  readonly #lines = new Map<number, number>();
  #overflowed = false;
  #sequence = 0;

  constructor(dialect: DebugDialect, prealloc: number, allErrors: boolean, numErrors: number) {
    this.#dialect = dialect;
    this.#prealloc = prealloc;
    this.#allErrors = allErrors;
    this.#numErrors = numErrors;
    this.total = dialect.growing ? Math.ceil(prealloc / 32) * 32 : prealloc;
    this.free = this.total;
    this.min = this.total;
    this.#buckets = Array.from({ length: dialect.buckets }, () => []);
  }

  get numErrors(): number {
    return this.#numErrors;
  }

  #error(id: string, device: number, ...values: number[]): void {
    ++this.errorCount;
    this.verdicts.push({ id, device, printed: this.#allErrors || this.#numErrors > 0, values });
    if (!this.#allErrors && this.#numErrors > 0) --this.#numErrors;
  }

  #remark(id: string, device: number, ...values: number[]): void {
    this.verdicts.push({ id, device, printed: true, values });
  }

  #alloc(): boolean {
    if (this.free === 0) {
      if (!this.#dialect.growing) {
        this.#remark('OOM_DISABLED', 0);
        this.disabled = true;
        return false;
      }
      this.total += 32;
      this.free += 32;
      if (this.total % this.#prealloc < 32) this.#remark('POOL_GROWN', 0, this.total);
    }
    --this.free;
    this.min = Math.min(this.min, this.free);
    return true;
  }

  #bucket(address: number): ModelEntry[] {
    const chunk = address === ERROR ? 0x7ffffffffffff : Math.floor(address / 8192);
    return this.#buckets[chunk % this.#dialect.buckets];
  }

  #type(type: number): number {
    return type === PAGE && this.#dialect.onePageType ? 0 : type;
  }

  #line({ phys, type }: Ref): number {
    const line = Math.floor(phys / 64);
    return type === TYPE_COHERENT && this.#dialect.coherentQuirk ? line + 2 ** 50 : line;
  }

  map(ref: Ref, attrs: number, mappedEnts = 0, sgLength = 0, maxSegment = 65536, boundary = 0xffffffff): void {
    if (this.disabled || ref.address === ERROR) return;
    // debug_dma_map_page looks with dma_mapping_error whether the mapping failed; the DMA API's other hooks do not.
    if (ref.type === PAGE || ref.type === TYPE_SINGLE) this.check(ref.device, ref.address);
    if (!this.#alloc()) return;
    const type = this.#type(ref.type);
    const checked = type === TYPE_SG || type === TYPE_COHERENT ? 0 : 1;
    const entry: ModelEntry = { ...ref, type, mappedEnts, checked, sequence: ++this.#sequence };
    if (type === TYPE_SG && this.#dialect.checksSegments) {
      if (sgLength > maxSegment) this.#error('SEG_LEN', ref.device, sgLength, maxSegment);
      const end = ref.address + ref.size - 1;
      if (Math.floor(ref.address / (boundary + 1)) !== Math.floor(end / (boundary + 1))) {
        this.#error('SEG_BOUNDARY', ref.device, ref.address, end);
      }
    }
    this.#bucket(ref.address).push(entry);
    if (ref.dir === DMA_TO_DEVICE) return;
    const line = this.#line(entry);
    const active = this.#lines.get(line) ?? 0;
    if (active < 8) this.#lines.set(line, active + 1);
    else if (!this.#overflowed) {
      this.#overflowed = true;
      this.#remark('CACHELINE_OVERFLOW', ref.device);
    }
    if (active > 0 && this.#dialect.reportsOverlap && (attrs & DMA_ATTR_SKIP_CPU_SYNC) === 0) {
      this.#error('CACHELINE_OVERLAP', ref.device);
    }
  }

  #best(list: ModelEntry[], ref: Ref, matches: (entry: ModelEntry) => boolean): ModelEntry | undefined {
    const found = list.filter((entry) => entry.device === ref.device && matches(entry));
    const same = (entry: ModelEntry): boolean =>
      entry.size === ref.size && entry.type === ref.type && entry.dir === ref.dir && entry.ents === ref.ents;
    return found.find(same) ?? (found.length === 1 ? found[0] : undefined);
  }

  #exact(ref: Ref): ModelEntry | undefined {
    return this.#best(this.#bucket(ref.address), ref, (entry) => entry.address === ref.address);
  }

  /** Returns the mapped count of the entry that was found, 0 without one. */
  unmap(given: Ref): number {
    if (this.disabled) return 0;
    const ref = { ...given, type: this.#type(given.type) };
    const entry = this.#exact(ref);
    if (!entry) {
      this.check(ref.device, ref.address);
      if (ref.address === ERROR) this.#error('UNMAP_INVALID', ref.device);
      else this.#error('UNMAP_UNKNOWN', ref.device, ref.address, ref.size);
      return 0;
    }
    if (ref.size !== entry.size) this.#error('UNMAP_SIZE', ref.device, entry.size, ref.size);
    if (ref.type !== entry.type) this.#error('UNMAP_TYPE', ref.device, entry.type, ref.type);
    else if (ref.type === TYPE_COHERENT && ref.phys !== entry.phys) {
      this.#error('UNMAP_CPUADDR', ref.device, entry.phys, ref.phys);
    }
    if (ref.type === TYPE_SG && ref.ents > 0 && ref.ents !== entry.ents) {
      this.#error('UNMAP_SGCOUNT', ref.device, entry.ents, ref.ents);
    }
    if (ref.dir !== entry.dir) this.#error('UNMAP_DIR', ref.device, entry.dir, ref.dir);
    if (entry.checked === 1) this.#error('UNMAP_UNCHECKED', ref.device, entry.address);
    const bucket = this.#bucket(entry.address);
    bucket.splice(bucket.indexOf(entry), 1);
    ++this.free;
    if (entry.dir !== DMA_TO_DEVICE) {
      const line = this.#line(entry);
      const active = this.#lines.get(line) ?? 0;
      if (active > 1) this.#lines.set(line, active - 1);
      else this.#lines.delete(line);
    }
    return entry.mappedEnts;
  }

  /** Segments that the call made which mapped what is at an address; 0 when that is not known. */
  mappedEnts(ref: Ref): number {
    return this.#exact(ref)?.mappedEnts ?? 0;
  }

  check(device: number, address: number): void {
    if (this.disabled) return;
    const entry = this.#bucket(address).find(
      (item) => item.device === device && item.address === address && item.checked === 1,
    );
    if (entry) entry.checked = 2;
  }

  sync(ref: Ref, forDevice: boolean, maxSegment = 65536): void {
    if (this.disabled) return;
    if (ref.address === ERROR) {
      this.#error('SYNC_UNKNOWN', ref.device, ref.address, ref.size);
      return;
    }
    const chunk = Math.floor(ref.address / 8192);
    const reach = this.#dialect.syncsBySegment ? Math.floor(maxSegment / 8192) + 1 : this.#dialect.buckets;
    const covers = (entry: ModelEntry): boolean =>
      entry.address <= ref.address && entry.address + entry.size >= ref.address + ref.size;
    let entry: ModelEntry | undefined;
    for (let step = 0; step < Math.min(reach, chunk + 1) && !entry; ++step) {
      entry = this.#best(this.#buckets[(chunk - step) % this.#dialect.buckets], ref, covers);
    }
    if (!entry) {
      this.#error('SYNC_UNKNOWN', ref.device, ref.address, ref.size);
      return;
    }
    if (entry.dir === 0) return;
    if (ref.dir !== entry.dir) this.#error('SYNC_DIR', ref.device, entry.dir, ref.dir);
    if (!forDevice && entry.dir !== DMA_FROM_DEVICE && ref.dir !== DMA_TO_DEVICE) {
      this.#error('SYNC_RO_FOR_CPU', ref.device, entry.dir, ref.dir);
    }
    if (forDevice && entry.dir !== DMA_TO_DEVICE && ref.dir !== DMA_FROM_DEVICE) {
      this.#error('SYNC_WO_FOR_DEV', ref.device, entry.dir, ref.dir);
    }
    if (ref.type === TYPE_SG && ref.ents > 0 && ref.ents !== entry.ents && this.#dialect.syncsCount) {
      this.#error('SYNC_SGCOUNT', ref.device, entry.ents, ref.ents);
    }
  }

  unbind(device: number): void {
    if (this.disabled) return;
    const left = this.#buckets.flatMap((list) => list.filter((entry) => entry.device === device));
    const last = left.at(-1);
    if (last) this.#error('LEAK_ON_UNBIND', device, left.length, last.address);
  }
}
