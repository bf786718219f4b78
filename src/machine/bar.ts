import { checkBytes } from '../core/arguments.js';
import { checkInteger, GemDmaError, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY, Life } from '../core/life.js';
import type { DmaDevice } from '../dma/device.js';

/**
 * Memory of devices on the bus: PCI BARs, in the window between RAM and the interrupt controllers. Other devices reach it by
 * dma_map_resource or as pages of a list (peer to peer through the host bridge).
 */

/** The host bridge's window, as physical addresses. */
const WINDOW_START = 0xe0000000;
const WINDOW_END = 0xfec00000;

/**
 * A region of a device's memory on the bus, which other devices can reach (peer to peer). `machine.addBar` makes one.
 */
export class Bar {
  static {
    guard(Bar, (one) => #life in one);
  }

  /** The device whose memory it is. */
  readonly device: DmaDevice;
  /** Physical address, a multiple of the size. */
  readonly address: number;
  /** Bytes, a power of two. */
  readonly size: number;
  private readonly bytes: Uint8Array;
  readonly #life: Life;

  /** @internal `machine.addBar` makes them. */
  constructor(maker: typeof LIBRARY, device: DmaDevice, address: number, size: number) {
    checkMaker(maker, 'Bar');
    this.device = device;
    this.address = address;
    this.size = size;
    this.bytes = new Uint8Array(size);
    this.#life = new Life(device.host.core.timeline, 'BAR');
  }

  /** The first page, for lists (ScatterTable.fromEntries). */
  get pfn(): number {
    this.#enter('bar');
    return this.address / PAGE_SIZE;
  }

  /**
   * Bytes as the device itself, or a CPU, sees them.
   * @throws RangeError past the end
   */
  read(offset: number, n: number): Uint8Array {
    checkInteger('offset', offset, 0, this.size);
    checkInteger('n', n, 0, this.size - offset);
    this.#enter('bar_read');
    return this.bytes.slice(offset, offset + n);
  }

  /**
   * Stores bytes, as the device itself or a CPU does.
   * @throws RangeError past the end, before anything is stored
   */
  write(offset: number, bytes: Uint8Array): void {
    bytes = checkBytes('bytes', bytes);
    checkInteger('offset', offset, 0, this.size - bytes.length);
    this.#enter('bar_write');
    this.bytes.set(bytes, offset);
  }

  // It goes with its device.
  #enter(call: string): void {
    this.#life.enter(call);
    this.device.enter(call);
  }
}

/** The BARs of a machine. */
export class Bars {
  private readonly list: Bar[] = [];

  /** The BAR that a physical address is in. */
  at(physical: number): Bar | undefined {
    return this.list.find(({ address, size }) => physical >= address && physical < address + size);
  }

  get empty(): boolean {
    return this.list.length === 0;
  }

  /**
   * A BAR of a device, at the next free place that is aligned to its size.
   * @throws RangeError if the size is not a power of two of at least 4 KiB; GemDmaError ENOSPC when the window is full
   */
  add(device: DmaDevice, size: number): Bar {
    checkInteger('size', size, PAGE_SIZE, WINDOW_END - WINDOW_START);
    if (Math.log2(size) % 1 !== 0) throw outOfRange('size', 'a power of two', size);
    const last = this.list.at(-1);
    const from = last === undefined ? WINDOW_START : last.address + last.size;
    const address = Math.ceil(from / size) * size;
    if (address + size > WINDOW_END) {
      throw new GemDmaError(
        'ENOSPC',
        'pci_assign_resource',
        `no room for a BAR of ${size} bytes in the bridge's window`,
      );
    }
    const bar = new Bar(LIBRARY, device, address, size);
    this.list.push(bar);
    return bar;
  }
}
