/**
 * The cache of a CPU, for pages that are mapped for a device without cache coherency. Lines of 64 bytes, write-back. The model takes
 * the worst case that hardware allows: a mapped line is in the cache at once (speculative loads), and no line is written back before
 * the driver flushes it.
 */

/** What is behind the cache. */
export interface BackingMemory {
  read(address: number, n: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
}

const LINE = 64;

interface Line {
  readonly bytes: Uint8Array;
  dirty: boolean;
}

export class CpuCache {
  private readonly lines = new Map<number, Line>();
  private readonly memory: BackingMemory;

  constructor(memory: BackingMemory) {
    this.memory = memory;
  }

  /** Lines that are cached, and of these such as memory does not have yet. */
  get stats(): { lines: number; dirty: number } {
    let dirty = 0;
    for (const line of this.lines.values()) if (line.dirty) ++dirty;
    return { lines: this.lines.size, dirty };
  }

  /** What a CPU sees: `bytes` of memory from an address on, with cached lines in their place. */
  overlay(address: number, bytes: Uint8Array): Uint8Array {
    this.#each(address, bytes.length, (line, inLine, inBytes, n) => {
      bytes.set(line.bytes.subarray(inLine, inLine + n), inBytes);
    });
    return bytes;
  }

  /**
   * A CPU writes: cached lines change, memory does not.
   * @returns the parts that are not cached, as offsets into the bytes
   */
  write(address: number, bytes: Uint8Array): [offset: number, n: number][] {
    const rest: [number, number][] = [];
    let from = 0;
    this.#each(address, bytes.length, (line, inLine, inBytes, n) => {
      line.bytes.set(bytes.subarray(inBytes, inBytes + n), inLine);
      line.dirty = true;
      if (inBytes > from) rest.push([from, inBytes - from]);
      from = inBytes + n;
    });
    if (from < bytes.length) rest.push([from, bytes.length - from]);
    return rest;
  }

  /** arch_sync_dma_for_device: dirty lines are written to memory; all lines of the range are in the cache afterwards. */
  forDevice(address: number, length: number): void {
    for (let at = Math.floor(address / LINE) * LINE; at < address + length; at += LINE) {
      const line = this.lines.get(at);
      if (line === undefined) this.lines.set(at, { bytes: this.memory.read(at, LINE), dirty: false });
      else this.#clean(at, line);
    }
  }

  /**
   * arch_sync_dma_for_cpu of a device that writes: lines are dropped, so that the CPU reads memory. Bytes that a CPU had written to
   * them are lost. The first and last line, which other data may share, are written back first.
   */
  forCpu(address: number, length: number): void {
    const end = address + length;
    for (let at = Math.floor(address / LINE) * LINE; at < end; at += LINE) {
      const line = this.lines.get(at);
      if (line === undefined) continue;
      if (at < address || at + LINE > end) this.#clean(at, line);
      this.lines.delete(at);
    }
  }

  /** Writes the lines of a range back and drops them: before a copy by the CPU, and when frames are freed. */
  flush(address: number, length: number): void {
    for (let at = Math.floor(address / LINE) * LINE; at < address + length; at += LINE) {
      const line = this.lines.get(at);
      if (line === undefined) continue;
      this.#clean(at, line);
      this.lines.delete(at);
    }
  }

  /** Lines of frames that have another owner from now on. */
  drop(address: number, length: number): void {
    if (this.lines.size === 0) return;
    for (let at = address; at < address + length; at += LINE) this.lines.delete(at);
  }

  #clean(at: number, line: Line): void {
    if (!line.dirty) return;
    this.memory.write(at, line.bytes);
    line.dirty = false;
  }

  #each(
    address: number,
    length: number,
    visit: (line: Line, inLine: number, inBytes: number, n: number) => void,
  ): void {
    if (this.lines.size === 0) return;
    const end = address + length;
    for (let at = Math.floor(address / LINE) * LINE; at < end; at += LINE) {
      const line = this.lines.get(at);
      if (line === undefined) continue;
      const start = Math.max(at, address);
      visit(line, start - at, start - address, Math.min(at + LINE, end) - start);
    }
  }
}
