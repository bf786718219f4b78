import { checkFunction, checkSynchronous } from '../core/arguments.js';
import { invalidReturn } from '../core/errors.js';
import { ListLink } from './list.js';

/**
 * Memory pressure of a machine, as drivers see it (mm/vmscan.c, mm/shrinker.c): each driver registers a
 * shrinker, and every shmem file with pages that no object holds may be swapped out, oldest first.
 */

/** What a driver can give back (struct shrinker). Counts are pages of 4 KiB. */
export interface Shrinker {
  /** Pages that a scan could release. */
  count(): number;
  /** Releases about so many pages. Returns how many it released. */
  scan(target: number): number;
}

/** A file whose pages can be written to swap. */
export interface Swappable {
  /** Gives the frames back; the contents are kept. Returns pages given back. */
  swapOut(): number;
}

function pages(name: string, answer: unknown): number {
  if (typeof answer === 'number' && answer >= 0) return answer;
  checkSynchronous(`shrinker.${name}`, answer);
  throw invalidReturn(`shrinker.${name}`, 'a number of pages', answer);
}

/** Memory pressure: shrinkers of drivers, and pages that can be swapped (mm/vmscan.c, mm/shrinker.c). */
export class Reclaim {
  /** Files with resident pages that no object holds, oldest first. @internal */
  readonly idleFiles = new ListLink<Swappable>(null);
  private readonly shrinkers: Shrinker[] = [];

  /** Adds a shrinker (register_shrinker). */
  register(shrinker: Shrinker): void {
    checkFunction('shrinker.count', shrinker?.count);
    checkFunction('shrinker.scan', shrinker?.scan);
    this.shrinkers.push(shrinker);
  }

  /** Takes a shrinker away again. */
  unregister(shrinker: Shrinker): void {
    const at = this.shrinkers.indexOf(shrinker);
    if (at >= 0) this.shrinkers.splice(at, 1);
  }

  /** Pages that all shrinkers say they could release. */
  count(): number {
    return this.shrinkers.reduce((sum, shrinker) => sum + pages('count', shrinker.count()), 0);
  }

  /**
   * Asks one shrinker after the other until `target` pages are released (shrink_slab). Their frames come back with swapping.
   * @returns pages released
   */
  shrink(target: number): number {
    let released = 0;
    for (const shrinker of this.shrinkers.slice()) {
      if (released >= target) break;
      released += pages('scan', shrinker.scan(target - released));
    }
    return released;
  }

  /** Writes the oldest idle file to swap. Returns pages given back, 0 when no file is idle. */
  swapOut(): number {
    return this.idleFiles.first?.swapOut() ?? 0;
  }
}
