import { readFileSync } from 'node:fs';

/** Sections of a wasm file in build/, by id. */
export function sections(file: string): Set<number> {
  const bytes = readFileSync(new URL(`../../build/${file}`, import.meta.url));
  const found = new Set<number>();
  for (let at = 8; at < bytes.length; ) {
    found.add(bytes[at++]);
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      more = bytes[at] > 127;
      size |= (bytes[at++] & 127) << shift;
    }
    at += size;
  }
  return found;
}
