import { GemDmaError } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import type { AddressSpace } from '../address-space.js';
import type { I915Device } from '../device.js';
import { swizzled, swizzleOf, TILING_X, tiledOffset } from '../fence.js';
import type { Vma } from '../vma.js';

/**
 * A small command streamer: it reads a batch as the GPU does, through the page tables, the IOMMU and the frames, and does what
 * writes memory without a shader. Sources: the Programmer's Reference Manuals of Broadwell, volume 2a ("Command Reference:
 * Instructions": MI_STORE_DATA_IMM, MI_BATCH_BUFFER_START, XY_COLOR_BLT, XY_SRC_COPY_BLT), and of Sandy Bridge, volume 1 part 5
 * ("Blitter Engine"). Other commands are passed over by their length.
 */

/** How a batch ended: its end, an address that leads nowhere, a command without a length, too many commands. */
export type BatchEnd = 'end' | 'fault' | 'unknown' | 'limit';

/** What a batch did. */
export interface BatchRun {
  /** Commands that were read. */
  commands: number;
  /** Of these, stores and blits. */
  writes: number;
  /** How it ended: anything but `end` hangs the GPU. */
  ended: BatchEnd;
}

/** More commands than any batch has; one that chains to itself has no end. */
const LIMIT = 2 ** 20;
const MI_BATCH_BUFFER_END = 0x0a;
const MI_STORE_DATA_IMM = 0x20;
const MI_BATCH_BUFFER_START = 0x31;
/** A batch that is called, and returns. */
const SECOND_LEVEL = 1 << 22;
const STORE_QWORD = 1 << 21;
const XY_COLOR_BLT = 0x50;
const XY_SRC_COPY_BLT = 0x53;
const ROP_SRC_COPY = 0xcc;
const ROP_PAT_COPY = 0xf0;
const SRC_TILED = 1 << 15;
const DST_TILED = 1 << 11;
/** Bytes of a pixel by the colour depth of BR13. */
const DEPTHS = [1, 2, 2, 4];
/** Write masks of XY blits of 32 bits: RGB and alpha. */
const WRITE_RGB = 1 << 20;
const WRITE_ALPHA = 1 << 21;

/** A surface of a blit. */
interface Surface {
  readonly address: number;
  readonly pitch: number;
  readonly tiled: boolean;
}

class Streamer {
  commands = 0;
  writes = 0;
  private readonly vm: AddressSpace;
  private readonly device: I915Device;
  /** 64-bit addresses in commands. */
  private readonly wide: boolean;
  private page = -1;
  private from = 0;
  private bytes: DataView = new DataView(new ArrayBuffer(0));

  constructor(vm: AddressSpace) {
    const { device } = vm;
    this.device = device;
    // Batches go through the PPGTT that shadows the GGTT, where there is one.
    this.vm = vm === device.ggtt ? (device.ggtt.aliasing ?? vm) : vm;
    this.wide = device.config.gen >= 8;
  }

  run(start: number): BatchEnd {
    const stack: number[] = [];
    let at = start;
    while (this.commands < LIMIT) {
      const head = this.word(at);
      ++this.commands;
      const length = lengthOf(head);
      if (length === 0) return 'unknown';
      const kind = head >>> 29;
      const opcode = (head >>> 23) & 0x3f;
      if (kind === 0 && opcode === MI_BATCH_BUFFER_END) {
        const back = stack.pop();
        if (back === undefined) return 'end';
        at = back;
        continue;
      }
      if (kind === 0 && opcode === MI_BATCH_BUFFER_START) {
        if ((head & SECOND_LEVEL) !== 0 && this.wide) stack.push(at + length * 4);
        const to = this.address(at + 4);
        at = to - (to % 4);
        continue;
      }
      if (kind === 0 && opcode === MI_STORE_DATA_IMM) this.store(head, at);
      else if (kind === 2 && ((head >>> 22) & 0x7f) === XY_COLOR_BLT) this.colour(head, at);
      else if (kind === 2 && ((head >>> 22) & 0x7f) === XY_SRC_COPY_BLT) this.copy(head, at);
      at += length * 4;
    }
    return 'limit';
  }

  // A page is read at a time: what one byte of it leads to, all do. A batch may write to itself, which the prefetch hides.
  private word(at: number): number {
    const page = Math.floor(at / PAGE_SIZE);
    if (page !== this.page || at < this.from) {
      const bytes = this.read(at, PAGE_SIZE - (at % PAGE_SIZE));
      this.page = page;
      this.from = at;
      this.bytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.bytes.getUint32(at - this.from, true);
  }

  private read(address: number, n: number): Uint8Array {
    this.reach(address);
    return this.vm.read(address, n);
  }

  private write(address: number, bytes: Uint8Array): void {
    this.reach(address);
    this.vm.write(address, bytes);
  }

  private reach(address: number): void {
    if (address >= 0 && address < 2 ** 48) return;
    throw new GemDmaError('EFAULT', 'gpu_access', `no address of the GPU: ${address}`);
  }

  // An address of 48 bits, or 32 before generation 8.
  private address(at: number): number {
    return this.wide ? this.word(at) + (this.word(at + 4) & 0xffff) * 2 ** 32 : this.word(at);
  }

  private store(head: number, at: number): void {
    // Before generation 8 the second word is reserved, and the address the third.
    const to = this.address(at + (this.wide ? 4 : 8));
    const data = new DataView(new ArrayBuffer(8));
    data.setUint32(0, this.word(at + 12), true);
    const quad = (head & STORE_QWORD) !== 0;
    if (quad) data.setUint32(4, this.word(at + 16), true);
    this.write(to - (to % 4), new Uint8Array(data.buffer, 0, quad ? 8 : 4));
    ++this.writes;
  }

  // BR13 and the rectangle: the same in both blits.
  private destination(head: number, at: number): { to: Surface; depth: number; rop: number; box: number[] } {
    const br13 = this.word(at + 4);
    const tiled = (head & DST_TILED) !== 0;
    const pitch = ((br13 << 16) >> 16) * (tiled ? 4 : 1);
    const [first, last] = [this.word(at + 8), this.word(at + 12)];
    return {
      to: { address: this.address(at + 16), pitch, tiled },
      depth: DEPTHS[(br13 >>> 24) & 3],
      rop: (br13 >>> 16) & 0xff,
      box: [(first << 16) >> 16, first >> 16, (last << 16) >> 16, last >> 16],
    };
  }

  private colour(head: number, at: number): void {
    const { to, depth, rop, box } = this.destination(head, at);
    const [x1, y1, x2, y2] = box;
    if (rop !== ROP_PAT_COPY || x2 <= x1 || y2 <= y1) return;
    const colour = this.word(at + (this.wide ? 24 : 20));
    const row = new Uint8Array((x2 - x1) * depth);
    for (let i = 0; i < row.length; ++i) row[i] = colour >>> ((i % depth) * 8);
    for (let y = y1; y < y2; ++y) this.put(to, x1 * depth, y, row, mask(head, depth));
    ++this.writes;
  }

  private copy(head: number, at: number): void {
    const { to, depth, rop, box } = this.destination(head, at);
    const [x1, y1, x2, y2] = box;
    if (rop !== ROP_SRC_COPY || x2 <= x1 || y2 <= y1) return;
    const next = at + (this.wide ? 24 : 20);
    const [source, br11] = [this.word(next), this.word(next + 4)];
    const tiled = (head & SRC_TILED) !== 0;
    const from = { address: this.address(next + 8), pitch: ((br11 << 16) >> 16) * (tiled ? 4 : 1), tiled };
    const [sx, sy] = [(source << 16) >> 16, source >> 16];
    const n = (x2 - x1) * depth;
    // Rows are read before they are written, from the end where the surfaces overlap so.
    const down = from.address === to.address && sy < y1;
    for (let i = 0; i < y2 - y1; ++i) {
      const y = down ? y2 - y1 - 1 - i : i;
      this.put(to, x1 * depth, y1 + y, this.take(from, sx * depth, sy + y, n), mask(head, depth));
    }
    ++this.writes;
  }

  private take(surface: Surface, x: number, y: number, n: number): Uint8Array {
    const bytes = new Uint8Array(n);
    this.pieces(surface, x, y, n, (address, done, part) => bytes.set(this.read(address, part), done));
    return bytes;
  }

  private put(surface: Surface, x: number, y: number, bytes: Uint8Array, keep: number): void {
    let row = bytes;
    if (keep !== 0) {
      row = this.take(surface, x, y, bytes.length);
      for (let i = 0; i < row.length; ++i) if (((keep >>> (i % 4)) & 1) === 0) row[i] = bytes[i];
    }
    this.pieces(surface, x, y, row.length, (address, done, part) =>
      this.write(address, row.subarray(done, done + part)),
    );
  }

  // Pieces of a row that lie together: all of it in a linear surface, 64 bytes or less of a tiled one.
  private pieces(
    { address, pitch, tiled }: Surface,
    x: number,
    y: number,
    n: number,
    each: (address: number, done: number, part: number) => void,
  ): void {
    if (!tiled) {
      each(address + y * pitch + x, 0, n);
      return;
    }
    const { gen, platform } = this.device.config;
    const mode = swizzleOf(gen, platform, TILING_X);
    for (let done = 0; done < n; ) {
      const at = y * pitch + x + done;
      const part = Math.min(n - done, 64 - (at % 64));
      each(address + swizzled(mode, tiledOffset(gen, TILING_X, pitch, at)), done, part);
      done += part;
    }
  }
}

// Bytes of a pixel that stay: a bit each.
function mask(head: number, depth: number): number {
  if (depth !== 4) return 0;
  return ((head & WRITE_RGB) !== 0 ? 0 : 0b0111) | ((head & WRITE_ALPHA) !== 0 ? 0 : 0b1000);
}

/** Words of a command by its first one; 0 where there is no such kind. */
function lengthOf(head: number): number {
  const kind = head >>> 29;
  if (kind === 0) return ((head >>> 23) & 0x3f) < 0x10 ? 1 : (head & 0xff) + 2;
  if (kind === 2) return (head & 0xff) + 2;
  if (kind !== 3) return 0;
  const [type, opcode] = [(head >>> 27) & 3, (head >>> 24) & 7];
  if (type === 1 && opcode < 2) return 1;
  if (type === 2 && opcode > 0) return (head & 0xffff) + 2;
  return (head & 0xff) + 2;
}

/**
 * Runs a batch.
 * @param batch where it lies
 * @param start bytes into it
 */
export function runBatch(batch: Vma, start: number): BatchRun {
  const streamer = new Streamer(batch.vm);
  let ended: BatchEnd = 'fault';
  try {
    ended = streamer.run(batch.start + start);
  } catch (error) {
    if (!GemDmaError.is(error, 'EFAULT')) throw error;
  }
  return { commands: streamer.commands, writes: streamer.writes, ended };
}
