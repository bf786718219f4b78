import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { type DmaHost, ScatterTable } from '../../dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../dma/transfer.js';
import { FieldReader, type Recording, type RecordingFormat } from '../recording.js';
import { type Difference, type LineReplay, replayLines } from '../replay.js';
import { dmaMachine, firstDifference, iovaTree, RESERVED } from './dma-machine.js';

/**
 * `linux-lazy`: rounds of map and unmap with sleeps between, on a domain that defers flushes or one that does not. Addresses,
 * what the tables translate after an unmap, and the size of the IOVA tree are compared. The recorded times drive the
 * virtual clock.
 */
export const lazy: RecordingFormat = {
  kinds: ['lazy'],
  replay: (recording) => replayLines(recording, new LazyReplay(recording)),
};

type Json = Record<string, unknown>;

class LazyReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #host: DmaHost;
  readonly #domain: DmaDomain;
  readonly #device: DmaDevice;
  readonly #pages: Uint32Array;
  #mapped: number[] = [];

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    this.#host = dmaMachine(false);
    const mode = recording.header.strict === false ? 'lazy' : 'strict';
    this.#domain = new DmaDomain(this.#host, { mode, reserved: RESERVED });
    this.#device = new DmaDevice(this.#host, { domain: this.#domain });
    this.#pages = ScatterTable.allocate(this.#host, 256).pfns();
  }

  counts({ op }: Json): boolean {
    return op !== 'begin';
  }

  step(line: number, record: Json): Difference | null {
    if (record.op === 'begin') return null;
    const got = this.#operate(line, record);
    const us = (record.us as number | undefined) ?? 0;
    const ms = (record.ms as number | undefined) ?? 0;
    this.#host.core.exports.clockAdvance(this.#host.context, us * 1e3 + ms * 1e6);
    const wrong = firstDifference(record, { ...got, tree_ranges: iovaTree(this.#domain).length });
    return wrong && { operation: String(record.op), ...wrong };
  }

  #operate(line: number, record: Json): Json {
    const op = String(record.op);
    if (op === 'slept') return {};
    const map = /^map(\d+)$/.exec(op);
    if (map) {
      this.#mapped = Array.from({ length: Number(map[1]) }, (_, i) => this.#map(i));
      return { addr: this.#mapped.map((address) => address.toString(16)) };
    }
    if (/^unmap\d+$/.test(op)) {
      const { domainIovaToPhys } = this.#host.core.exports;
      for (const address of this.#mapped) this.#device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
      const after = this.#mapped.map((address) => domainIovaToPhys(this.#domain.handle, address).toString(16));
      return { phys_after: after };
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
