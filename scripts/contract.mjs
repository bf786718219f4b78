// Generates src/core/generated/{exports,constants,names,records}.ts: what the host knows of the core. The facts are the
// compiler's: build/contract.json, written by contract-transform.mjs while the debug module was compiled, and the values
// of that module's exported globals.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param root of the project
 * @param generated folder for the files
 * @param parts interface name to the module in build/ whose exports it lists
 */
export function generateContract(root, generated, parts) {
  const contract = JSON.parse(readFileSync(join(root, 'build/contract.json'), 'utf8'));
  const debug = new WebAssembly.Module(readFileSync(join(root, 'build/debug.wasm')));
  const write = (name, text) =>
    writeFileSync(
      join(generated, `${name}.ts`),
      `// Made by scripts/contract.mjs from what the compiler made of assembly/.\n${text}`,
    );
  const values = valuesOf(contract, debug);
  write('constants', constants(contract, values));
  write('names', names(values));
  write('records', records(contract));
  const named = Object.entries(parts).map(([name, module]) => {
    const wasm = new WebAssembly.Module(readFileSync(join(root, `build/${module}.wasm`)));
    return exportsOf(contract, name, WebAssembly.Module.exports(wasm));
  });
  write('exports', `${handles(contract)}${named.join('')}`);
}

/** Constant to its value: a number where that is exact, a bigint otherwise. */
function valuesOf(contract, module) {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const entries = contract.constants.map(({ name, type, value: literal }) => {
    const value = literal ?? exports[name].value;
    // A global that is unsigned to the compiler is signed to the host.
    const wide = typeof value === 'bigint';
    const unsigned = /^u/.test(type) ? (wide ? BigInt.asUintN(64, value) : value >>> 0) : value;
    const exact = !wide || (unsigned <= Number.MAX_SAFE_INTEGER && unsigned >= Number.MIN_SAFE_INTEGER);
    return [name, wide && exact ? Number(unsigned) : unsigned];
  });
  const checks = entries.filter(([name]) => name.startsWith('CHECK_'));
  for (const [name, value] of checks) {
    const twin = checks.find(([other, number]) => other !== name && number === value);
    if (twin) throw new Error(`${name} and ${twin[0]} have one number: ${value}`);
  }
  return new Map(entries);
}

function constants(contract, values) {
  const lines = contract.constants.map(({ name, type, source }) => {
    const value = values.get(name);
    return `/** ${type} of ${folder(source)} */\nexport const ${name} = ${value}${typeof value === 'bigint' ? 'n' : ''};\n`;
  });
  return `\n${lines.join('')}`;
}

/** Constants that are looked up by their names: a namespace of all constants would be made at every start. */
function names(values) {
  const lines = (prefix) =>
    [...values]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => `  ${name.slice(prefix.length)}: ${value},\n`);
  return `
/** REASON_* by the rest of their names. */
export const REASONS = {
${lines('REASON_').join('')}} as const;

/** CHECK_* by the rest of their names. */
export const CHECKS = {
${lines('CHECK_').join('')}} as const;
`;
}

/** Where an element is declared: its internal name without the last part. */
function folder(source) {
  return `${source.slice(0, source.lastIndexOf('/'))}.ts`;
}

function classesOf(contract) {
  const classes = new Map();
  const add = ({ class: name, bases = [], made }) => {
    if (name) classes.set(name, bases);
    if (made && !classes.has(made)) classes.set(made, []);
  };
  for (const { parameters, returns } of Object.values(contract.functions)) {
    for (const { type } of parameters) add(type);
    add(returns);
  }
  for (const { fields } of Object.values(contract.records)) for (const { type } of fields) add(type);
  return classes;
}

function handles(contract) {
  const classes = classesOf(contract);
  const lines = [...classes].sort().map(([name, bases]) => {
    const kinds = [name, ...bases.filter((base) => classes.has(base))].map((kind) => `'${kind}'`);
    return `/** A ${name} in the core, by its address in linear memory. */\nexport type ${name}Handle = Handle<${kinds.join(' | ')}>;\n`;
  });
  return `
declare const kind: unique symbol;
declare const failed: unique symbol;

/** The offset of a record in linear memory, of the class named and of those that it extends. A number is none. */
export type Handle<K extends string> = number & {
  /** Keeps handles of different records apart; there is no such property at run time. */
  readonly [kind]: { readonly [P in K]: true };
};
/** What a call returns that failed: a negative errno. \`failed\` and \`made\` (handle.ts) tell it from a handle. */
export type Failure = number & { readonly [failed]: true };

${lines.join('')}`;
}

/** @param back true for what comes back from the core: a bool is a number there */
const hostType = (type, back = true) => {
  if (type.class) return `${type.class}Handle${type.nullable ? ' | 0' : ''}`;
  if (type.made) return `${type.made}Handle | Failure`;
  if (type.value === 'void') return 'void';
  if (type.value === 'bool') return back ? '0 | 1' : 'boolean';
  return 'number';
};

/** In a signature, where 64 bits cross as a BigInt; a record's field of 64 bits is read as a number. */
const signatureType = (type, back = true) => (/^[iu]64$/.test(type.value ?? '') ? 'bigint' : hostType(type, back));

const coreType = (type) => type.class ?? (type.made ? `Made<${type.made}>` : type.value);

function exportsOf(contract, name, entries) {
  const members = entries.map((entry) => {
    if (entry.kind === 'memory') return '  /** @internal */\n  readonly memory: WebAssembly.Memory;\n';
    if (entry.kind !== 'function') throw new Error(`${name}: ${entry.kind} ${entry.name} is for assembly/contract.ts`);
    const { source, parameters, returns } = contract.functions[entry.name];
    const list = parameters.map((parameter) => `${parameter.name}: ${signatureType(parameter.type, false)}`).join(', ');
    const types = parameters.map((parameter) => coreType(parameter.type)).join(', ');
    return `  /** \`(${types}) => ${coreType(returns)}\` of ${folder(source)} */\n  ${entry.name}(${list}): ${signatureType(returns)};\n`;
  });
  return `\nexport interface ${name} {\n${members.join('')}}\n`;
}

/** A copy of a check's payload, as numbers. */
function payload(fields) {
  const types = fields.map(({ name, type }) => `readonly ${name}: ${hostType(type)}`).join('; ');
  const values = fields.map(({ name }) => `${name}: this.${name}`).join(', ');
  return `\n  payload(): { ${types} } {\n    return { ${values} };\n  }\n`;
}

/** The same with 64 bits as they are. */
function exact(fields) {
  const wide = ({ type }) => type.value === 'u64';
  const types = fields.map((field) => `readonly ${field.name}: ${wide(field) ? 'bigint' : 'number'}`).join('; ');
  const values = fields.map((field) => {
    if (!wide(field)) return `${field.name}: this.${field.name}`;
    const [, , low, high] = ACCESS.u64(field.offset);
    return `${field.name}: (BigInt(${high}) << 32n) | BigInt(${low})`;
  });
  return `\n  exact(): { ${types} } {\n    return { ${values.join(', ')} };\n  }\n`;
}

/** How a field of each type is read and written through the views of a record, at a byte offset. */
const ACCESS = {
  u8: (at) => [`this.u8[this.at${plus(at)}]`, 'value'],
  bool: (at) => [`this.u8[this.at${plus(at)}]`, 'value'],
  u16: (at) => [`this.u32[this.word${plus(at >> 2)}]${at & 2 ? ' >>> 16' : ' & 0xffff'}`],
  u32: (at) => [`this.u32[this.word${plus(at >> 2)}]`, 'value'],
  i32: (at) => [`this.u32[this.word${plus(at >> 2)}] | 0`, 'value', `this.u32[this.word${plus(at >> 2)}]`],
  f64: (at) => [`this.f64[this.double${plus(at >> 3)}]`, 'value'],
  u64: (at) => wide(at, ''),
  i64: (at) => wide(at, ' | 0'),
};

const plus = (n) => (n === 0 ? '' : ` + ${n}`);

function wide(at, signed) {
  const low = `this.u32[this.word${plus(at >> 2)}]`;
  const high = `this.u32[this.word${plus((at >> 2) + 1)}]`;
  return [`${low} + ${signed ? `(${high}${signed})` : high} * 2 ** 32`, null, low, high];
}

/** Names that RecordView uses itself. */
const OWN_FIELDS = new Set(['u8', 'u32', 'f64', 'at', 'word', 'double', 'stale', 'moveTo']);

/** Records that the host fills in. All others it only reads: they have no setters, which would be half of the bytes. */
const WRITTEN = new Set(['Cpu', 'IovaStep', 'MmOperation', 'SgRun']);

function records(contract) {
  const missing = [...WRITTEN].find((name) => !contract.records[name]);
  if (missing) throw new Error(`${missing} is no record of the contract`);
  const used = new Set();
  const classes = Object.entries(contract.records).map(([name, { source, size, base, fields }]) => {
    // The views count in words or doubles: in a row of records of another size the second one would lie between two of them.
    const unit = fields.some(({ type }) => type.value === 'f64') ? 8 : 4;
    if (size % unit !== 0) throw new Error(`${name}: ${size} bytes are not whole words of ${unit} bytes`);
    const members = fields.map(({ name: field, type, offset }) => {
      if (OWN_FIELDS.has(field)) throw new Error(`${name}.${field}: a field of RecordView has that name`);
      const host = hostType(type);
      for (const handle of host.match(/\w+Handle/g) ?? []) used.add(handle);
      const access = ACCESS[type.value === 'usize' || type.class ? 'u32' : type.value];
      if (!access) throw new Error(`${name}.${field}: no access to ${coreType(type)}`);
      const [read, written, low = read, high] = access(offset);
      const cast = host === 'number' ? read : `${read} as ${host}`;
      let text = `\n  /** ${coreType(type)} at +${offset} */\n  get ${field}(): ${host} {\n    return ${cast};\n  }\n`;
      if (!WRITTEN.has(name)) return text;
      if (high) {
        text += `\n  set ${field}(value: number) {\n    ${low} = value;\n    ${high} = Math.floor(value / 2 ** 32);\n  }\n`;
      } else if (written) text += `\n  set ${field}(value: ${host}) {\n    ${low} = value;\n  }\n`;
      return text;
    });
    if (base === 'Payload') members.push(payload(fields), exact(fields));
    const [first, ...rest] = members;
    return `\n/** ${source.slice(source.lastIndexOf('/') + 1)} of ${folder(source)}, ${size} bytes. */
export class ${name}View extends RecordView {
  static readonly SIZE = ${size};
${first}${rest.join('')}}\n`;
  });
  const imports = used.size > 0 ? `import type { ${[...used].sort().join(', ')} } from './exports.js';\n` : '';
  return `\nimport { RecordView } from '../records/record-view.js';\n${imports}${classes.join('')}`;
}
