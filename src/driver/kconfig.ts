import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { digest } from './digest.js';

/**
 * The configuration of a file of a kernel tree: the symbols that its folders' Makefiles name for it, and those that Kconfig selects
 * with them. A driver's headers often differ if its symbol is not set.
 */

/** Symbols with a fixed value (c/tree/generated/autoconf.h), and those of other architectures. */
const NEVER =
  /^(SMP|64BIT|MMU|OF_DYNAMIC|X86.*|ARM.*|PPC.*|MIPS.*|S390.*|SPARC.*|COMPAT.*|DEBUG_.*|KASAN.*|LOCKDEP|PREEMPT.*|TRACE.*|JUMP_LABEL|MODVERSIONS|BPF.*|NUMA|SWIOTLB|SRCU.*|GENERIC_MSI_IRQ|PCI_MSI_ARCH_FALLBACKS)$/;

/** What Kconfig says of a symbol. */
interface Declared {
  selects: string[];
  /** The default of a number, and the folder that declares it. */
  number?: string;
  folder: string;
}

interface Selects {
  [symbol: string]: Declared;
}

/** Symbols without CONFIG_: the file's own, and those that they select; and the flags that its Makefiles give it. */
export interface FileConfig {
  own: string[];
  selected: string[];
  /** `-I` and `-D`. */
  flags: string[];
}

/**
 * @param kernel root of the tree
 * @param file of the tree, or of elsewhere: that has none
 * @param cache where what Kconfig says is kept
 */
export function configOf(kernel: string, file: string, cache: string): FileConfig {
  const path = relative(kernel, file);
  if (path.startsWith('..')) return { own: [], selected: [], flags: [] };
  const own = new Set<string>();
  let name = `${path.split('/').at(-1)!.replace(/\.c$/, '')}.o`;
  const flags: string[] = [];
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    flags.push(...flagsOf(kernel, folder, folder === dirname(path)));
    for (const symbol of symbolsFor(join(kernel, folder), name)) own.add(symbol);
    name = `${folder.split('/').at(-1)}/`;
  }
  const known = own.size === 0 ? {} : selects(kernel, cache);
  const selected = new Set<string>();
  const queue = [...own];
  for (let symbol = queue.pop(); symbol !== undefined; symbol = queue.pop()) {
    for (const other of known[symbol]?.selects ?? []) {
      if (selected.has(other) || own.has(other) || NEVER.test(other)) continue;
      selected.add(other);
      queue.push(other);
    }
  }
  // Numbers of the file's own folders have their defaults.
  for (const [symbol, { number, folder }] of Object.entries(known)) {
    if (number !== undefined && folder.includes('/') && path.startsWith(`${folder}/`)) {
      flags.push(`-DCONFIG_${symbol}=${number}`);
    }
  }
  return { own: [...own].filter((symbol) => !NEVER.test(symbol)).sort(), selected: [...selected].sort(), flags };
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

/** Flags of a folder's Makefile: those for it and below, and for the file's own folder those for it alone. */
function flagsOf(kernel: string, folder: string, own: boolean): string[] {
  const makefile = join(kernel, folder, 'Makefile');
  if (!existsSync(makefile)) return [];
  const text = readFileSync(makefile, 'utf8').replaceAll('\\\n', ' ');
  const here = join(kernel, folder);
  const variables = new Map([
    ['src', here],
    ['obj', here],
    ['srctree', kernel],
    ['objtree', kernel],
  ]);
  const flags: string[] = [];
  for (const [, name, , value] of text.matchAll(/^\s*([\w-]+)\s*([:+?]?=)([^#\n]*)/gm)) {
    const expanded = expand(value, variables).trim();
    if (/^(subdir-)?ccflags-y$/.test(name)) {
      if (own || name.startsWith('subdir-'))
        flags.push(...expanded.split(/\s+/).filter((flag) => /^-[ID]./.test(flag)));
    } else variables.set(name, expanded);
  }
  return flags.filter((flag) => !/[$"'\\]/.test(flag));
}

function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$[({]([\w-]+)[)}]/g, (whole, name) => variables.get(name) ?? whole);
}

const loaded = new Map<string, Selects>();

/** What each symbol of the tree's Kconfig files selects. Read once, and kept. */
function selects(kernel: string, cache: string): Selects {
  const before = loaded.get(kernel);
  if (before) return before;
  const path = join(cache, `kconfig-2-${digest([kernel]).slice(0, 16)}.json`);
  let known: Selects;
  if (existsSync(path)) known = JSON.parse(readFileSync(path, 'utf8')) as Selects;
  else {
    known = {};
    for (const folder of ['drivers', 'sound', 'net', 'lib', 'kernel', 'crypto', 'block', 'fs', 'mm', 'init'])
      read(kernel, folder, known);
    mkdirSync(cache, { recursive: true });
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(known));
    renameSync(`${path}.${process.pid}`, path);
  }
  loaded.set(kernel, known);
  return known;
}

function read(kernel: string, folder: string, known: Selects): void {
  const here = join(kernel, folder);
  if (!existsSync(here)) return;
  for (const entry of readdirSync(here, { withFileTypes: true })) {
    if (entry.isDirectory()) read(kernel, join(folder, entry.name), known);
    else if (entry.name.startsWith('Kconfig')) parse(readFileSync(join(here, entry.name), 'utf8'), folder, known);
  }
}

function parse(text: string, folder: string, known: Selects): void {
  let declared: Declared | null = null;
  let number = false;
  for (const line of text.split('\n')) {
    const config = /^\s*(?:menu)?config\s+(\w+)/.exec(line);
    if (config) {
      declared = known[config[1]] ??= { selects: [], folder };
      number = false;
    }
    if (declared === null) continue;
    const select = /^\s+select\s+(\w+)/.exec(line);
    if (select) declared.selects.push(select[1]);
    if (/^\s+(int|hex)\b/.test(line)) number = true;
    const value = /^\s+default\s+"?(0x[0-9a-fA-F]+|\d+)\b/.exec(line);
    // The first that has no condition, else the last.
    if (number && value && (declared.number === undefined || !/\sif\s/.test(line))) declared.number = value[1];
  }
}
