import { GemDmaError } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { held } from '../core/handle.js';
import { pfnOf, readPfns } from '../core/sg-vectors.js';
import type { GemObject } from './object.js';

/**
 * The page-lookup cursor (obj.get_page, since 4.2): the place in the scatter list where the last lookup ended, since
 * lookups mostly go forward. It must be reset whenever the object gets a new list; the userptr worker of 4.2 before the
 * fix did not, and the next lookup read a list that was freed. The core finds any page in one step, so what is kept
 * here is which list the cursor points into, and for the defect a picture of that list after it was freed.
 */
export class PageCursor {
  private table: number;
  private last = 0;
  private freed: Uint32Array | undefined;

  constructor(table: number) {
    this.table = table;
  }

  /** Points the cursor to the head of a list. */
  reset(table: number): void {
    this.table = table;
    this.last = 0;
    this.freed = undefined;
  }

  /** The list is about to be freed, and the cursor is not reset (defect `userptrCursor`). */
  dangle(object: GemObject): void {
    this.freed = readPfns(object.device.core, held(object.pages), object.size / PAGE_SIZE);
    this.table = 0;
  }

  /** i915_gem_object_get_page: the pfn of page n of an object that has pages. */
  lookup(object: GemObject, n: number): number {
    if (this.table !== object.pages && !this.rewound(object, n)) return this.stale(object, n);
    this.last = n;
    return pfnOf(object.device.core, held(object.pages), n);
  }

  // Going backwards starts over from the head of the list that the object has now, which corrects a stale cursor.
  private rewound(object: GemObject, n: number): boolean {
    if (n >= this.last) return false;
    this.reset(object.pages);
    return true;
  }

  private stale(object: GemObject, n: number): number {
    if (this.freed === undefined) {
      throw new GemDmaError('EFAULT', 'gem_get_page', `page ${n} of ${object} looked up through a NULL cursor`, {
        reason: 'CURSOR_NULL',
      });
    }
    this.last = n;
    return this.freed[n];
  }
}
