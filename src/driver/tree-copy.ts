import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { folderOf, type Tree } from './compiler.js';

/** Copies a file, or a folder with everything that a compiler may include, into the tree that a compiler in WebAssembly sees. */
export function collect(files: Tree, path: string): void {
  if (statSync(path).isDirectory()) {
    const folder = folderOf(files, path);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) collect(files, `${path}/${entry.name}`);
      else if (/\.(c|h|def)$/.test(entry.name)) folder[entry.name] = readFileSync(`${path}/${entry.name}`);
    }
    return;
  }
  folderOf(files, dirname(path))[basename(path)] = readFileSync(path);
}
