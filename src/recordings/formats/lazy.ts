import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { type DmaHost, ScatterTable } from '../../dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../dma/transfer.js';
import { FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay/replay.js';
import { type Shape, shape } from '../replay/shape.js';
import { dmaMachine, iovaTree, RESERVED } from './dma-machine.js';

/**
 * `linux-lazy`: rounds of map and unmap with sleeps between, on a domain that defers flushes or one that does not. Addresses,
 * what the tables translate after an unmap, and the size of the IOVA tree are compared. The recorded times drive the
 * virtual clock.
 */
export const lazy: RecordingFormat = {
  kinds: ['lazy'],
  header: ['strict'],
  replay: (recording) => replayLines(recording, new LazyReplay(recording)),
};

type Json = Record<string, unknown>;

/** By the name of the operation. */
const SHAPES: readonly (readonly [RegExp, Shape])[] = [
  [/^begin$/, shape('op:text test:text dev:text domain_type:int type_dma:int type_dma_fq:int')],
  [/^map\d+$/, shape('op:text round:int addr:list tree_ranges:int')],
  [/^unmap\d+$/, shape('op:text round:int tree_ranges:int phys_after:list us:int')],
  [/^slept$/, shape('op:text ms:int tree_ranges:int')],
  [/^map_unmap_loop$/, shape('op:text n:int us:int tree_ranges:int addr:list')],
  [/^map_unmap_\d+p$/, shape('op:text addr:hex tree_ranges:int')],
];
const INPUTS = new Set(['op', 'test', 'dev', 'us', 'ms', 'n']);
/** IOMMU_DOMAIN_DMA, IOMMU_DOMAIN_DMA_FQ. */
const TYPES = { type_dma: 3, type_dma_fq: 11 };

class LazyReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #host: DmaHost;
  readonly #domain: DmaDomain;
  readonly #device: DmaDevice;
  readonly #pages: Uint32Array;
  #mapped: number[] = [];
  #round = -1;

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    this.#host = dmaMachine(false);
    const { strict } = recording.header;
    if (typeof strict !== 'boolean') this.#read.fail(1, `strict is not true or false: ${strict}`);
    const mode = strict ? 'strict' : 'lazy';
    this.#domain = new DmaDomain(this.#host, { mode, reserved: RESERVED });
    this.#device = new DmaDevice(this.#host, { domain: this.#domain });
    this.#pages = ScatterTable.allocate(this.#host, 256).pfns();
  }

  counts({ op }: Json): boolean {
    return op !== 'begin';
  }

  shape({ op }: Json): Shape | undefined {
    return SHAPES.find(([name]) => name.test(String(op)))?.[1];
  }

  step(line: number, record: Json): Difference | null {
    if (record.op === 'begin') {
      const wrong = differing(
        record,
        { ...TYPES, domain_type: this.#domain.lazy ? TYPES.type_dma_fq : TYPES.type_dma },
        INPUTS,
      );
      return wrong && { operation: 'begin', ...wrong };
    }
    const got = this.#operate(line, record);
    const us = (record.us as number | undefined) ?? 0;
    const ms = (record.ms as number | undefined) ?? 0;
    this.#host.core.exports.clockAdvance(this.#host.context, us * 1e3 + ms * 1e6);
    const wrong = differing(record, { ...got, tree_ranges: iovaTree(this.#domain).length }, INPUTS);
    return wrong && { operation: String(record.op), ...wrong };
  }

  #operate(line: number, record: Json): Json {
    const op = String(record.op);
    if (op === 'slept') return {};
    const map = /^map(\d+)$/.exec(op);
    if (map) {
      this.#mapped = Array.from({ length: Number(map[1]) }, (_, i) => this.#map(i));
      return { round: ++this.#round, addr: this.#mapped.map((address) => address.toString(16)) };
    }
    const unmap = /^unmap(\d+)$/.exec(op);
    if (unmap) {
      if (Number(unmap[1]) !== this.#mapped.length) this.#read.fail(line, `${op} after ${this.#mapped.length} maps`);
      const { domainIovaToPhys } = this.#host.core.exports;
      for (const address of this.#mapped) this.#device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
      const after = this.#mapped.map((address) => domainIovaToPhys(this.#domain.handle, address).toString(16));
      return { round: this.#round, phys_after: after };
    }
    if (op === 'map_unmap_loop') {
      const n = this.#read.decimal(line, 'n', record.n);
      const addresses = Array.from({ length: n }, () => {
        const address = this.#map(0);
        this.#device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
        return address.toString(16);
      });
      return { addr: addresses };
    }
    const pages = /^map_unmap_(\d+)p$/.exec(op);
    if (!pages) this.#read.fail(line, `unknown operation ${op}`);
    const length = Number(pages[1]) * PAGE;
    const address = this.#device.mapPage(this.#pages[0], 0, length, DMA_BIDIRECTIONAL);
    this.#device.unmapPage(address, length, DMA_BIDIRECTIONAL);
    return { addr: address.toString(16) };
  }

  #map(page: number): number {
    return this.#device.mapPage(this.#pages[page], 0, PAGE, DMA_BIDIRECTIONAL);
  }
}
