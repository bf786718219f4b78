import { PAGE_SIZE } from '../../core/generated/constants.js';
import { PageIndex } from './page-index.js';

/**
 * Which mappings hold a piece of physical memory. A piece is kept in blocks of about its own size (4 KiB, 64 KiB, 1 MiB, ...),
 * two at most, so that a mapping of 2 MiB costs what one of a page does; a search asks each size that is in use.
 */

const LEVELS = 8;
const LEVEL_SHIFT = 4;
/** Blocks of a smaller size that a search goes through one by one; beyond it looks at the pieces' sizes in use alone. */
const MAX_BLOCKS = 4096;

export class PhysicalPieces {
  private readonly index = new PageIndex();
  private readonly populated = new Uint32Array(LEVELS);
  private start: Float64Array = new Float64Array(1024);
  private bytes: Float64Array = new Float64Array(1024);
  private owner: Int32Array = new Int32Array(1024);
  private nextOfOwner: Int32Array = new Int32Array(1024);
  private free = -1;
  private used = 0;
  private heads: Int32Array = new Int32Array(1024).fill(-1);

  /** Notes that a record holds [start, start + bytes). */
  add(record: number, start: number, bytes: number): void {
    let piece = this.free;
    if (piece >= 0) this.free = this.nextOfOwner[piece];
    else {
      if (this.used === this.start.length) this.grow();
      piece = this.used++;
    }
    while (record >= this.heads.length) {
      const heads = new Int32Array(this.heads.length * 2).fill(-1);
      heads.set(this.heads);
      this.heads = heads;
    }
    this.start[piece] = start;
    this.bytes[piece] = bytes;
    this.owner[piece] = record;
    this.nextOfOwner[piece] = this.heads[record];
    this.heads[record] = piece;
    const level = levelOf(bytes);
    const first = blockOf(start, level);
    const last = blockOf(start + bytes - 1, level);
    this.index.add(keyOf(first, level), piece);
    if (last !== first) this.index.add(keyOf(last, level), piece);
    ++this.populated[level];
  }

  remove(record: number): void {
    if (record >= this.heads.length) return;
    let piece = this.heads[record];
    this.heads[record] = -1;
    while (piece >= 0) {
      const next = this.nextOfOwner[piece];
      const level = levelOf(this.bytes[piece]);
      const first = blockOf(this.start[piece], level);
      const last = blockOf(this.start[piece] + this.bytes[piece] - 1, level);
      this.index.remove(keyOf(first, level), piece);
      if (last !== first) this.index.remove(keyOf(last, level), piece);
      --this.populated[level];
      this.nextOfOwner[piece] = this.free;
      this.free = piece;
      piece = next;
    }
  }

  /** The newest record that holds a byte of [start, start + bytes) and that `wanted` takes, -1 for none. */
  find(start: number, bytes: number, wanted: (record: number) => boolean): number {
    for (let level = 0; level < LEVELS; ++level) {
      if (this.populated[level] === 0) continue;
      const first = blockOf(start, level);
      const last = Math.min(blockOf(start + bytes - 1, level), first + MAX_BLOCKS);
      for (let block = first; block <= last; ++block) {
        for (let node = this.index.first(keyOf(block, level)); node >= 0; node = this.index.next(node)) {
          const piece = this.index.value(node);
          if (this.start[piece] >= start + bytes || this.start[piece] + this.bytes[piece] <= start) continue;
          if (wanted(this.owner[piece])) return this.owner[piece];
        }
      }
    }
    return -1;
  }

  private grow(): void {
    const size = this.start.length * 2;
    const start = new Float64Array(size);
    const bytes = new Float64Array(size);
    const owner = new Int32Array(size);
    const next = new Int32Array(size);
    start.set(this.start);
    bytes.set(this.bytes);
    owner.set(this.owner);
    next.set(this.nextOfOwner);
    this.start = start;
    this.bytes = bytes;
    this.owner = owner;
    this.nextOfOwner = next;
  }
}

function levelOf(bytes: number): number {
  let level = 0;
  for (let size = PAGE_SIZE; size < bytes && level < LEVELS - 1; size *= 1 << LEVEL_SHIFT) ++level;
  return level;
}

function blockOf(address: number, level: number): number {
  return Math.floor(address / (PAGE_SIZE * 2 ** (LEVEL_SHIFT * level)));
}

function keyOf(block: number, level: number): number {
  return block * LEVELS + level;
}
