import { invalidType } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import { notMade } from '../../core/life.js';
/** The calls of a trace as columns: the input of a replay. It is held in memory, about 80 bytes per call. */

export const OP = { MAP: 1, UNMAP: 2, FLUSH: 3 } as const;

/** How a call mapped: one buffer, coherent memory, or a list. */
export const SHAPE = { PAGE: 0, COHERENT: 1, LIST: 2, RESOURCE: 3 } as const;

/** The entries of a list: physical address and length of each, in pairs. */
export type OperationList = Float64Array;

/**
 * The calls of a trace as columns: element `i` of each belongs to call `i`; elements from `length` on are unused. `Rebuild` makes
 * them; read them, and hand them to `verifyTrace` and `whatIf`.
 */
export class Operations {
  static {
    guard(Operations, (one) => #made in one, ['add']);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** Calls. */
  length = 0;
  /** 1 map, 2 unmap, 3 flush of a domain's IOTLB. */
  op: Uint8Array = new Uint8Array(1024);
  /** 0 one buffer, 1 coherent memory, 2 a list, 3 a resource. */
  shape: Uint8Array = new Uint8Array(1024);
  /** enum dma_data_direction; 255 where the trace has none. */
  direction: Uint8Array = new Uint8Array(1024);
  /** CPU that made the call; 65535 where the trace has none. */
  cpu: Uint16Array = new Uint16Array(1024);
  /** Number of the device in `devices`. */
  device: Uint16Array = new Uint16Array(1024);
  /** When the range was taken or given back: that of the iommu:* event where there is one. Nanoseconds. */
  time: Float64Array = new Float64Array(1024);
  /** Position of the call in the trace: `order` sorts by it. */
  sequence: Float64Array = new Float64Array(1024);
  /** First address that the device used. */
  address: Float64Array = new Float64Array(1024);
  /** Physical address in bytes; NaN where the trace has none. */
  physical: Float64Array = new Float64Array(1024);
  /** Bytes that the driver gave. */
  size: Float64Array = new Float64Array(1024);
  /** Pages of address space from the first address on. */
  pages: Float64Array = new Float64Array(1024);
  /** UNMAP: the call that mapped it, -1 for one before the trace began. */
  of: Int32Array = new Int32Array(1024);
  /** Entries of the calls that mapped a list, by the call's number. */
  readonly lists = new Map<number, OperationList>();
  /** Names of devices, by number. */
  readonly devices: string[] = [];
  /** Devices that share an address space, by group; the others have one each. */
  readonly groups = new Map<number, number>();
  /** CPUs that events name. */
  cpus = 1;
  /** Maps that only iommu:map shows: they take address space of an unknown device. */
  unattributed = 0;
  /** Whether iommu:map events were recorded. */
  hasIommu = false;
  /** Buffers from swiotlb_bounced events. */
  bounced = 0;

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** @internal @throws ERR_INVALID_ARG_TYPE if the argument is not of this class */
  static check(operations: unknown): void {
    if (Operations.is(operations)) return;
    throw invalidType('operations', 'the Operations of a Rebuild', operations);
  }

  /** Adds a call of a kind (OP); returns its number. */
  add(op: number): number {
    if (!Operations.is(this)) throw notMade('Operations.add');
    if (typeof op !== 'number' || Number.isNaN(op)) throw invalidType('op', 'of type number', op);
    if (this.length === this.op.length) this.grow();
    const at = this.length++;
    this.op[at] = op;
    this.of[at] = -1;
    return at;
  }

  private grow(): void {
    const size = this.op.length * 2;
    const into = <T extends { set(from: ArrayLike<number>): void }>(from: ArrayLike<number>, to: T): T => {
      to.set(from);
      return to;
    };
    this.op = into(this.op, new Uint8Array(size));
    this.shape = into(this.shape, new Uint8Array(size));
    this.direction = into(this.direction, new Uint8Array(size));
    this.cpu = into(this.cpu, new Uint16Array(size));
    this.device = into(this.device, new Uint16Array(size));
    this.time = into(this.time, new Float64Array(size));
    this.sequence = into(this.sequence, new Float64Array(size));
    this.address = into(this.address, new Float64Array(size));
    this.physical = into(this.physical, new Float64Array(size));
    this.size = into(this.size, new Float64Array(size));
    this.pages = into(this.pages, new Float64Array(size));
    this.of = into(this.of, new Int32Array(size));
  }

  /** Calls in the order in which they took or gave back address space. */
  order(): Int32Array {
    const order = new Int32Array(this.length);
    for (let i = 0; i < order.length; ++i) order[i] = i;
    return order.sort((a, b) => this.sequence[a] - this.sequence[b] || a - b);
  }
}
