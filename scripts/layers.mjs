import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { parseSync } from 'rolldown/utils';

/**
 * Checks which folder ("room") of src and assembly may import which: layers.json. Each folder with sources is a room. Types count
 * like values, and workers and pages that a module starts (`new URL('./job.js', import.meta.url)`) like imports. Names of the
 * package (`gemdma/iova`, `#handle`) stand for the files that package.json gives them. Out of sight are specifiers that a program
 * computes: in the sources, modules of the library's user.
 *
 *   npm run layers              fails for an import without an arrow, an arrow without an import, a circle of rooms without a
 *                               reason, and a drawing in docs/ARCHITECTURE.md that is not the one of layers.json
 *   npm run layers -- --draw    writes the drawing
 *
 * dependency-cruiser judges. It knows no TypeScript 7 and no AssemblyScript, so it is given each file's imports alone, as the
 * parser of rolldown finds them.
 */

const ROOT = join(import.meta.dirname, '..');
const CUT = join(ROOT, 'build', 'layers');
const DOCUMENT = join(ROOT, 'docs', 'ARCHITECTURE.md');
const layers = JSON.parse(readFileSync(join(ROOT, 'layers.json'), 'utf8'));
const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const problems = [];

/** The room of a file, by its path below src or assembly: its folder, unless layers.json gives the file to another room. */
function roomOf(rooms, file) {
  const named = Object.entries(rooms).find(([, { files }]) => files?.includes(file));
  const folder = dirname(file);
  return named?.[0] ?? (folder in rooms ? folder : undefined);
}

/** Every node of a syntax tree. */
function* nodesOf(value) {
  if (Array.isArray(value)) for (const item of value) yield* nodesOf(item);
  else if (value !== null && typeof value === 'object') {
    if (typeof value.type === 'string') yield value;
    for (const inner of Object.values(value)) yield* nodesOf(inner);
  }
}

/** The text of a string, in quotes of any kind; undefined when it is computed. */
function textOf(node) {
  if (node?.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node?.type === 'TemplateLiteral' && node.expressions.length === 0) return node.quasis[0].value.cooked;
  return undefined;
}

/** Names of modules that a file imports, exports from, extends, names in a type, or starts. */
function* importsOf(program) {
  for (const node of nodesOf(program)) {
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportAllDeclaration':
      case 'ExportNamedDeclaration':
      case 'ImportExpression':
      case 'TSImportType':
        yield textOf(node.source);
        break;
      case 'TSModuleDeclaration':
        yield textOf(node.id);
        break;
      case 'TSExternalModuleReference':
        yield textOf(node.expression);
        break;
      case 'NewExpression': {
        const [name, base] = node.arguments;
        if (node.callee.name !== 'URL' || base?.type !== 'MemberExpression') break;
        if (base.object.type === 'MetaProperty' && /\.[jt]s$/.test(textOf(name) ?? '')) yield textOf(name);
        break;
      }
    }
  }
}

/** What package.json says of a name of the package, as a path of src; undefined for names that are not its own. */
function ownFile(name) {
  const { name: own, exports: entries, imports } = PACKAGE;
  if (name !== own && !name.startsWith(`${own}/`) && !name.startsWith('#')) return undefined;
  const target = name.startsWith('#') ? imports[name] : entries[`.${name.slice(own.length)}`]?.types;
  if (target === undefined) problems.push(`package.json does not have ${name}`);
  return target?.replace(/^\.\/dist\//, 'src/').replace(/(\.d)?\.[jt]s$/, '.js');
}

/** Writes a module with nothing but the file's imports. Decorators of AssemblyScript's functions are no TypeScript. */
function cut(top, file) {
  const text = readFileSync(join(ROOT, top, file), 'utf8').replaceAll(/^@\w+(\([^)]*\))?$/gm, '');
  const { errors, program } = parseSync(file, text, { lang: 'ts', sourceType: 'module' });
  if (errors.length > 0) problems.push(`${top}/${file}: ${errors[0].message}`);
  const folder = join(top, dirname(file));
  const exists = (path) => existsSync(join(ROOT, path.replace(/(\.js)?$/, '.ts')));
  const targets = [...new Set(importsOf(program))].flatMap((name) => {
    const own = name?.startsWith('.') ? join(folder, name) : name && ownFile(name);
    if (!own) return [];
    // Of the modules that are started, the bundle has all in one folder: what is not beside the source is an entry of the package.
    const target = exists(own) ? own : join(top, basename(own));
    if (!exists(target)) problems.push(`${top}/${file} imports ${name}, which is no source`);
    return [target.replace(/(\.js)?$/, '.js')];
  });
  const path = join(CUT, top, file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(path), { recursive: true });
  const lines = targets.map((target) => {
    const name = relative(folder, target);
    return `import '${name.startsWith('.') ? name : `./${name}`}';\n`;
  });
  writeFileSync(path, lines.join(''));
}

/** A pattern for the files of a room, cut. */
function pattern(top, room, rooms) {
  const own = (rooms[room]?.files ?? []).map((file) => `${file.replace(/\.ts$/, '')}\\.js`);
  return `^build/layers/${top}/(${[`${room}/[^/]+`, ...own].join('|')})$`;
}

/** dependency-cruiser's configuration: what is not an arrow is forbidden. */
function rulesFor(top, { rooms, circles }) {
  return Object.entries(rooms).map(([room, { uses }]) => {
    const allowed = [room, ...uses, ...circles.filter(({ from }) => from === room).map(({ to }) => to)];
    return {
      name: `${top}/${room}`,
      severity: 'error',
      from: { path: pattern(top, room, rooms) },
      to: { path: `^build/layers/`, pathNot: allowed.map((name) => pattern(top, name, rooms)) },
    };
  });
}

/** Rooms in an order in which each comes after those that it uses. A circle that `circles` gives no reason for is a problem. */
function sorted(top, { rooms, circles }) {
  const order = [];
  const visit = (room, path) => {
    if (order.includes(room)) return;
    if (path.includes(room)) return void problems.push(`${top}: a circle of arrows: ${[...path, room].join(' -> ')}`);
    for (const used of rooms[room].uses) visit(used, [...path, room]);
    order.push(room);
  };
  for (const room of Object.keys(rooms)) visit(room, []);
  for (const { from, to, why } of circles) {
    if (!why) problems.push(`${top}: no reason is given for ${from} -> ${to}`);
    if (!reaches(rooms, to, from))
      problems.push(`${top}: ${from} -> ${to} closes no circle: it belongs to the uses of ${from}`);
  }
  return order;
}

/** Whether arrows lead from a room to another; with `direct`, other arrows than the one between the two. */
function reaches(rooms, from, to, direct = false) {
  return rooms[from].uses.some((used) => (used === to ? !direct : reaches(rooms, used, to)));
}

/** The drawing: every arrow, but those that follow from others. */
function drawing(top, { rooms, circles }) {
  const order = sorted(top, { rooms, circles });
  const id = (room) => room.replaceAll(/[-/]/g, '_');
  const lines = [];
  for (const room of order.toReversed()) {
    lines.push(`  ${id(room)}["${room}"]`);
    for (const used of rooms[room].uses)
      if (!reaches(rooms, room, used, true)) lines.push(`  ${id(room)} --> ${id(used)}`);
  }
  for (const { from, to } of circles) lines.push(`  ${id(from)} -.-> ${id(to)}`);
  const rows = order.map((room) => {
    const { is, uses } = rooms[room];
    return `| \`${room}\` | ${is} | ${uses.join(', ') || 'nothing'} |`;
  });
  const table = ['| room | what it is | may import |', '|---|---|---|', ...rows];
  const reasons = circles.map(({ from, to, why }) => `- \`${from}\` also imports \`${to}\`: ${why}`);
  const list =
    reasons.length > 0 ? ['', 'Arrows that close a circle, dotted in the drawing, and why:', '', ...reasons] : [];
  return ['```mermaid', 'graph TD', ...lines, '```', '', ...table, ...list].join('\n');
}

rmSync(CUT, { recursive: true, force: true });
const rules = [];
for (const [top, { rooms, circles }] of Object.entries(layers)) {
  for (const file of readdirSync(join(ROOT, top), { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    if (roomOf(rooms, file) === undefined) problems.push(`${top}/${file} is in no room of layers.json`);
    cut(top, file);
  }
  rules.push(...rulesFor(top, { rooms, circles }));
}

const config = join(CUT, 'config.cjs');
const options = { doNotFollow: { path: 'node_modules' }, baseDir: ROOT };
writeFileSync(config, `module.exports = ${JSON.stringify({ forbidden: rules, options }, null, 2)};\n`);
const cruiser = join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
const tops = Object.keys(layers).map((top) => join('build', 'layers', top));
const { stdout, stderr } = spawnSync(
  process.execPath,
  [cruiser, '--config', config, '--output-type', 'json', '--no-progress', ...tops],
  { cwd: ROOT, encoding: 'utf8', maxBuffer: 2 ** 28 },
);
if (!stdout) throw new Error(`dependency-cruiser: ${stderr}`);
const { modules, summary } = JSON.parse(stdout);
const source = (path) => path.replace('build/layers/', '').replace(/\.js$/, '.ts');
for (const { rule, from, to } of summary.violations) {
  problems.push(`${source(from)} imports ${source(to)}: ${rule.name} has no such arrow`);
}

const found = new Set();
for (const { source: path, dependencies } of modules) {
  const [top, ...rest] = source(path).split('/');
  if (!(top in layers)) continue;
  const { rooms } = layers[top];
  for (const { resolved } of dependencies) {
    const [, ...target] = source(resolved).split('/');
    found.add(`${top} ${roomOf(rooms, rest.join('/'))} ${roomOf(rooms, target.join('/'))}`);
  }
}
for (const [top, { rooms, circles }] of Object.entries(layers)) {
  const arrows = Object.entries(rooms).flatMap(([room, { uses }]) => uses.map((used) => [room, used]));
  for (const [from, to] of [...arrows, ...circles.map(({ from, to }) => [from, to])]) {
    if (!found.has(`${top} ${from} ${to}`)) problems.push(`${top}: the arrow ${from} -> ${to} has no import any more`);
  }
}

let text = readFileSync(DOCUMENT, 'utf8');
for (const [top, rooms] of Object.entries(layers)) {
  const [begin, end] = [`<!-- layers: ${top} -->`, `<!-- end of layers: ${top} -->`];
  const [at, until] = [text.indexOf(begin), text.indexOf(end)];
  if (at < 0 || until < at) throw new Error(`docs/ARCHITECTURE.md has no place for the drawing of ${top}`);
  text = `${text.slice(0, at)}${begin}\n${drawing(top, rooms)}\n${text.slice(until)}`;
}
if (process.argv.includes('--draw')) writeFileSync(DOCUMENT, text);
else if (text !== readFileSync(DOCUMENT, 'utf8')) {
  problems.push('the drawing in docs/ARCHITECTURE.md is not that of layers.json: npm run layers -- --draw');
}

for (const problem of new Set(problems)) console.error(problem);
const imports = modules.reduce((sum, { dependencies }) => sum + dependencies.length, 0);
console.log(`layers: ${modules.length} files, ${imports} imports, ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);
