import { FreeListIova } from './iova.js';
import { NaivePageTable } from './page-table.js';

/**
 * The DMA API in plain TypeScript over the naive allocator and page table, with what a minimal checker needs: every live
 * mapping in a Map, so that an unmap of what was never mapped, or of another size, is refused.
 */

const LIMIT = 2 ** 20 - 1;

export class NaiveDma {
  readonly #iova = new FreeListIova(LIMIT);
  readonly #table = new NaivePageTable();
  readonly #live: Map<number, number> | undefined;
  readonly #one = new Uint32Array(1);

  constructor(checked: boolean) {
    this.#live = checked ? new Map() : undefined;
  }

  /** @returns the DMA page number, or 0 */
  mapSg(pfns: Uint32Array): number {
    const iova = this.#iova.alloc(pfns.length);
    if (iova === 0) return 0;
    if (!this.#table.map(iova, pfns, pfns.length)) {
      this.#iova.free(iova, pfns.length);
      return 0;
    }
    this.#live?.set(iova, pfns.length);
    return iova;
  }

  mapPage(pfn: number): number {
    this.#one[0] = pfn;
    return this.mapSg(this.#one);
  }

  /** @returns whether there was such a mapping (always true without dma-debug) */
  unmap(iova: number, pages: number): boolean {
    if (this.#live && this.#live.get(iova) !== pages) return false;
    this.#live?.delete(iova);
    this.#table.unmap(iova, pages);
    this.#iova.free(iova, pages);
    return true;
  }

  lookup(iova: number): number {
    return this.#table.lookup(iova);
  }
}
