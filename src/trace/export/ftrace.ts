import { checkArray, checkOptions, checkString, optionNames, readRecord } from '../../core/arguments.js';
import { checkInteger } from '../../core/errors.js';
import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { guard } from '../../core/guard.js';
import { EVENT_SHAPE, type MachineEvent } from '../../events/events.js';

/**
 * A machine's events as ftrace text, as the kernel would have written them: programs that read a kernel's trace read the
 * emulator's. Lists are written with one entry and one segment, since an event has their first address and their length
 * only.
 */

export interface FtraceOptions {
  /** Task of every event, `name-pid`. Default `gemdma-1`. */
  task?: string;
}

/** Writes what a machine does as ftrace text, event by event: `gemdma trace` and the kernel's tools read it. */
export class FtraceWriter {
  static {
    guard(FtraceWriter, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  private readonly task: string;
  /** Physical address of each page from iommu_map events, by page of the IOVA. */
  private readonly physical = new Map<number, number>();
  /** Physical address of the first entry of each list, by device and address. */
  private readonly lists = new Map<string, number>();
  /** iommu:unmap lines whose event of the DMA API the kernel writes before them. */
  private held: string[] = [];
  /** Microseconds of the last line. Virtual time may stand still; lines are a microsecond apart at least. */
  private clock = 0;

  constructor(options: FtraceOptions = {}) {
    const { task } = checkOptions('options', options, optionNames<FtraceOptions>({ task: true }));
    this.task = checkString('task', task) ?? 'gemdma-1';
  }

  /** The first lines of a file. */
  header(events: number): string {
    checkInteger('events', events, 0, Number.MAX_SAFE_INTEGER);
    return `# tracer: nop\n#\n# entries-in-buffer/entries-written: ${events}/${events}   #P:1\n#\n`;
  }

  /** The lines of an event, '' for one that the kernel has no tracepoint for. */
  add(event: MachineEvent): string {
    return readRecord('event', event, EVENT_SHAPE, (one) => this.lines(one));
  }

  private lines(event: MachineEvent): string {
    const dev = event.device ?? 'unknown';
    switch (event.kind) {
      case 'iommu_map': {
        const { iova, physical, length } = event;
        // The first page of a run is what the lists that begin there need.
        this.physical.set(Math.floor(iova / PAGE), physical);
        return this.flushed(
          event,
          'map',
          `IOMMU: iova=0x${hex16(iova)} - 0x${hex16(iova + length)} paddr=0x${hex16(physical)} size=${length}`,
        );
      }
      case 'iommu_unmap': {
        const { iova, length, unmapped } = event;
        const before = this.release();
        this.held.push(
          this.line(
            event,
            'unmap',
            `IOMMU: iova=0x${hex16(iova)} - 0x${hex16(iova + length)} size=${length} unmapped_size=${unmapped}`,
          ),
        );
        return before;
      }
      case 'dma_map_page': {
        const { address, physical, length, direction } = event;
        if (address === null)
          return this.flushed(
            event,
            'dma_map_sg_err',
            `${dev} dir=${direction} dma_addrs={0x${hex(physical)}} err=-12 attrs=`,
          );
        return this.flushed(
          event,
          'dma_map_page',
          `${dev} dir=${direction} dma_addr=${hex(address)} size=${length} phys_addr=${hex(physical)} attrs=`,
        );
      }
      case 'dma_unmap_page':
        return this.flushed(
          event,
          'dma_unmap_page',
          `${dev} dir=${event.direction} dma_addr=${hex(event.address)} size=${event.length} attrs=`,
        );
      case 'dma_map_sg': {
        const { address, length, direction } = event;
        if (address === null)
          return this.flushed(event, 'dma_map_sg_err', `${dev} dir=${direction} dma_addrs={} err=-12 attrs=`);
        const first = this.physical.get(Math.floor(address / PAGE));
        const physical = first === undefined ? address : first + (address % PAGE);
        this.lists.set(`${dev} ${address}`, physical);
        const list = `dma_addrs={0x${hex(address)}} sizes={0x${hex(length)}} phys_addrs={0x${hex(physical)}}`;
        return this.flushed(event, 'dma_map_sg', `${dev} dir=${direction} nents=1/1 ents=1/1 ${list} attrs=`);
      }
      case 'dma_unmap_sg': {
        const { address, direction } = event;
        if (address === null) return '';
        const physical = this.lists.get(`${dev} ${address}`) ?? address;
        this.lists.delete(`${dev} ${address}`);
        return (
          this.line(event, 'dma_unmap_sg', `${dev} dir=${direction} phys_addrs={0x${hex(physical)}} attrs=`) +
          this.release()
        );
      }
      case 'dma_alloc':
        return this.flushed(
          event,
          'dma_alloc',
          `${dev} dir=BIDIRECTIONAL dma_addr=${hex(event.address)} size=${event.length} virt_addr=${hex16(0)} flags=GFP_KERNEL attrs=`,
        );
      case 'dma_free':
        return (
          this.line(
            event,
            'dma_free',
            `${dev} dir=BIDIRECTIONAL dma_addr=${hex(event.address)} size=${event.length} virt_addr=${hex16(0)} attrs=`,
          ) + this.release()
        );
      case 'swiotlb_bounced':
        // The kernel's tracepoint is for a buffer that is mapped through the pool, not for each copy.
        if (event.copied === 'out') return '';
        return this.flushed(
          event,
          'swiotlb_bounced',
          `dev_name: ${dev} dma_mask=ffffffff dev_addr=${hex(event.physical)} size=${event.length} FORCE`,
        );
      case 'dmar_fault':
        return this.flushed(
          event,
          'io_page_fault',
          `IOMMU:gemdma ${dev} iova=0x${hex16(event.address)} flags=0x${event.write ? '0020' : '0000'}`,
        );
      default:
        return '';
    }
  }

  /** What is held back at the end. */
  end(): string {
    return this.release();
  }

  private release(): string {
    const text = this.held.join('');
    this.held = [];
    return text;
  }

  private flushed(event: MachineEvent, name: string, body: string): string {
    return this.release() + this.line(event, name, body);
  }

  private line({ time }: MachineEvent, name: string, body: string): string {
    this.clock = Math.max(Math.round(time * 1000), this.clock + 1);
    return `${this.task.padStart(16)}      [000] .....  ${(this.clock / 1e6).toFixed(6).padStart(12)}: ${name}: ${body}\n`;
  }
}

/** A whole list of events as the text of a trace file. */
export function formatFtrace(events: readonly MachineEvent[], options: FtraceOptions = {}): string {
  checkArray('events', events);
  const writer = new FtraceWriter(options);
  const lines = events.map((event) => writer.add(event));
  return writer.header(events.length) + lines.join('') + writer.end();
}

// DMA_MAPPING_ERROR, which is -1 here, has all 64 bits.
function hex(value: number, digits = 0): string {
  const bits = value < 0 ? BigInt.asUintN(64, BigInt(value)) : value;
  return bits.toString(16).padStart(digits, '0');
}

function hex16(value: number): string {
  return hex(value, 16);
}
