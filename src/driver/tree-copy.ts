import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { folderOf, type Tree } from './compiler.js';

/** Folders that were read already: a build reads the same headers for each of its files. */
const known = new Map<string, Tree>();

/**
 * Copies a file, or a folder with everything that a compiler may include, into the tree that a compiler in WebAssembly
 * sees.
 */
export function collect(files: Tree, path: string): void {
  const parent = folderOf(files, dirname(path));
  const name = basename(path);
  if (!statSync(path).isDirectory()) {
    parent[name] = readFileSync(path);
    return;
  }
  let folder = known.get(path);
  if (!folder) {
    folder = read(path);
    known.set(path, folder);
  }
  parent[name] = { ...(parent[name] as Tree | undefined), ...folder };
}

function read(path: string): Tree {
  const folder: Tree = {};
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) folder[entry.name] = read(`${path}/${entry.name}`);
    else if (/\.(c|h|def)$/.test(entry.name)) folder[entry.name] = readFileSync(`${path}/${entry.name}`);
  }
  return folder;
}

/** Drops what was read: headers may have changed before the next build. */
export function forget(): void {
  known.clear();
}
