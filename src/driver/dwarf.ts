import { latin1, Reader, sectionsOf } from './module.js';

/**
 * Where in the C source an instruction comes from: the line table and the inlined calls of DWARF 4, which clang puts into
 * custom sections. Read when the first finding needs it.
 */

/** A place in the C source. */
export interface SourcePlace {
  /** Name of the function. */
  func: string;
  /** Path of the file as the compiler was given it. */
  file: string;
  /** Line, counted from 1; 0 where the debug information has none. */
  line: number;
}

interface Inlined {
  name: string;
  low: number;
  high: number;
  ranges: [number, number][];
  callFile: string;
  callLine: number;
  children: Inlined[];
}

interface Unit {
  functions: Inlined[];
}

interface Rows {
  addresses: number[];
  files: string[];
  lines: number[];
}

const TAG_INLINED = 0x1d;
const TAG_SUBPROGRAM = 0x2e;
const TAG_BLOCK = 0x0b;
const AT = {
  name: 0x03,
  stmtList: 0x10,
  lowPc: 0x11,
  highPc: 0x12,
  compDir: 0x1b,
  origin: 0x31,
  specification: 0x47,
  ranges: 0x55,
  callFile: 0x58,
  callLine: 0x59,
};

interface Abbreviation {
  tag: number;
  children: boolean;
  attributes: [number, number][];
}

export class DebugInfo {
  readonly #custom: Map<string, Uint8Array>;
  readonly #code: number;
  #rows: Rows | undefined;
  #units: Unit[] | undefined;
  readonly #fileTables = new Map<number, string[]>();

  constructor(bytes: Uint8Array) {
    const { custom, code } = sectionsOf(bytes);
    this.#custom = custom;
    this.#code = code;
  }

  /**
   * The places of an instruction, innermost first: its line, then the calls that were inlined around it.
   * @param offset of the instruction in the module's file, as V8 tells it in stack traces
   */
  places(offset: number, wasmName: string): SourcePlace[] {
    const address = offset - this.#code;
    const rows = (this.#rows ??= this.#readLines());
    const row = before(rows.addresses, address);
    // Line 0: clang has made one instruction of several lines'.
    if (row < 0 || rows.lines[row] === 0) return [{ func: wasmName, file: rows.files[row] ?? '', line: 0 }];
    const chain: Inlined[] = [];
    this.#units ??= this.#readUnits();
    for (const { functions } of this.#units) {
      let level = functions;
      for (;;) {
        const found = level.find((item) => covers(item, address));
        if (!found) break;
        chain.push(found);
        level = found.children;
      }
      if (chain.length > 0) break;
    }
    const places: SourcePlace[] = [];
    let file = rows.files[row];
    let line = rows.lines[row];
    for (const item of chain.reverse()) {
      places.push({ func: item.name || wasmName, file, line });
      file = item.callFile;
      line = item.callLine;
    }
    return places.length > 0 ? places : [{ func: wasmName, file, line }];
  }

  #section(name: string): Uint8Array {
    return this.#custom.get(name) ?? new Uint8Array(0);
  }

  #readLines(): Rows {
    const section = this.#section('.debug_line');
    const sequences: { address: number; file: string; line: number }[][] = [];
    for (let at = 0; at + 4 < section.length; ) {
      const reader = new Reader(section, at);
      const end = at + 4 + reader.u32();
      this.#fileTables.set(at, this.#readProgram(reader, end, sequences));
      at = end;
    }
    sequences.sort((a, b) => a[0].address - b[0].address);
    const rows: Rows = { addresses: [], files: [], lines: [] };
    for (const { address, file, line } of sequences.flat()) {
      rows.addresses.push(address);
      rows.files.push(file);
      rows.lines.push(line);
    }
    return rows;
  }

  #readProgram(reader: Reader, end: number, sequences: { address: number; file: string; line: number }[][]): string[] {
    reader.u16();
    const programAt = reader.u32() + reader.at;
    const minimum = reader.u8();
    reader.u8();
    reader.u8();
    const lineBase = (reader.u8() << 24) >> 24;
    const lineRange = reader.u8();
    const opcodeBase = reader.u8();
    const lengths = [0];
    for (let i = 1; i < opcodeBase; ++i) lengths.push(reader.u8());
    const directories = [''];
    for (let name = reader.cstring(); name !== ''; name = reader.cstring()) directories.push(name);
    const files = [''];
    for (let name = reader.cstring(); name !== ''; name = reader.cstring()) {
      const directory = directories[reader.uleb()];
      reader.uleb();
      reader.uleb();
      files.push(directory === '' || name.startsWith('/') ? name : `${directory}/${name}`);
    }
    reader.at = programAt;
    let address = 0;
    let file = 1;
    let line = 1;
    let rows: { address: number; file: string; line: number }[] = [];
    const emit = (): void => {
      rows.push({ address, file: files[file] ?? '', line });
    };
    while (reader.at < end) {
      const opcode = reader.u8();
      if (opcode >= opcodeBase) {
        const adjusted = opcode - opcodeBase;
        address += Math.floor(adjusted / lineRange) * minimum;
        line += lineBase + (adjusted % lineRange);
        emit();
      } else if (opcode === 0) {
        const length = reader.uleb();
        const next = reader.at + length;
        const extended = reader.u8();
        if (extended === 1) {
          // The end of a sequence: what lies behind it has no line.
          rows.push({ address, file: '', line: 0 });
          // Functions that the linker dropped have address 0 or all ones.
          if (rows[0].address !== 0 && rows[0].address < 0xfffffff0) sequences.push(rows);
          rows = [];
          address = 0;
          file = 1;
          line = 1;
        } else if (extended === 2) address = reader.u32();
        reader.at = next;
      } else if (opcode === 1) emit();
      else if (opcode === 2) address += reader.uleb() * minimum;
      else if (opcode === 3) line += reader.sleb();
      else if (opcode === 4) file = reader.uleb();
      else if (opcode === 8) address += Math.floor((255 - opcodeBase) / lineRange) * minimum;
      else if (opcode === 9) address += reader.u16();
      else for (let i = 0; i < lengths[opcode]; ++i) reader.uleb();
    }
    return files;
  }

  #readUnits(): Unit[] {
    const info = this.#section('.debug_info');
    const units: Unit[] = [];
    for (let at = 0; at + 4 < info.length; ) {
      const reader = new Reader(info, at);
      const end = at + 4 + reader.u32();
      if (reader.u16() === 4) units.push(this.#readUnit(at, reader, end));
      at = end;
    }
    return units;
  }

  #abbreviations(at: number): Map<number, Abbreviation> {
    const reader = new Reader(this.#section('.debug_abbrev'), at);
    const table = new Map<number, Abbreviation>();
    for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
      const abbreviation: Abbreviation = { tag: reader.uleb(), children: reader.u8() !== 0, attributes: [] };
      for (;;) {
        const attribute = reader.uleb();
        const form = reader.uleb();
        if (attribute === 0 && form === 0) break;
        abbreviation.attributes.push([attribute, form]);
      }
      table.set(code, abbreviation);
    }
    return table;
  }

  #readUnit(start: number, reader: Reader, end: number): Unit {
    const table = this.#abbreviations(reader.u32());
    reader.u8();
    const strings = this.#section('.debug_str');
    let files: string[] = [];
    let base = 0;
    const names = new Map<number, string>();
    const waiting: [Inlined, number][] = [];
    const functions: Inlined[] = [];
    // One list of children per level of the tree. An entry that is neither a function nor an inlined call hands on its parent's.
    const levels: Inlined[][] = [functions];
    while (reader.at < end) {
      const at = reader.at - start;
      const code = reader.uleb();
      if (code === 0) {
        levels.pop();
        if (levels.length === 0) break;
        continue;
      }
      const abbreviation = table.get(code);
      if (!abbreviation) break;
      const values = new Map<number, number | string>();
      let highIsOffset = false;
      for (const [attribute, form] of abbreviation.attributes) {
        const value = readForm(reader, form, strings);
        if (attribute === AT.highPc && form !== 0x01) highIsOffset = true;
        values.set(attribute, value);
      }
      const { tag } = abbreviation;
      const number = (attribute: number): number => (values.get(attribute) as number | undefined) ?? 0;
      let below = levels[levels.length - 1];
      if (tag === 0x11) {
        files = this.#fileTables.get(number(AT.stmtList)) ?? [];
        base = number(AT.lowPc);
      } else if (tag === TAG_SUBPROGRAM || tag === TAG_INLINED || tag === TAG_BLOCK) {
        const name = values.get(AT.name);
        if (typeof name === 'string') names.set(at, name);
        const low = number(AT.lowPc);
        const ranges = values.has(AT.ranges) ? this.#ranges(number(AT.ranges), base) : [];
        const located = (values.has(AT.lowPc) && low !== 0 && low < 0xfffffff0) || ranges.length > 0;
        if (located && tag !== TAG_BLOCK) {
          const item: Inlined = {
            name: typeof name === 'string' ? name : '',
            low,
            high: highIsOffset ? low + number(AT.highPc) : number(AT.highPc),
            ranges,
            callFile: files[number(AT.callFile)] ?? '',
            callLine: number(AT.callLine),
            children: [],
          };
          const origin = number(AT.origin) || number(AT.specification);
          if (origin !== 0) waiting.push([item, origin]);
          below.push(item);
          below = item.children;
        }
      }
      if (abbreviation.children) levels.push(below);
    }
    for (const [item, origin] of waiting) item.name ||= names.get(origin) ?? '';
    return { functions };
  }

  #ranges(at: number, base: number): [number, number][] {
    const reader = new Reader(this.#section('.debug_ranges'), at);
    const ranges: [number, number][] = [];
    let from = base;
    while (reader.at + 8 <= reader.end) {
      const low = reader.u32();
      const high = reader.u32();
      if (low === 0 && high === 0) break;
      if (low === 0xffffffff) from = high;
      else ranges.push([from + low, from + high]);
    }
    return ranges;
  }
}

function covers({ low, high, ranges }: Inlined, address: number): boolean {
  if (ranges.length > 0) return ranges.some(([from, to]) => address >= from && address < to);
  return address >= low && address < high;
}

/** Index of the last number that is not above a value. */
function before(numbers: readonly number[], value: number): number {
  let lo = 0;
  let hi = numbers.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (numbers[middle] <= value) lo = middle + 1;
    else hi = middle;
  }
  return lo - 1;
}

function readForm(reader: Reader, form: number, strings: Uint8Array): number | string {
  switch (form) {
    case 0x01: // addr
    case 0x06: // data4
    case 0x10: // ref_addr
    case 0x13: // ref4
    case 0x17: // sec_offset
      return reader.u32();
    case 0x03: // block2
      return skip(reader, reader.u16());
    case 0x04: // block4
      return skip(reader, reader.u32());
    case 0x05: // data2
    case 0x12: // ref2
      return reader.u16();
    case 0x07: // data8
    case 0x14: // ref8
      return reader.u64();
    case 0x08: // string
      return reader.cstring();
    case 0x09: // block
    case 0x18: // exprloc
      return skip(reader, reader.uleb());
    case 0x0a: // block1
      return skip(reader, reader.u8());
    case 0x0b: // data1
    case 0x0c: // flag
    case 0x11: // ref1
      return reader.u8();
    case 0x0d: // sdata
      return reader.sleb();
    case 0x0e: {
      // strp
      const at = reader.u32();
      let end = at;
      while (strings[end] !== 0) ++end;
      return latin1(strings, at, end);
    }
    case 0x0f: // udata
    case 0x15: // ref_udata
      return reader.uleb();
    case 0x19: // flag_present
      return 1;
    case 0x20: // ref_sig8
      return reader.u64();
    default:
      throw new Error(`DWARF form 0x${form.toString(16)} is not known`);
  }
}

function skip(reader: Reader, bytes: number): number {
  reader.at += bytes;
  return 0;
}
