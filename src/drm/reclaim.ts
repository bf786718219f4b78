import { checkFunction, checkSynchronous } from '../core/arguments.js';
import type { Calls } from '../core/calls.js';
import { invalidReturn } from '../core/errors.js';
import { guard } from '../core/guard.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import { ListLink } from './list.js';

/**
 * Memory pressure of a machine, as drivers see it (mm/vmscan.c, mm/shrinker.c): each driver registers a
 * shrinker, and every shmem file with pages that no object holds may be swapped out, oldest first.
 */

/** What a driver can give back (struct shrinker). Counts are pages of 4 KiB. */
export interface Shrinker {
  /** Pages that a scan could release. */
  count(): number;
  /** Releases about `target` pages. Returns the number released. */
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
  static {
    guard(Reclaim, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** Files with resident pages that no object holds, oldest first. @internal */
  readonly idleFiles = new ListLink<Swappable>(null);
  private readonly shrinkers: Shrinker[] = [];
  /** Shrinkers that run a caller's code only through a driver's hooks. */
  private readonly own = new Set<Shrinker>();
  private readonly calls: Calls;

  /** @internal The machine makes it. */
  constructor(maker: typeof LIBRARY, calls: Calls) {
    checkMaker(maker, 'Reclaim');
    this.calls = calls;
  }

  /**
   * Adds a shrinker (register_shrinker).
   * @throws TypeError if the argument lacks the functions count and scan
   */
  register(shrinker: Shrinker, maker?: typeof LIBRARY): void {
    checkFunction('shrinker.count', shrinker?.count);
    checkFunction('shrinker.scan', shrinker?.scan);
    if (maker !== undefined) this.own.add(shrinker);
    this.shrinkers.push(shrinker);
  }

  /** Takes a shrinker away again. */
  unregister(shrinker: Shrinker): void {
    const at = this.shrinkers.indexOf(shrinker);
    if (at >= 0) this.shrinkers.splice(at, 1);
    this.own.delete(shrinker);
  }

  /** Pages that all shrinkers say they could release. */
  count(): number {
    return this.shrinkers.reduce(
      (sum, shrinker) =>
        sum +
        pages(
          'count',
          this.run(shrinker, () => shrinker.count()),
        ),
      0,
    );
  }

  /**
   * Asks one shrinker after the other until `target` pages are released (shrink_slab). Their frames come back with swapping.
   * @returns pages released
   */
  shrink(target: number): number {
    let released = 0;
    for (const shrinker of this.shrinkers.slice()) {
      if (released >= target) break;
      released += pages(
        'scan',
        this.run(shrinker, () => shrinker.scan(target - released)),
      );
    }
    return released;
  }

  private run(shrinker: Shrinker, work: () => number): number {
    return this.own.has(shrinker) ? work() : this.calls.hook(work);
  }

  /** Writes the oldest idle file to swap. Returns pages given back, 0 when no file is idle. */
  swapOut(): number {
    return this.idleFiles.first?.swapOut() ?? 0;
  }
}
