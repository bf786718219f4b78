// A transform of the AssemblyScript compiler that writes down, as build/contract.json, what the compiler has resolved of the
// core's contract with its host: the exported functions with the classes of their parameters and results, and of
// assembly/contract.ts every constant's name and every record's fields with their offsets and types. The checks of dma-debug
// need no line in contract.ts: each CHECK_ constant and each class that extends Payload is taken from where it is declared.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const output = join(dirname(fileURLToPath(import.meta.url)), '../build/contract.json');
const ENTRIES = ['assembly/index', 'assembly/tools'];
const CONTRACT = 'assembly/contract';
const CHECKS = 'assembly/dma-debug/';

export default class ContractTransform {
  afterCompile() {
    const { filesByName } = this.program;
    const functions = {};
    for (const entry of ENTRIES) {
      for (const [name, element] of elements(filesByName.get(entry))) {
        if (element.bodyNode !== undefined && element.functionTypeNode) functions[name] = describeFunction(element);
      }
    }
    const constants = [];
    const records = {};
    for (const [name, element] of elements(filesByName.get(CONTRACT))) {
      if (element.instanceMembers !== undefined) records[name] = describeRecord(this.program, element);
      else constants.push({ name, type: element.type.toString(), source: element.internalName });
    }
    for (const [path, file] of filesByName) {
      if (!path.startsWith(CHECKS)) continue;
      for (const [name, element] of elements(file)) {
        if (name.startsWith('CHECK_')) constants.push(describeCheck(name, element));
        if (payloadOf(this.program, element)) records[name] = describeRecord(this.program, element);
      }
    }
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, `${JSON.stringify({ functions, constants, records }, null, 1)}\n`);
  }
}

/** What a file exports, its re-exports among them: names and elements. */
function elements(file) {
  const own = [...(file.exports ?? new Map())].filter(([, element]) => element);
  return [...own, ...(file.exportsStar ?? []).flatMap(elements)];
}

function describeFunction(prototype) {
  const [instance] = [...prototype.instances.values()];
  const { signature } = instance;
  const nodes = prototype.functionTypeNode;
  return {
    source: prototype.internalName,
    parameters: signature.parameterTypes.map((type, i) => ({
      name: instance.getParameterName(i),
      type: describeType(type, nodes.parameters[i]?.type),
    })),
    returns: describeType(signature.returnType, nodes.returnType),
  };
}

/**
 * A type as the host sees it: the class of a reference and whether it may be null, else the name of the value type.
 * `Made<T>` (assembly/memory/errno.ts) is an i32 to the compiler; what it is made of stands in the declaration.
 */
function describeType(type, node) {
  const reference = type.classReference;
  if (reference) return { class: reference.name, bases: bases(reference), nullable: type.isNullableReference };
  if (node?.name?.identifier?.text === 'Made') return { made: node.typeArguments[0].name.identifier.text };
  return { value: type.toString() };
}

function bases(reference) {
  const names = [];
  for (let base = reference.base; base && base.name !== 'Object'; base = base.base) names.push(base.name);
  return names;
}

/** A check's number: a literal, which need not be used by any code. */
function describeCheck(name, element) {
  const value = Number(element.initializerNode.value);
  if (!Number.isInteger(value)) throw new Error(`${element.internalName}: the number of a check is a literal`);
  return { name, type: 'u32', source: element.internalName, value };
}

/** Whether an element is what a check tells: a class that extends Payload. */
function payloadOf(program, element) {
  return element.instanceMembers !== undefined && program.resolver.resolveClass(element, null).base?.name === 'Payload';
}

function describeRecord(program, prototype) {
  const record = program.resolver.resolveClass(prototype, null);
  const fields = [...record.members.values()]
    .map((member) => member.instance ?? member)
    .filter((member) => member.isField && member.memoryOffset >= 0)
    .map((field) => ({ name: field.name, type: describeType(field.type), offset: field.memoryOffset }));
  return { source: prototype.internalName, size: record.nextMemoryOffset, base: record.base?.name, fields };
}
