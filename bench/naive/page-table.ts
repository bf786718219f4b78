import { TABLE_ENTRIES } from '#contract';

/**
 * A plain TypeScript version of the core's VT-d tables: the leaf tables of 512 entries in a
 * Map, each entry as two 32-bit words of a typed array (a 64-bit entry as a BigInt is four times slower).
 */

const READ_WRITE = 3;

export class NaivePageTable {
  readonly #tables = new Map<number, Uint32Array>();

  /** Maps the frames to consecutive IOVA pages. @returns false, with nothing changed, when one is mapped already */
  map(iova: number, pfns: Uint32Array, count: number): boolean {
    for (let done = 0; done < count; ) {
      const index = (iova + done) % TABLE_ENTRIES;
      const table = this.#table((iova + done - index) / TABLE_ENTRIES);
      const end = Math.min(count, done + TABLE_ENTRIES - index);
      for (let i = index * 2; done < end; i += 2, ++done) {
        if (table[i] !== 0) {
          this.unmap(iova, done);
          return false;
        }
        const pfn = pfns[done];
        table[i] = (pfn << 12) | READ_WRITE;
        table[i + 1] = pfn >>> 20;
      }
    }
    return true;
  }

  unmap(iova: number, count: number): void {
    for (let done = 0; done < count; ) {
      const index = (iova + done) % TABLE_ENTRIES;
      const part = Math.min(count - done, TABLE_ENTRIES - index);
      this.#tables.get((iova + done - index) / TABLE_ENTRIES)?.fill(0, index * 2, (index + part) * 2);
      done += part;
    }
  }

  /** The frame behind an IOVA page, or -1. */
  lookup(iova: number): number {
    const index = iova % TABLE_ENTRIES;
    const table = this.#tables.get((iova - index) / TABLE_ENTRIES);
    if (table === undefined || table[index * 2] === 0) return -1;
    return (table[index * 2 + 1] * 2 ** 20 + (table[index * 2] >>> 12)) >>> 0;
  }

  #table(number: number): Uint32Array {
    let table = this.#tables.get(number);
    if (table === undefined) this.#tables.set(number, (table = new Uint32Array(TABLE_ENTRIES * 2)));
    return table;
  }
}
