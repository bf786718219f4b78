import { parseAst } from 'rolldown/parseAst';

/**
 * What host code may not do, as rules over its syntax: restate a number of the core, or look into linear memory; and what
 * the core may not: name a number of the host. Each rule takes the text of a file and returns what it finds, one line each.
 */

export type Constants = Readonly<Record<string, number | bigint>>;
/** Parameter names of each function of the core. */
export type Parameters = Readonly<Record<string, readonly string[]>>;

interface Node {
  type: string;
  start: number;
  end: number;
  [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** Calls `see` for every node below one, parents first. */
function walk(node: Node, see: (node: Node) => void): void {
  see(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, see);
  }
}

function nodes(source: string, lang: 'ts' | 'js'): Node[] {
  const found: Node[] = [];
  walk(parseAst(source, { lang }) as unknown as Node, (node) => found.push(node));
  return found;
}

const lineAt = (source: string, offset: number): number => source.slice(0, offset).split('\n').length;

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '**': (a, b) => a ** b,
  '|': (a, b) => a | b,
  '&': (a, b) => a & b,
  '<<': (a, b) => a << b,
  '>>': (a, b) => a >> b,
  '>>>': (a, b) => a >>> b,
};

/** The value of an expression of nothing but numbers. */
function numberOf(node: Node | null | undefined): number | undefined {
  if (!node) return undefined;
  switch (node.type) {
    case 'Literal':
      return typeof node.value === 'number' ? node.value : undefined;
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'ParenthesizedExpression':
      return numberOf(node.expression as Node);
    case 'UnaryExpression': {
      const value = numberOf(node.argument as Node);
      if (value === undefined) return undefined;
      return node.operator === '-' ? -value : node.operator === '~' ? ~value : undefined;
    }
    case 'BinaryExpression': {
      const [left, right] = [numberOf(node.left as Node), numberOf(node.right as Node)];
      return left === undefined || right === undefined ? undefined : OPERATORS[node.operator as string]?.(left, right);
    }
  }
  return undefined;
}

/** The words of a name: `SG_MAX_ENTRY` and `sgMaxEntry` have the same. */
function words(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}

interface Named {
  name: string;
  words: ReadonlySet<string>;
  family: string;
  value: number;
}

function named(constants: Constants): Named[] {
  return Object.entries(constants).map(([name, value]) => ({
    name,
    words: new Set(words(name)),
    family: words(name)[0],
    value: Number(value),
  }));
}

/** Whether two numbers are one to the core, which takes -1 for the highest. */
const same = (a: number, b: number): boolean => a === b || (b < 0 && a === b >>> 0);

/** The constant of the core that something of that name and value says again. */
function match(all: readonly Named[], name: string, value: number): Named | undefined {
  const own = words(name);
  return own.length === 0
    ? undefined
    : all.find((item) => same(item.value, value) && own.every((word) => item.words.has(word)));
}

const unwrap = (node: Node | null): Node | null =>
  node && (node.type === 'TSAsExpression' || node.type === 'TSSatisfiesExpression' || node.type === 'CallExpression')
    ? unwrap((node.expression ?? (node.arguments as Node[])[0] ?? null) as Node | null)
    : node;

/** Names and numbers that an object or a list of names stands for: `{ block: 0 }`, or `['block']`, whose index is meant. */
function entriesOf(node: Node | null): [string, number][] {
  if (node?.type === 'ObjectExpression') {
    return (node.properties as Node[]).flatMap((property) => {
      const key = property.key as Node | undefined;
      const value = numberOf(property.value as Node);
      const name = key && ((key.name ?? key.value) as unknown);
      if (property.computed || value === undefined) return [];
      return typeof name === 'number' ? [] : [[String(name), value] as [string, number]];
    });
  }
  if (node?.type === 'ArrayExpression') {
    return (node.elements as (Node | null)[]).flatMap((element, i) =>
      element?.type === 'Literal' && typeof element.value === 'string' ? [[element.value, i] as [string, number]] : [],
    );
  }
  return [];
}

/** Constants that are declared again: by a name of the same words, or as a list of names and numbers of one family. */
function declared(source: string, tree: readonly Node[], all: readonly Named[]): string[] {
  const found: string[] = [];
  for (const node of tree) {
    if (node.type !== 'VariableDeclarator') continue;
    const name = (node.id as Node).name as string | undefined;
    const line = lineAt(source, node.start);
    const value = numberOf(node.init as Node);
    if (name && value !== undefined && (/^[A-Z]/.test(name) || words(name).length > 1)) {
      const again = match(all, name, value);
      if (again) found.push(`${line}: ${name} = ${value} is ${again.name}`);
    }
    const init = unwrap(node.init as Node | null);
    // Of a list the places are numbers only when somebody asks for them.
    const ordered = new RegExp(`\\b${name}(\\.indexOf\\(|\\.entries\\(|\\[|\\.map\\(\\(\\w+, \\w+\\))`).test(source);
    const entries = init?.type === 'ArrayExpression' && !ordered ? [] : entriesOf(init);
    const matches = entries.flatMap(([key, number]) => {
      const own = words(key);
      return all.filter((item) => item.value === number && own.length > 0 && own.every((word) => item.words.has(word)));
    });
    const families = new Map<string, Set<number>>();
    for (const item of matches) {
      families.set(item.family, (families.get(item.family) ?? new Set()).add(item.value));
    }
    for (const [family, values] of families) {
      if (values.size > 1) found.push(`${line}: ${name} lists numbers of ${family.toUpperCase()}_*`);
    }
  }
  return found;
}

/** Errors of the core that are written as numbers: `rc === -12`, `toBe(-12)`. */
function errnos(source: string, tree: readonly Node[], constants: Constants): string[] {
  const known = new Map(
    Object.entries(constants).flatMap(([name, value]) => (/^E[A-Z0-9]+$/.test(name) ? [[Number(value), name]] : [])),
  );
  // -1 is a return value of many calls that give addresses.
  known.delete(-1);
  const found: string[] = [];
  const see = (node: Node | undefined): void => {
    const value = numberOf(node);
    if (node && value !== undefined && known.has(value)) {
      found.push(`${lineAt(source, node.start)}: ${value} is ${known.get(value)}`);
    }
  };
  for (const node of tree) {
    if (node.type === 'BinaryExpression' && /^[!=]==?$/.test(node.operator as string)) {
      see(node.left as Node);
      see(node.right as Node);
    } else if (node.type === 'CallExpression') {
      const callee = node.callee as Node;
      const method = callee.type === 'MemberExpression' ? ((callee.property as Node).name as string) : '';
      if (/^to(Be|Equal|StrictEqual)$/.test(method)) see((node.arguments as Node[])[0]);
    }
  }
  return found;
}

/** Parameters of the core's functions whose numbers have names, and the names. */
const KINDS: Readonly<Record<string, RegExp>> = {
  kind: /^(FAULT|EVENT|LOCKS)_/,
  dir: /^DMA_(BI|TO|FROM|NONE)/,
  zone: /^ZONE_/,
  model: /^IOVA_(LINUX|FAST)/,
  platform: /^PLATFORM_/,
  level: /^CACHE_/,
  mode: /^MM_(?!OP|2015|MODERN)/,
  colorRule: /^COLOR_/,
  flavour: /^MM_(2015|MODERN)/,
  type: /^TYPE_/,
  check: /^CHECK_/,
};
/** Parameters that are made of flags, 0 for none. */
const FLAGS = new Set(['flags', 'attrs', 'prot', 'set', 'clear', 'options']);

/** Numbers in calls of the core's functions where a name is meant: `faultArm(ctx, 8, 1)`. */
function passed(source: string, tree: readonly Node[], parameters: Parameters, constants: Constants): string[] {
  const found: string[] = [];
  for (const node of tree) {
    if (node.type !== 'CallExpression') continue;
    const callee = node.callee as Node;
    const name = (callee.type === 'MemberExpression' ? (callee.property as Node).name : callee.name) as string;
    if (!Object.hasOwn(parameters, name)) continue;
    for (const [i, argument] of (node.arguments as Node[]).entries()) {
      const value = numberOf(argument);
      const parameter = parameters[name][i];
      if (value === undefined) continue;
      const names = KINDS[parameter];
      const meant =
        names !== undefined && Object.entries(constants).some(([key, number]) => names.test(key) && number === value);
      if (meant || (FLAGS.has(parameter) && value !== 0)) {
        found.push(`${lineAt(source, argument.start)}: ${name}(${parameter}: ${value})`);
      }
    }
  }
  return found;
}

/** Lists whose numbers are their own, by file, though some have names of the core's. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  'src/trace/audit/live.ts': ['MAPPING'],
  'src/trace/replay/operations.ts': ['OP'],
  'src/stress-i915/objects.ts': ['CACHINGS'],
};

/** Where a file says a number of the core again. */
export function restated(
  source: string,
  constants: Constants,
  parameters: Parameters,
  lang: 'ts' | 'js' = 'ts',
  path = '',
): string[] {
  const tree = nodes(source, lang);
  const own = OWN[path] ?? [];
  return [
    ...declared(source, tree, named(constants)).filter((line) => !own.some((name) => line.includes(` ${name} lists `))),
    ...errnos(source, tree, constants),
    ...passed(source, tree, parameters, constants),
  ];
}

const VIEWS = new Set(['u8', 'u32', 'f64']);

/** Where a file takes a view of linear memory, or its buffer. A method of such a name is something else. */
export function memoryUses(source: string, lang: 'ts' | 'js' = 'ts'): string[] {
  const tree = nodes(source, lang);
  const called = new Set(tree.filter(({ type }) => type === 'CallExpression').map(({ callee }) => callee));
  const found: string[] = [];
  for (const node of tree) {
    const at = `${lineAt(source, node.start)}: ${source.slice(node.start, node.end).split('\n')[0]}`;
    if (node.type === 'MemberExpression' && !node.computed) {
      const name = (node.property as Node).name as string;
      const object = node.object as Node;
      const base = (object.type === 'MemberExpression' ? (object.property as Node).name : object.name) as string;
      if (VIEWS.has(name) && !called.has(node)) found.push(at);
      if (name === 'buffer' && base === 'memory') found.push(at);
    }
    if (node.type === 'ObjectPattern') {
      for (const property of node.properties as Node[]) {
        if (VIEWS.has(((property.key as Node | undefined)?.name as string) ?? '')) found.push(at);
      }
    }
  }
  return found;
}

/** Where a file reads or writes a view by index: `u32[at + 3]`. */
export function indexedViews(source: string): string[] {
  return nodes(source, 'ts').flatMap((node) => {
    if (node.type !== 'MemberExpression' || !node.computed) return [];
    const object = node.object as Node;
    const name = (object.type === 'MemberExpression' ? (object.property as Node).name : object.name) as string;
    return VIEWS.has(name)
      ? [`${lineAt(source, node.start)}: ${source.slice(node.start, node.end).split('\n')[0]}`]
      : [];
  });
}

/**
 * Where a file of the core names a double. Numbers of the host become addresses and sizes of 64 bits, and
 * these numbers of the host, in files called host.ts and nowhere else (assembly/memory/host.ts).
 */
export function hostNumbers(source: string): string[] {
  const blank = (text: string): string => text.replace(/[^\n]/g, ' ');
  const lines = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, blank).split('\n');
  return lines.flatMap((line, i) => (/\b(f64|F64|f64x2)\b/.test(line) ? [`${i + 1}: ${line.trim()}`] : []));
}
