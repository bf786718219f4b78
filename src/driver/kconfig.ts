import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { digest } from './digest.js';

/**
 * The configuration under which a file of a kernel tree is compiled at all: the symbols that its folders' Makefiles name for
 * it, and what Kconfig says these select. A driver's own headers often have something else where its symbol is not set.
 */

/** Symbols that are decided for good (c/tree/generated/autoconf.h), and what would need another architecture. */
const NEVER =
  /^(SMP|64BIT|MMU|OF_DYNAMIC|X86.*|ARM.*|PPC.*|MIPS.*|S390.*|SPARC.*|COMPAT.*|DEBUG_.*|KASAN.*|LOCKDEP|PREEMPT.*|TRACE.*|JUMP_LABEL|MODVERSIONS|BPF.*|NUMA|SWIOTLB|SRCU.*|GENERIC_MSI_IRQ|PCI_MSI_ARCH_FALLBACKS)$/;

interface Selects {
  [symbol: string]: string[];
}

/** Symbols without CONFIG_: the file's own, and those that they select. */
export interface FileConfig {
  own: string[];
  selected: string[];
}

/**
 * @param kernel root of the tree
 * @param file of the tree, or of elsewhere: that has none
 * @param cache where what Kconfig says is kept
 */
export function configOf(kernel: string, file: string, cache: string): FileConfig {
  const path = relative(kernel, file);
  if (path.startsWith('..')) return { own: [], selected: [] };
  const own = new Set<string>();
  let name = `${path.split('/').at(-1)!.replace(/\.c$/, '')}.o`;
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    for (const symbol of symbolsFor(join(kernel, folder), name)) own.add(symbol);
    name = `${folder.split('/').at(-1)}/`;
  }
  const known = own.size === 0 ? {} : selects(kernel, cache);
  const selected = new Set<string>();
  const queue = [...own];
  for (let symbol = queue.pop(); symbol !== undefined; symbol = queue.pop()) {
    for (const other of known[symbol] ?? []) {
      if (selected.has(other) || own.has(other) || NEVER.test(other)) continue;
      selected.add(other);
      queue.push(other);
    }
  }
  return { own: [...own].filter((symbol) => !NEVER.test(symbol)).sort(), selected: [...selected].sort() };
}

/** Symbols that a folder's Makefile names for an object or a folder, by itself or by what it is part of. */
function symbolsFor(folder: string, name: string): string[] {
  const rules = ['Makefile', 'Kbuild'].flatMap((file) => rulesOf(join(folder, file)));
  const found = new Set<string>();
  const wanted = [name];
  const seen = new Set(wanted);
  for (let object = wanted.pop(); object !== undefined; object = wanted.pop()) {
    for (const { target, symbol, parts } of rules) {
      if (!parts.includes(object)) continue;
      if (symbol !== null) found.add(symbol);
      const whole = `${target}.o`;
      if (target === 'obj' || seen.has(whole)) continue;
      seen.add(whole);
      wanted.push(whole);
    }
  }
  return [...found];
}

function rulesOf(makefile: string): { target: string; symbol: string | null; parts: string[] }[] {
  if (!existsSync(makefile)) return [];
  const text = readFileSync(makefile, 'utf8').replaceAll('\\\n', ' ');
  return [...text.matchAll(/^\s*([\w-]+)-(y|m|objs|\$\(CONFIG_\w+\))\s*[:+]?=([^#\n]*)/gm)].map(
    ([, target, when, parts]) => ({
      target,
      symbol: /CONFIG_(\w+)/.exec(when)?.[1] ?? null,
      parts: parts.trim().split(/\s+/),
    }),
  );
}

const loaded = new Map<string, Selects>();

/** What each symbol of the tree's Kconfig files selects. Read once, and kept. */
function selects(kernel: string, cache: string): Selects {
  const before = loaded.get(kernel);
  if (before) return before;
  const path = join(cache, `kconfig-${digest([kernel]).slice(0, 16)}.json`);
  let known: Selects;
  if (existsSync(path)) known = JSON.parse(readFileSync(path, 'utf8')) as Selects;
  else {
    known = {};
    for (const folder of ['drivers', 'sound', 'net', 'lib', 'kernel', 'crypto', 'block', 'fs', 'mm', 'init'])
      read(join(kernel, folder), known);
    mkdirSync(cache, { recursive: true });
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(known));
    renameSync(`${path}.${process.pid}`, path);
  }
  loaded.set(kernel, known);
  return known;
}

function read(folder: string, known: Selects): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) read(path, known);
    else if (entry.name.startsWith('Kconfig')) parse(readFileSync(path, 'utf8'), known);
  }
}

function parse(text: string, known: Selects): void {
  let symbol = '';
  for (const line of text.split('\n')) {
    const config = /^\s*(?:menu)?config\s+(\w+)/.exec(line);
    if (config) symbol = config[1];
    const select = /^\s+select\s+(\w+)/.exec(line);
    if (select && symbol !== '') (known[symbol] ??= []).push(select[1]);
  }
}
