import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** A hash of texts. */
export function digest(parts: readonly string[]): string {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('hex').slice(0, 32);
}

/** Hashes of files: a build reads the same headers for each of its files. */
export class Digests {
  readonly #known = new Map<string, string>();

  of(path: string): string {
    let sum = this.#known.get(path);
    if (sum === undefined) {
      sum = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 24);
      this.#known.set(path, sum);
    }
    return sum;
  }
}
