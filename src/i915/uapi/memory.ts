import { checkBytes } from '../../core/arguments.js';
import { checkInteger, GemDmaError } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import { Process } from '../../drm/process.js';
import type { CpuMapping } from './mapping.js';

/**
 * A client's memory, as its requests reach it: addresses of a process. A request that finds nothing at an address returns
 * -EFAULT.
 */
export interface UserMemory {
  /** n bytes at an address; null unless all of them are mapped (copy_from_user). They are read before the next call. */
  read(address: number, n: number): Uint8Array | null;
  /** Writes bytes at an address; false unless all of them are mapped (copy_to_user). */
  write(address: number, bytes: Uint8Array): boolean;
  /**
   * GEM_MMAP: shows a mapping of an object somewhere and says where. Without it the file chooses the address, and
   * `file.mapping(address)` has the mapping.
   */
  map?(mapping: CpuMapping): number;
}

/** Where no address of a process can lie (access_ok). */
export const TASK_SIZE = 0x7ffffffff000;

/** A block of bytes as a client's memory, for clients that are no process of the machine. */
export class UserBlock implements UserMemory {
  static {
    guard(UserBlock, (one) => #made in one);
  }

  /** What makes an object one of the class, whatever it has as prototype (guard.ts). */
  readonly #made = true;
  /** Address of its first byte. */
  readonly base: number;
  /** The bytes. */
  readonly bytes: Uint8Array;
  private used = 0;

  /**
   * @param size bytes. Default 64 KiB
   * @param base address of the first one. Default 0x10000
   */
  constructor(size = 65536, base = 0x10000) {
    checkInteger('size', size, 1, 2 ** 30);
    checkInteger('base', base, 0, TASK_SIZE - size);
    this.base = base;
    this.bytes = new Uint8Array(size);
  }

  /**
   * Puts bytes behind what was placed before, at a multiple of 8.
   * @returns their address
   * @throws GemDmaError ENOMEM where no room is left
   */
  place(bytes: Uint8Array): number {
    bytes = checkBytes('bytes', bytes);
    if (this.used + bytes.length > this.bytes.length) throw new GemDmaError('ENOMEM', 'place', 'the block is full');
    const address = this.base + this.used;
    this.bytes.set(bytes, this.used);
    this.used = Math.ceil((this.used + bytes.length) / 8) * 8;
    return address;
  }

  /** Forgets what was placed. */
  clear(): void {
    this.used = 0;
  }

  read(address: number, n: number): Uint8Array | null {
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('n', n, 0, Number.MAX_SAFE_INTEGER);
    const at = address - this.base;
    return at >= 0 && at + n <= this.bytes.length ? this.bytes.subarray(at, at + n) : null;
  }

  write(address: number, bytes: Uint8Array): boolean {
    checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
    bytes = checkBytes('bytes', bytes);
    const at = address - this.base;
    if (at < 0 || at + bytes.length > this.bytes.length) return false;
    this.bytes.set(bytes, at);
    return true;
  }
}

/** The memory of a process of the machine. */
class ProcessMemory implements UserMemory {
  private readonly process: Process;

  constructor(process: Process) {
    this.process = process;
  }

  read(address: number, n: number): Uint8Array | null {
    try {
      return this.process.read(address, n);
    } catch (error) {
      return faulted(error, null);
    }
  }

  write(address: number, bytes: Uint8Array): boolean {
    try {
      this.process.write(address, bytes);
      return true;
    } catch (error) {
      return faulted(error, false);
    }
  }
}

function faulted<T>(error: unknown, answer: T): T {
  if (!GemDmaError.is(error, 'EFAULT') && !GemDmaError.is(error, 'ENOMEM')) throw error;
  return answer;
}

/** What a caller gives as memory, as such. */
export function userMemory(given: UserMemory | Process): UserMemory {
  return given instanceof Process ? new ProcessMemory(given) : given;
}
