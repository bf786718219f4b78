import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The root of a kernel tree, or null. */
export function treeOf(folder) {
  if (folder === undefined) return null;
  const root = resolve(folder);
  return existsSync(join(root, 'include/linux/kconfig.h')) ? root : null;
}

/** `Linux 6.12.3`, by the tree's Makefile where it has one. */
export function kernelVersion(kernel) {
  const makefile = join(kernel, 'Makefile');
  if (!existsSync(makefile)) return 'Linux';
  const text = readFileSync(makefile, 'utf8');
  const part = (name) => new RegExp(`^${name} = (\\d+)`, 'm').exec(text)?.[1] ?? '0';
  return `Linux ${part('VERSION')}.${part('PATCHLEVEL')}.${part('SUBLEVEL')}`;
}
