import { ENOMEM, PAGE_SIZE } from '../../core/generated/constants.js';
import type { Sliced } from '../../core/slices.js';
import { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { type DmaHost, ScatterTable } from '../../dma/sg-table.js';
import { type Direction, DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import { FieldReader, type Outcome, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, replayLines } from '../replay/replay.js';
import { shape, shapes } from '../replay/shape.js';
import { dmaMachine, iommuEvents, iovaTree, RESERVED } from './dma-machine.js';

/**
 * The bug that gemdma grew out of, as Linux shows it. `linux-symptom`: one list mapped twice with no unmap between, then
 * unmapped once; every call with its trace events and the state of the IOVA tree, and what the tables still translate.
 * `linux-exhaust`: how many rounds of that a device with few address bits survives.
 */
export const symptom: RecordingFormat = {
  kinds: ['symptom', 'exhaust'],
  replay(recording: Recording): Sliced<Outcome, number> {
    return recording.kind === 'exhaust' ? replayExhaust(recording) : replaySymptom(recording);
  },
};

type Json = Record<string, unknown>;

const REMARK = shape('note:text');
const PHYS = shape('note:text first_iova_phys:hex second_iova_phys:hex');
const TREE = 'ev:list iova_ranges:int iova_pages:int';
const CALLS = shapes<string>({
  dma_map_sg: `call:text dev:text dir:text sg:list ret:int out:list ${TREE}`,
  dma_unmap_sg: `call:text dev:text dir:text nents:int ${TREE}`,
  dma_map_page: 'call:text dev:text dir:text pfn:hex off:int len:int attrs:int ret:hex? ev:list',
  dma_unmap_page: 'call:text dev:text dir:text addr:hex len:int ev:list',
  dma_mapping_error: 'call:text addr:hex ret:rc',
});
const ITERATION = shape('iter:int first:hex? second:hex?');
const SUM = shape(
  'exhaust:text mask_bits:int pages_per_list:int iterations_before_failure:int dma_map_sg_ret:int dma_map_sgtable_ret:rc',
  'ranges_before:int pages_before:int ranges_after:int pages_after:int',
);
const INPUTS = new Set(
  'note call dev dir sg nents pfn off len attrs addr iter exhaust mask_bits pages_per_list'.split(' '),
);
const EXHAUST = ['map, never unmap', 'map twice, unmap once'];

const DIRECTIONS: Readonly<Record<string, Direction>> = {
  BIDIRECTIONAL: DMA_BIDIRECTIONAL,
  TO_DEVICE: DMA_TO_DEVICE,
  FROM_DEVICE: DMA_FROM_DEVICE,
};

/** Ranges and pages of a domain's IOVA tree. */
function treeSize(domain: DmaDomain): { ranges: number; pages: number } {
  const tree = iovaTree(domain);
  return { ranges: tree.length, pages: tree.reduce((sum, [lo, hi]) => sum + hi - lo + 1, 0) };
}

interface Player {
  domain: DmaDomain;
  device: DmaDevice;
}

class SymptomReplay {
  readonly #read: FieldReader;
  readonly #host: DmaHost = dmaMachine(true);
  readonly #players = new Map<string, Player>();
  #table: ScatterTable | undefined;
  /** First addresses of the list's mappings, in order. */
  readonly #firsts: number[] = [];

  constructor(read: FieldReader) {
    this.#read = read;
  }

  #player(name: string): Player {
    let player = this.#players.get(name);
    if (!player) {
      const id = this.#players.size + 1;
      const domain = new DmaDomain(this.#host, { reserved: RESERVED });
      player = { domain, device: new DmaDevice(this.#host, { id, domain, maxSegment: 0xffffffff }) };
      this.#players.set(name, player);
    }
    return player;
  }

  /** What a line's call gives; null for a remark that nothing can be held against. */
  step(line: number, record: Json): Json | null {
    if (record.call !== undefined) return this.#call(line, record);
    if (record.first_iova_phys === undefined || this.#firsts.length < 2) return null;
    const { handle } = [...this.#players.values()][0].domain;
    const { domainIovaToPhys } = this.#host.core.exports;
    const [first, second] = this.#firsts.map((address) => domainIovaToPhys(handle, address).toString(16));
    return { first_iova_phys: first, second_iova_phys: second };
  }

  #call(line: number, record: Json): Json {
    // Only a query of an address has no device.
    const player = this.#player(String(record.dev ?? [...this.#players.keys()].at(-1)));
    const got = this.#operate(line, record, player);
    const { ranges, pages } = treeSize(player.domain);
    const ev = iommuEvents(this.#host);
    if (record.call === 'dma_mapping_error') return got;
    return /sg$/.test(String(record.call)) ? { ...got, ev, iova_ranges: ranges, iova_pages: pages } : { ...got, ev };
  }

  #operate(line: number, record: Json, { device }: Player): Json {
    const dir = DIRECTIONS[String(record.dir ?? 'BIDIRECTIONAL')];
    if (dir === undefined) this.#read.fail(line, `dir is not a direction: ${record.dir}`);
    switch (record.call) {
      case 'dma_map_sg': {
        const list = (record.sg as [string, number, number][]).map(([pfn, offset, length]) => ({
          pfn: this.#read.hex(line, 'sg', pfn),
          offset,
          length,
        }));
        if (JSON.stringify(this.#table?.entries()) !== JSON.stringify(list)) {
          this.#table = ScatterTable.fromEntries(this.#host, list);
        }
        const ret = device.mapSg(this.#table!, dir);
        const out = this.#table!.segments().map(({ address, length }) => [address.toString(16), length]);
        if (ret > 0) this.#firsts.push(this.#table!.segments()[0].address);
        return { ret, out: ret > 0 ? out : [] };
      }
      case 'dma_unmap_sg':
        if (!this.#table) this.#read.fail(line, 'dma_unmap_sg of no list');
        device.unmapSg(this.#table, dir, 0, this.#read.decimal(line, 'nents', record.nents));
        return {};
      case 'dma_map_page': {
        const pfn = this.#read.hex(line, 'pfn', record.pfn);
        const address = device.mapPage(pfn, record.off as number, record.len as number, dir, record.attrs as number);
        return { ret: address < 0 ? null : address.toString(16) };
      }
      case 'dma_unmap_page':
        device.unmapPage(this.#read.hex(line, 'addr', record.addr), record.len as number, dir);
        return {};
      case 'dma_mapping_error':
        return { ret: device.mappingError(this.#read.hex(line, 'addr', record.addr)) ? ENOMEM : 0 };
      default:
        this.#read.fail(line, `unknown call ${String(record.call)}`);
    }
  }
}

function replaySymptom(recording: Recording): Sliced<Outcome, number> {
  const replay = new SymptomReplay(new FieldReader(recording));
  return replayLines(recording, {
    // Other lines are remarks.
    shape: ({ call, first_iova_phys, second_iova_phys }) => {
      if (call !== undefined) return CALLS[String(call)];
      return first_iova_phys !== undefined || second_iova_phys !== undefined ? PHYS : REMARK;
    },
    counts: ({ call, first_iova_phys }) => call !== undefined || first_iova_phys !== undefined,
    step: (line, record) => differs(record, replay.step(line, record) ?? {}),
  });
}

function differs(record: Json, got: Json): Difference | null {
  const wrong = differing(record, got, INPUTS);
  return (
    wrong && { operation: String(record.call ?? record.exhaust ?? record.note ?? `iteration ${record.iter}`), ...wrong }
  );
}

/** Maps lists until a device has no address left, each round on a fresh domain; iterations come before their sum. */
function replayExhaust(recording: Recording): Sliced<Outcome, number> {
  const read = new FieldReader(recording);
  const numbers = read.lineNumbers();
  const runs = new Map<number, ReturnType<typeof exhaust>>();
  const step = (line: number, record: Json): Json => {
    // The first iterations come before the line that says what was done: that line is read ahead.
    const at = numbers.find((number) => number >= line && read.json(number).exhaust !== undefined);
    if (at === undefined) return read.fail(line, 'iterations without a sum');
    const sum = read.json(at);
    const bits = read.decimal(at, 'mask_bits', sum.mask_bits);
    const pages = read.decimal(at, 'pages_per_list', sum.pages_per_list);
    if (!EXHAUST.includes(String(sum.exhaust))) read.fail(at, `exhaust is not known: ${sum.exhaust}`);
    const run = runs.get(at) ?? exhaust(bits, pages, sum.exhaust === EXHAUST[1]);
    runs.set(at, run);
    if (record.exhaust !== undefined) return run.sum;
    const iteration = run.iterations[read.decimal(line, 'iter', record.iter)] ?? {};
    return { first: iteration.first?.toString(16) ?? null, second: iteration.second?.toString(16) ?? null };
  };
  return replayLines(recording, {
    shape: ({ exhaust }) => (exhaust === undefined ? ITERATION : SUM),
    counts: () => true,
    step: (line, record) => differs(record, step(line, record)),
  });
}

interface Iteration {
  first?: number;
  second?: number;
}

function exhaust(bits: number, pages: number, twice: boolean): { sum: Json; iterations: Iteration[] } {
  const host = dmaMachine(false, Math.max(PAGE_SIZE, pages * 3));
  const domain = new DmaDomain(host, { reserved: RESERVED });
  const device = new DmaDevice(host, { domain, maskBits: bits, maxSegment: 0xffffffff });
  const before = treeSize(domain);
  // Every other page, so that no two are neighbours: an entry for each.
  const block = ScatterTable.allocate(host, pages * 2).pfns();
  const table = ScatterTable.fromPages(
    host,
    block.filter((_, i) => i % 2 === 0),
  );
  const map = (): number | undefined =>
    device.mapSg(table, DMA_BIDIRECTIONAL) > 0 ? table.segments()[0].address : undefined;
  const iterations: Iteration[] = [];
  let rounds = 0;
  for (;;) {
    const first = map();
    if (first === undefined) break;
    const second = twice ? map() : undefined;
    if (twice && second === undefined) break;
    if (twice) device.unmapSg(table, DMA_BIDIRECTIONAL);
    iterations.push({ first, second });
    ++rounds;
  }
  const after = treeSize(domain);
  const again = host.core.exports.dmaMapSg(device.handle, table.handle, DMA_BIDIRECTIONAL, 0);
  return {
    sum: {
      iterations_before_failure: rounds,
      dma_map_sg_ret: Math.max(again, 0),
      dma_map_sgtable_ret: again,
      ranges_before: before.ranges,
      pages_before: before.pages,
      ranges_after: after.ranges,
      pages_after: after.pages,
    },
    iterations,
  };
}
