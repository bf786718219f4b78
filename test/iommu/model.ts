import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';

/**
 * A small model of a VT-d domain: tables as objects, every call walked from the root, one entry at a time, nothing
 * remembered between calls. Mapped memory is a map of words, so that it can stand in for a table as it does in Linux.
 */

const SIZES = [0, PAGE, PAGE * 512, PAGE * 512 ** 2, PAGE * 512 ** 3, PAGE * 512 ** 4, PAGE * 512 ** 5];

/** A word of a table or of memory: a leaf or any other raw value, or a pointer to a table. */
type Word = number | Table;

interface Slots {
  get(index: number): Word | undefined;
  set(index: number, word: Word): void;
  delete(index: number): void;
}

class Table {
  readonly words = new Map<number, Word>();
  get(index: number): Word | undefined {
    return this.words.get(index);
  }
  set(index: number, word: Word): void {
    this.words.set(index, word);
  }
  delete(index: number): void {
    this.words.delete(index);
  }
}

const addressOf = (raw: number): number => Math.floor(raw / PAGE) * PAGE;
const indexOf = (iova: number, level: number): number => Math.floor(iova / SIZES[level]) % 512;

export interface ModelEntry {
  level: number;
  iova: number;
  raw: number;
  run: number;
}

export class DomainModel {
  tablePages = 1;
  alreadySet = 0;
  readonly memory = new Map<number, Word>();
  readonly #root = new Table();

  /** @param ramEnd memory at and above this address does not exist: it reads as zero and forgets what is written */
  constructor(
    readonly levels: number,
    readonly leafLevel: number,
    readonly ramEnd: number,
  ) {}

  get #limit(): number {
    return SIZES[this.levels + 1];
  }

  #memory(base: number): Slots {
    const { memory, ramEnd } = this;
    return {
      get: (index) => memory.get(base + index * 8),
      set: (index, word) => void (base < ramEnd && memory.set(base + index * 8, word)),
      delete: (index) => void memory.delete(base + index * 8),
    };
  }

  /** The table of a level on the way to an IOVA, made where missing; null where it cannot be hung in. */
  #descend(iova: number, target: number): { slots: Slots; stray: boolean } | null {
    let slots: Slots = this.#root;
    let stray = false;
    for (let level = this.levels; level > target; --level) {
      const index = indexOf(iova, level);
      let word = slots.get(index);
      if (word === undefined) {
        word = new Table();
        slots.set(index, word);
        if (slots.get(index) !== word) return null;
        ++this.tablePages;
      }
      if (word instanceof Table) slots = word;
      else {
        stray = true;
        slots = this.#memory(addressOf(word));
      }
    }
    return { slots, stray };
  }

  #free(table: Table): void {
    --this.tablePages;
    for (const word of table.words.values()) if (word instanceof Table) this.#free(word);
  }

  map(iova: number, phys: number, size: number, prot: number): number {
    if (iova + size > this.#limit) return -14;
    if ((prot & 3) === 0 && size > 0) return -22;
    for (let done = 0; done < size; ) {
      const at = iova + done;
      const frame = phys + done;
      let level = 1;
      const fits = (bytes: number): boolean => at % bytes === 0 && frame % bytes === 0 && size - done >= bytes;
      while (level < this.leafLevel && fits(SIZES[level + 1])) ++level;
      const count = Math.min(Math.floor((size - done) / SIZES[level]), 512 - indexOf(at, level));
      this.#set(at, frame + ((prot & 3) | 1) + (level > 1 ? 0x80 : 0), level, count);
      done += count * SIZES[level];
    }
    return 0;
  }

  /** Leaves of one table in sequence. */
  #set(iova: number, raw: number, level: number, count: number): void {
    const found = this.#descend(iova, level);
    if (!found) return;
    let present = false;
    for (let i = 0; i < count; ++i) {
      const index = indexOf(iova, level) + i;
      const old = found.slots.get(index);
      if (old !== undefined && level > 1 && !found.stray) {
        if (old instanceof Table && level === 3) this.#leak(old);
        if (old instanceof Table) this.#free(old);
      } else if (old !== undefined) {
        ++this.alreadySet;
        present ||= old instanceof Table || old % 4 !== 0;
        continue;
      }
      found.slots.set(index, raw + i * SIZES[level]);
    }
    if (level > 1 && present) this.#removeLeafAround(iova);
  }

  /** Behind a 2 MiB leaf of a table that a 1 GiB leaf replaces, the kernel loses what the entries point to. */
  #leak(table: Table): void {
    let behind = false;
    for (let index = 0; index < 512; ++index) {
      const word = table.get(index);
      if (word === undefined && !behind) return;
      if (typeof word === 'number') behind = true;
      else if (behind) table.delete(index);
    }
  }

  #removeLeafAround(iova: number): void {
    let slots: Slots = this.#root;
    for (let level = this.levels; ; --level) {
      const word = slots.get(indexOf(iova, level));
      if (!(word instanceof Table)) {
        slots.delete(indexOf(iova, level));
        return;
      }
      slots = word;
    }
  }

  unmap(iova: number, size: number): number {
    let done = 0;
    while (done < size && iova + done < this.#limit) {
      const at = iova + done;
      const [stop] = this.#leaf(at);
      const bytes = Math.max(this.#piece(at, size - done), SIZES[stop]);
      if (at + bytes <= this.#limit) this.#clear(this.#root, this.levels, 0, at, at + bytes);
      done += bytes;
    }
    return done;
  }

  /** Pages of one size before the next larger one fits, as the IOMMU core hands them down. */
  #piece(iova: number, left: number): number {
    const sizes = SIZES.slice(1, this.leafLevel + 1).filter((bytes) => bytes <= left && iova % bytes === 0);
    const size = sizes.at(-1)!;
    let bytes = size;
    while (bytes + size <= left) {
      const at = iova + bytes;
      const larger = SIZES[SIZES.indexOf(size) + 1];
      if (SIZES.indexOf(size) < this.leafLevel && at % larger === 0 && left - bytes >= larger) break;
      bytes += size;
    }
    return bytes;
  }

  /** Level at which the walk ends, and what is there. */
  #leaf(iova: number): [level: number, word: Word | undefined] {
    let slots: Slots = this.#root;
    for (let level = this.levels; ; --level) {
      const word = slots.get(indexOf(iova, level));
      if (level === 1 || !(word instanceof Table)) return [level, word];
      slots = word;
    }
  }

  #clear(slots: Slots, level: number, base: number, from: number, to: number): void {
    const size = SIZES[level];
    for (let index = 0; index < 512; ++index) {
      const start = base + index * size;
      if (start >= to || start + size <= from) continue;
      const word = slots.get(index);
      if (word === undefined || (typeof word === 'number' && word % 4 === 0)) continue;
      if (start >= from && start + size <= to) {
        if (word instanceof Table && level > 1) this.#free(word);
        slots.delete(index);
      } else if (level > 1) {
        this.#clear(word instanceof Table ? word : this.#memory(addressOf(word)), level - 1, start, from, to);
      }
    }
  }

  iovaToPhys(iova: number): number {
    if (iova >= this.#limit) return 0;
    const [level, word] = this.#leaf(iova);
    return typeof word === 'number' ? addressOf(word) + (iova % SIZES[level]) : 0;
  }

  /** Every entry, depth first, leaves of one table in runs; pointers without their address. */
  dump(): ModelEntry[] {
    const entries: ModelEntry[] = [];
    const visit = (table: Table, level: number, base: number): void => {
      let last: ModelEntry | undefined;
      for (let index = 0; index < 512; ++index) {
        const word = table.get(index);
        const iova = base + index * SIZES[level];
        if (word instanceof Table) {
          entries.push({ level, iova, raw: 3, run: 0 });
          visit(word, level - 1, iova);
          last = undefined;
        } else if (word === undefined) last = undefined;
        else if (last && word === last.raw + last.run * SIZES[level]) ++last.run;
        else entries.push((last = { level, iova, raw: word, run: 1 }));
      }
    };
    visit(this.#root, this.levels, 0);
    return entries;
  }

  /** Words of memory that a mistake has written, tables left out. */
  get words(): [address: number, raw: number][] {
    return [...this.memory].filter((word): word is [number, number] => typeof word[1] === 'number');
  }
}
