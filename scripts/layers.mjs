import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'rolldown/utils';

/**
 * Checks which folder ("room") of src and assembly may import which: layers.json. Types count like values.
 *
 *   npm run layers              fails for an import without an arrow, an arrow without an import, a circle of rooms, and a
 *                               drawing in docs/ARCHITECTURE.md that is not the one of layers.json
 *   npm run layers -- --draw    writes the drawing
 *
 * dependency-cruiser judges. It knows no TypeScript 7 and no AssemblyScript, so it is given each file's imports alone, as the
 * parser of rolldown finds them.
 */

const ROOT = join(import.meta.dirname, '..');
const CUT = join(ROOT, 'build', 'layers');
const DOCUMENT = join(ROOT, 'docs', 'ARCHITECTURE.md');
const layers = JSON.parse(readFileSync(join(ROOT, 'layers.json'), 'utf8'));
const problems = [];

/** The room of a file, by its path below src or assembly. A subfolder that layers.json names is a room of its own. */
function roomOf(rooms, file) {
  const named = Object.entries(rooms).find(([, { files }]) => files?.includes(file));
  if (named) return named[0];
  const folders = file.split('/').slice(0, -1);
  while (folders.length > 0 && !(folders.join('/') in rooms)) folders.pop();
  return folders.join('/') || undefined;
}

/** Writes a module with nothing but the file's imports. Decorators of AssemblyScript's functions are no TypeScript. */
function cut(top, file) {
  const text = readFileSync(join(ROOT, top, file), 'utf8').replaceAll(/^@\w+(\([^)]*\))?$/gm, '');
  const { errors, module } = parseSync(file, text, { lang: 'ts', sourceType: 'module' });
  if (errors.length > 0) problems.push(`${top}/${file}: ${errors[0].message}`);
  const from = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []),
    ),
    ...[...text.matchAll(/\bimport\(\s*'([^']+)'/g)].map(([, name]) => name),
    ...[...text.matchAll(/^declare module '([^']+)'/gm)].map(([, name]) => name),
  ].filter((name) => name.startsWith('.'));
  const path = join(CUT, top, file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(path), { recursive: true });
  const lines = [...new Set(from)].map((name) => `import '${name.replace(/\.js$/, '')}.js';\n`);
  writeFileSync(path, lines.join(''));
}

/** A pattern for the files of a room, cut. */
function pattern(top, room, rooms) {
  const own = (rooms[room]?.files ?? []).map((file) => `${file.replace(/\.ts$/, '')}\\.js$`);
  const inner = Object.keys(rooms).filter((name) => name.startsWith(`${room}/`));
  const folder =
    inner.length > 0 ? `${room}/(?!${inner.map((name) => `${name.slice(room.length + 1)}/`).join('|')})` : `${room}/`;
  return `^build/layers/${top}/(${[folder, ...own].join('|')})`;
}

/** dependency-cruiser's configuration: what is not an arrow is forbidden. */
function rulesFor(top, { rooms, known }) {
  return Object.entries(rooms).map(([room, { uses }]) => {
    const allowed = [room, ...uses, ...known.filter(([from]) => from === room).map(([, to]) => to)];
    return {
      name: `${top}/${room}`,
      severity: 'error',
      from: { path: pattern(top, room, rooms) },
      to: { path: `^build/layers/`, pathNot: allowed.map((name) => pattern(top, name, rooms)) },
    };
  });
}

/** Rooms in an order in which each comes after those that it uses; a room in a circle is a problem. */
function sorted(top, rooms) {
  const order = [];
  const visit = (room, path) => {
    if (order.includes(room)) return;
    if (path.includes(room)) return void problems.push(`${top}: a circle of arrows: ${[...path, room].join(' -> ')}`);
    for (const used of rooms[room].uses) visit(used, [...path, room]);
    order.push(room);
  };
  for (const room of Object.keys(rooms)) visit(room, []);
  return order;
}

/** The drawing: every arrow, but those that follow from others. */
function drawing(top, { rooms, known }) {
  const reaches = (from, to, direct) =>
    rooms[from].uses.some((used) => (used === to ? !direct : reaches(used, to, false)));
  const id = (room) => room.replaceAll(/[-/]/g, '_');
  const lines = [];
  for (const room of sorted(top, rooms).reverse()) {
    lines.push(`  ${id(room)}["${room}"]`);
    for (const used of rooms[room].uses) if (!reaches(room, used, true)) lines.push(`  ${id(room)} --> ${id(used)}`);
  }
  for (const [from, to] of known) lines.push(`  ${id(from)} -. "to go" .-> ${id(to)}`);
  const rows = sorted(top, rooms).map((room) => {
    const { is, uses } = rooms[room];
    return `| \`${room}\` | ${is} | ${uses.join(', ') || 'nothing'} |`;
  });
  const table = ['| room | what it is | may import |', '|---|---|---|', ...rows];
  return ['```mermaid', 'graph TD', ...lines, '```', '', ...table].join('\n');
}

rmSync(CUT, { recursive: true, force: true });
const rules = [];
for (const [top, { rooms, known }] of Object.entries(layers)) {
  for (const file of readdirSync(join(ROOT, top), { recursive: true })) {
    if (!file.endsWith('.ts') || file.startsWith(join('core', 'generated'))) continue;
    if (roomOf(rooms, file) === undefined) problems.push(`${top}/${file} is in no room of layers.json`);
    cut(top, file);
  }
  rules.push(...rulesFor(top, { rooms, known }));
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
for (const [top, { rooms, known }] of Object.entries(layers)) {
  const arrows = Object.entries(rooms).flatMap(([room, { uses }]) => uses.map((used) => [room, used]));
  for (const [from, to] of [...arrows, ...known]) {
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
