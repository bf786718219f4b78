import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GemDmaError } from '../core/errors.js';
import { digest } from './digest.js';

/**
 * Tree mode: the headers are those of the user's kernel. Ours are what an architecture and a configuration have to supply:
 * asm/, the autoconf, bounds (c/tree). Every other asm/ header is the tree's own of asm-generic.
 */

const FLAGS = [
  '-fshort-wchar',
  '-D__KERNEL__',
  '-DMODULE',
  '-DGD_TREE',
  // Exports are assembler's, which wasm has not.
  '-D__DISABLE_EXPORTS',
  '-DKBUILD_MODFILE="driver"',
];

/**
 * Flags that make a tree's headers those of a driver.
 * @param kernel root of the tree
 * @param ours folder of our own headers
 * @param cache where the forwarding headers are written
 * @throws GemDmaError ENOENT if the folder is not a kernel tree
 */
export function treeHeaders(kernel: string, ours: string, cache: string): string[] {
  const generic = ['include/asm-generic', 'include/uapi/asm-generic'].map((folder) => join(kernel, folder));
  if (!existsSync(join(kernel, 'include/linux/kconfig.h')) || !generic.every((folder) => existsSync(folder))) {
    throw new GemDmaError(
      'ENOENT',
      'open',
      `${kernel} is no kernel tree: it has no include/linux and include/asm-generic`,
    );
  }
  const own = new Set(readdirSync(join(ours, 'asm')));
  const names = new Set(
    generic.flatMap((folder) => readdirSync(folder)).filter((name) => name.endsWith('.h') && !own.has(name)),
  );
  const folder = join(cache, `tree-${digest([...names]).slice(0, 16)}`);
  if (!existsSync(join(folder, 'complete'))) {
    mkdirSync(join(folder, 'asm'), { recursive: true });
    for (const name of names) writeFileSync(join(folder, 'asm', name), `#include <asm-generic/${name}>\n`);
    writeFileSync(join(folder, 'complete'), '');
  }
  const include = join(kernel, 'include');
  return [
    ...[ours, folder, include, join(include, 'uapi')].map((path) => `-I${path}`),
    ...['kconfig.h', 'compiler_types.h'].flatMap((name) => ['-include', join(include, 'linux', name)]),
    ...FLAGS,
  ];
}
