import { DIRECTIONS, MAPPING_TYPES } from '../../core/dma-debug-records.js';
import { readKernelLog } from '../../core/kernel-log.js';
import { viewOf } from '../../dma-debug/checks.js';
import { dumpLines } from '../../dma-debug/dump.js';
import { BUS, type KernelMessage, type MessageContext, messageOf } from '../../dmesg/message.js';
import { IOMMU_FORMATS } from '../../iommu-formats/index.js';
import { kernelOfRecording } from '../replay/kernel.js';
import { FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, replayLines } from '../replay/replay.js';
import { shape } from '../replay/shape.js';
import { CaseReplay } from './dma-debug.js';
import { checkCase } from './dma-debug-shapes.js';

/**
 * Recordings of what the kernel prints: the cases of dma-debug.ts with the text of each WARN, the place where it was said,
 * and lines of debugfs `dma-api/dump` before and after. All of it must come out byte for byte.
 *
 * Inputs that are not in the calls are read off the texts: a direction, a CPU address, segment parameters, an unbind; and
 * off the dumps: mappings of other devices, and the physical address of kernel text. Behind an IOMMU pages go through
 * its tables, since the DMA API has a WARN of its own there.
 */

type Json = Record<string, unknown>;

const CASE = shape(
  'case:text calls:list before:record after:record text:list where:list dump_before:list dump_after:list',
);

/** dma_debug_entries= of the recording kernel. */
const ENTRIES = 65536;

export const dmaDebugText: RecordingFormat = {
  kinds: ['dma-debug-text'],
  header: ['backend', 'all_errors'],
  replay(recording) {
    return replayLines(recording, {
      shape: () => CASE,
      counts: () => true,
      step: (line, record) => {
        checkCase(recording, line, record);
        return new TextCase(recording, line).run();
      },
    });
  },
};

/** A mapping, from a line of the dump. */
interface Dumped {
  driver: string;
  device: string;
  type: number;
  phys: number;
  address: number;
  size: number;
  direction: number;
}

const DUMP =
  /^(\S+) (\S+) (\S+) idx \d+ P=0x([0-9a-f]+) D=([0-9a-f]+) L=([0-9a-f]+) cln=0x[0-9a-f]+ DMA_(\w+) dma map error /;

class TextCase {
  readonly #recording: Recording;
  readonly #reader: FieldReader;
  readonly #line: number;
  readonly #step: Json;
  readonly #texts: readonly string[][];
  readonly #before: readonly Dumped[];
  readonly #after: readonly Dumped[];
  /** Drivers by device. */
  readonly #drivers: ReadonlyMap<string, string>;

  constructor(recording: Recording, line: number) {
    this.#recording = recording;
    this.#reader = new FieldReader(recording);
    this.#line = line;
    this.#step = this.#reader.json(line);
    this.#texts = this.#list('text').map((text) => {
      if (Array.isArray(text) && text.every((item) => typeof item === 'string')) return text as string[];
      return this.#reader.fail(line, 'text is not lists of lines');
    });
    this.#before = this.#list('dump_before').map((text) => this.#dumped(text));
    this.#after = this.#list('dump_after').map((text) => this.#dumped(text));
    const said = this.#texts.flat().map((text) => /^(?:DMA-API: )?(\S+) ([\da-f:.]+): /.exec(text));
    this.#drivers = new Map([
      ...said.flatMap((found) => (found && found[1] !== BUS ? [[found[2], found[1]] as const] : [])),
      ...[...this.#before, ...this.#after].map(({ device, driver }) => [device, driver] as const),
    ]);
  }

  run(): Difference | null {
    const { dmaDebug, messages } = kernelOfRecording(this.#recording, 'messages');
    const before = this.#case();
    for (const { device, type, phys, address, size, direction } of this.#before) {
      before.foreign(device, type, phys, address, size, direction);
    }
    const replay = this.#case();
    replay.perform();
    const meaning: MessageContext = {
      ...{ words: messages, types: dmaDebug.types, entries: ENTRIES },
      format: () => IOMMU_FORMATS[0],
      device: (id) => this.#names(replay, id),
    };
    const said = readKernelLog(replay.host.core, replay.host.context, viewOf)
      .map((record) => messageOf(record, meaning))
      .filter((message): message is KernelMessage => message?.kernel === true && message.printed);
    const dump = (of: CaseReplay): string[] =>
      dumpLines(of.records?.entries() ?? [], dmaDebug, (id) => this.#names(of, id));
    const texts = said.map(({ text }) => text);
    const places = said.map(({ where }) => where);
    return (
      this.#differ('text', this.#texts, texts) ??
      this.#differ('where', this.#list('where'), places) ??
      this.#differ('dump_before', this.#list('dump_before'), dump(before)) ??
      this.#differ('dump_after', this.#list('dump_after'), dump(replay)) ??
      replay.compareCounters()
    );
  }

  #case(): CaseReplay {
    const calls = this.#list('calls').map((call) => this.#placed(call as Json));
    const replay = new CaseReplay(this.#recording, this.#line, new Set(), {
      ...this.#step,
      calls,
      verdicts: this.#texts.flatMap((lines) => inputsOf(lines)),
    });
    if (this.#recording.header.backend === 'iommu') replay.translate();
    return replay;
  }

  /** A call with the physical address and length of what it mapped, where only the dump has them. */
  #placed(call: Json): Json {
    if (call.call !== 'dma_map_single' || call.phys !== undefined) return call;
    const found = this.#after.find(({ address }) => address.toString(16) === call.ret);
    return found ? { ...call, phys: found.phys.toString(16), len: found.size } : call;
  }

  #names(replay: CaseReplay, id: number): { driver: string; name: string } {
    const name = replay.deviceNames.get(id) ?? '';
    return { name, driver: this.#drivers.get(name) ?? BUS };
  }

  #list(name: string): unknown[] {
    const value = this.#step[name];
    return Array.isArray(value) ? value : this.#reader.fail(this.#line, `${name} is not an array`);
  }

  #dumped(text: unknown): Dumped {
    const found = typeof text === 'string' ? DUMP.exec(text) : null;
    if (found === null) return this.#reader.fail(this.#line, `not a line of the dump: ${text}`);
    const [, driver, device, type, phys, address, size, direction] = found;
    return {
      ...{ driver, device },
      type: this.#number(MAPPING_TYPES, type),
      phys: Number.parseInt(phys, 16),
      address: Number.parseInt(address, 16),
      size: Number.parseInt(size, 16),
      direction: this.#number(DIRECTIONS, direction),
    };
  }

  #number(names: Readonly<Record<number, string>>, name: string): number {
    const found = Object.entries(names).find(([, text]) => text === name);
    return found ? Number(found[0]) : this.#reader.fail(this.#line, `${name} is not known`);
  }

  #differ(what: string, expected: unknown, got: unknown): Difference | null {
    const [one, other] = [JSON.stringify(expected), JSON.stringify(got)];
    return one === other ? null : { operation: `${this.#step.case}: ${what}`, expected: one, got: other };
  }
}

/** The inputs that the text of a WARN has, in the form of a verdict of dma-debug.ts. */
function inputsOf(lines: readonly string[]): Json[] {
  const text = lines.join('\n');
  const field = (name: string): string | undefined => new RegExp(`\\[${name}[ =]([^\\]]+)\\]`).exec(text)?.[1];
  const device = /^(?:DMA-API: )?\S+ ([\da-f:.]+): /.exec(text)?.[1];
  if (/different direction/.test(text) && /frees/.test(text)) {
    return [{ id: 'UNMAP_DIR', device, mapped_dir: field('mapped with')?.replace('DMA_', '') }];
  }
  if (/different CPU address/.test(text)) {
    return [{ id: 'UNMAP_CPUADDR', device, cpu_free_address: field('cpu free address') }];
  }
  if (/segment longer/.test(text)) return [{ id: 'SEG_LEN', device, max: field('max') }];
  if (/across boundary/.test(text)) return [{ id: 'SEG_BOUNDARY', device, boundary: field('boundary') }];
  if (/while released/.test(text)) return [{ id: 'LEAK_ON_UNBIND', device }];
  return [];
}
