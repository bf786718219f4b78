import { type CoreHost, checkSynchronous, hostTimeline } from '../core/arguments.js';
import { checkInteger, invalidReturn, invalidType } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { checkMaker, LIBRARY } from '../core/life.js';
import { Living } from '../core/living.js';
import { DmaDevice } from '../dma/device.js';
import { ScatterTable } from '../dma/sg-table.js';
import { EBUSY, EINVAL, refuse } from './errno.js';
import { Shared } from './shared.js';

/**
 * dma-buf: memory that one driver lends to others (drivers/dma-buf). The exporter owns it; each importer attaches its
 * device, and asks for a table that is mapped for that device. Making and ending that mapping is the exporter's work, on
 * the importer's device: this is the second of the three kinds of DMA mapping.
 */

/**
 * What an exporter does (struct dma_buf_ops). While it maps or unmaps, calls on that attachment are refused with EBUSY, and its
 * device stays.
 */
export interface DmaBufExporter {
  /** As debugfs dma_buf/bufinfo prints it (exp_name). */
  readonly name: string;
  /**
   * A table of all of the memory's pages, mapped for the attachment's device: `table = ScatterTable.fromPages(...)`,
   * `attachment.device.mapSgTable(table, DMA_BIDIRECTIONAL)`. It stays the exporter's. Throws GemDmaError.
   */
  map(attachment: DmaBufAttachment): ScatterTable;
  /** Ends that mapping and frees the table. A mapping of a destroyed device was removed with it. */
  unmap(attachment: DmaBufAttachment, table: ScatterTable): void;
  /** The last reference to the dma-buf was dropped. */
  release(): void;
}

/** A dma-buf, counted by references. */
export class DmaBuf extends Shared {
  static {
    Living.guard(DmaBuf);
  }

  /** Who owns the memory. */
  readonly exporter: DmaBufExporter;
  /** Bytes, whole pages. */
  readonly size: number;
  /** Attachments that live, in the order in which they were made. */
  readonly attachments = new Set<DmaBufAttachment>();
  private readonly host: CoreHost;
  /** The library's own exporter runs a caller's code only through hooks. */
  private readonly own: boolean;

  /**
   * @param host the machine that the memory belongs to
   * @param size bytes, whole pages
   */
  constructor(host: CoreHost, exporter: DmaBufExporter, size: number);
  /** @internal */
  constructor(host: CoreHost, exporter: DmaBufExporter, size: number, maker: typeof LIBRARY);
  constructor(host: CoreHost, exporter: DmaBufExporter, size: number, maker?: typeof LIBRARY) {
    const timeline = hostTimeline(host, 'dma_buf_export');
    for (const name of ['map', 'unmap', 'release'] as const) {
      if (typeof exporter?.[name] !== 'function')
        throw invalidType('exporter', `a DmaBufExporter with ${name}()`, exporter);
    }
    if (checkInteger('size', size, PAGE_SIZE, Number.MAX_SAFE_INTEGER) % PAGE_SIZE !== 0) {
      throw invalidType('size', 'a multiple of 4096', size);
    }
    super(timeline, 'dma-buf');
    this.host = host;
    this.exporter = exporter;
    this.size = size;
    this.own = maker === LIBRARY;
    timeline.members.add(this);
  }

  /** dma_buf_attach. EXDEV for a device of another machine, ENODEV or ESTALE for one that was destroyed. */
  attach(device: DmaDevice): DmaBufAttachment {
    this.enter('dma_buf_attach');
    DmaDevice.recordIn(this.host, device, 'dma_buf_attach');
    const attachment = new DmaBufAttachment(LIBRARY, this.host, this, device);
    this.attachments.add(attachment);
    this.get();
    return attachment;
  }

  /** dma_buf_put. ENODEV when it was released before. */
  override release(): void {
    super.release();
  }

  protected free(): void {
    const { calls, timeline } = this.host.core;
    timeline.members.delete(this);
    calls.run(() =>
      checkSynchronous(
        'exporter.release',
        this.exported(() => this.exporter.release()),
      ),
    );
  }

  /** @internal Runs the exporter. */
  exported<T>(run: () => T): T {
    return this.own ? run() : this.host.core.calls.hook(run);
  }
}

/** One device's use of a dma-buf. */
export class DmaBufAttachment extends Living {
  static {
    Living.guard(DmaBufAttachment);
  }

  /** What is attached to. */
  readonly dmaBuf: DmaBuf;
  /** The importer's device. */
  readonly device: DmaDevice;
  private readonly host: CoreHost;
  private table: ScatterTable | null = null;

  /** @internal `dmaBuf.attach` makes them. */
  constructor(maker: typeof LIBRARY, host: CoreHost, dmaBuf: DmaBuf, device: DmaDevice) {
    checkMaker(maker, 'DmaBufAttachment');
    super(hostTimeline(host, 'dma_buf_attach'), 'attachment');
    this.host = host;
    this.dmaBuf = dmaBuf;
    this.device = device;
  }

  /**
   * dma_buf_map_attachment: a table that is mapped for the device. It is the exporter's, which frees it.
   * @throws what the exporter throws; ERR_INVALID_RETURN_VALUE if it returned anything but a mapped table of as many pages;
   *   GemDmaError EBUSY
   *   while it has one and from within its exporter, ENODEV, ESTALE and EXDEV for a table that is dead or another machine's
   */
  map(): ScatterTable {
    const call = 'dma_buf_map_attachment';
    this.enterIdle(call);
    this.device.handle; // Throws for a device that is gone.
    if (this.table !== null) refuse(-EBUSY, call, 'the attachment is mapped already');
    return this.mapping(() => {
      const table = this.dmaBuf.exported(() => this.dmaBuf.exporter.map(this));
      checkSynchronous('exporter.map', table);
      if (!(table instanceof ScatterTable)) throw invalidReturn('exporter.map', 'a ScatterTable', table);
      ScatterTable.recordIn(this.host, table, call);
      if (!table.mapped || table.inUse || table.pageCount * PAGE_SIZE !== this.dmaBuf.size) {
        const { size } = this.dmaBuf;
        throw invalidReturn(
          'exporter.map',
          `a table of its own for ${size} bytes of pages, mapped for the device`,
          table,
        );
      }
      table.inUse = true;
      this.table = table;
      return table;
    });
  }

  private mapping<T>(work: () => T): T {
    return this.host.core.calls.run(() => this.work(() => this.device.held(work)));
  }

  /** dma_buf_unmap_attachment. EINVAL when it is not mapped, EBUSY from within its exporter. */
  unmap(): void {
    this.enterIdle('dma_buf_unmap_attachment');
    if (this.table === null) refuse(-EINVAL, 'dma_buf_unmap_attachment', 'the attachment is not mapped');
    const { table } = this;
    this.mapping(() => {
      this.table = null;
      table.inUse = false;
      checkSynchronous(
        'exporter.unmap',
        this.dmaBuf.exported(() => this.dmaBuf.exporter.unmap(this, table)),
      );
    });
  }

  /** dma_buf_detach. EBUSY while mapped, and from within its exporter. */
  detach(): void {
    this.enterIdle('dma_buf_detach');
    if (this.table !== null) refuse(-EBUSY, 'dma_buf_detach', 'the attachment is still mapped');
    this.dmaBuf.attachments.delete(this);
    this.end();
    this.dmaBuf.put();
  }
}
