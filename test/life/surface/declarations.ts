import ts from 'typescript-5.9';

/** The public classes and functions as their declarations have them, which are without what is internal. */

/** What a parameter takes. */
export type Kind =
  | { kind: 'number' | 'boolean' | 'string' | 'size' | 'bytes' | 'function' | 'list' | 'plain' | 'any' }
  | { kind: 'names'; names: readonly string[] }
  | { kind: 'object'; type: string };

export interface Parameter {
  name: string;
  takes: Kind;
  optional: boolean;
}

export interface Member {
  name: string;
  what: 'method' | 'getter' | 'setter' | 'static' | 'new' | 'function';
  parameters: Parameter[];
}

export interface Declared {
  /** By name; those that functions return, and those of fields, too. */
  classes: Map<string, Member[]>;
  functions: Member[];
}

/** Reads the declarations of entries and of every class that their types lead to. */
export function declared(entries: readonly string[]): Declared {
  const program = ts.createProgram([...entries], {
    ...{ noEmit: true, skipLibCheck: true, strict: true, types: ['node'] },
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  });
  const checker = program.getTypeChecker();
  const classes = new Map<string, Member[]>();
  const functions: Member[] = [];
  const seen = new Set<ts.Type>();
  const walked = new Set<ts.Symbol>();

  const own = (symbol: ts.Symbol | undefined): boolean =>
    symbol?.declarations?.some((d) => !/node_modules|\/lib\.[\w.]+\.d\.ts/.test(d.getSourceFile().fileName)) ?? false;

  function kindOf(type: ts.Type): Kind {
    const plain = checker.getNonNullableType(type);
    if (plain.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown | ts.TypeFlags.TypeParameter)) return { kind: 'any' };
    if (plain.flags & ts.TypeFlags.NumberLike) return { kind: 'number' };
    if (plain.flags & ts.TypeFlags.BooleanLike) return { kind: 'boolean' };
    if (plain.isUnion()) {
      const { types } = plain;
      if (types.every((t) => t.isStringLiteral())) {
        return { kind: 'names', names: types.map((t) => (t as ts.StringLiteralType).value) };
      }
      if (types.every((t) => t.flags & ts.TypeFlags.NumberLike)) return { kind: 'number' };
      if (types.every((t) => t.flags & (ts.TypeFlags.NumberLike | ts.TypeFlags.StringLike))) return { kind: 'size' };
      const objects = types.filter((t) => t.flags & ts.TypeFlags.Object);
      return objects.length > 0 ? kindOf(objects[0]) : { kind: 'any' };
    }
    if (plain.flags & ts.TypeFlags.StringLike) return { kind: 'string' };
    if (plain.getCallSignatures().length > 0) return { kind: 'function' };
    const name = plain.symbol?.name ?? '';
    if (name === 'Uint8Array') return { kind: 'bytes' };
    if (checker.isArrayType(plain) || name === 'ArrayLike') return { kind: 'list' };
    // Types that stand for a class of the library.
    const stands: Record<string, string> = {
      BaseMachine: 'Machine',
      DmaHost: 'Machine',
      CoreHost: 'Machine',
      IovaHost: 'Machine',
      DebugDevice: 'DmaDevice',
    };
    if (name in stands) return { kind: 'object', type: stands[name] };
    if (plain.isClass() || (plain.symbol?.flags ?? 0) & ts.SymbolFlags.Class) return { kind: 'object', type: name };
    return { kind: 'plain' };
  }

  const takesUndefined = (type: ts.Type): boolean =>
    type.isUnion() && type.types.some(({ flags }) => flags & ts.TypeFlags.Undefined);

  function parametersOf(signature: ts.Signature): Parameter[] {
    return signature.parameters
      .filter(({ valueDeclaration: d }) => d !== undefined && ts.isParameter(d) && !d.dotDotDotToken)
      .map((parameter) => {
        const d = parameter.valueDeclaration as ts.ParameterDeclaration;
        const type = checker.getTypeOfSymbol(parameter);
        for (const part of type.isUnion() ? type.types : [type]) visit(part);
        return {
          name: parameter.name,
          takes: kindOf(type),
          optional: d.questionToken !== undefined || d.initializer !== undefined,
        };
      });
  }

  // A class, or whatever leads to classes: what a call returns, elements of arrays.
  function visit(type: ts.Type): void {
    if (seen.has(type)) return;
    seen.add(type);
    if (type.isUnionOrIntersection()) {
      for (const part of type.types) visit(part);
      return;
    }
    for (const argument of checker.getTypeArguments(type as ts.TypeReference) ?? []) visit(argument);
    const { symbol } = type;
    if (!own(symbol) || !(type.flags & ts.TypeFlags.Object)) return;
    if (symbol.flags & ts.SymbolFlags.Class) addClass(symbol);
    else for (const property of checker.getPropertiesOfType(type)) visit(checker.getTypeOfSymbol(property));
  }

  function addClass(symbol: ts.Symbol): void {
    const { name } = symbol;
    if (walked.has(symbol)) return;
    walked.add(symbol);
    // A class may extend one of the same name: its members are those of both.
    const members: Member[] = [];
    const before = classes.get(name) ?? [];
    classes.set(name, members);
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const hidden = (d: ts.Declaration | undefined): boolean =>
      d === undefined ||
      (ts.getCombinedModifierFlags(d) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) !== 0 ||
      !own((d as unknown as { symbol: ts.Symbol }).symbol);
    for (const property of checker.getPropertiesOfType(type)) {
      if (hidden(property.valueDeclaration) || property.name.includes('#')) continue;
      const symbolName = /^__@(\w+)@/.exec(property.name)?.[1];
      const called = symbolName === undefined ? property.name : `[Symbol.${symbolName}]`;
      const propertyType = checker.getTypeOfSymbol(property);
      if (property.flags & ts.SymbolFlags.Method) {
        const [signature] = propertyType.getCallSignatures();
        members.push({ name: called, what: 'method', parameters: parametersOf(signature) });
        visit(signature.getReturnType());
      } else {
        visit(propertyType);
        if (!(property.flags & ts.SymbolFlags.Accessor)) continue;
        members.push({ name: called, what: 'getter', parameters: [] });
        if (property.flags & ts.SymbolFlags.SetAccessor) {
          members.push({
            name: called,
            what: 'setter',
            parameters: [{ name: called, takes: kindOf(propertyType), optional: takesUndefined(propertyType) }],
          });
        }
      }
    }
    const statics = checker.getTypeOfSymbol(symbol);
    for (const property of checker.getPropertiesOfType(statics)) {
      if (property.name === 'prototype' || hidden(property.valueDeclaration)) continue;
      const [signature] = checker.getTypeOfSymbol(property).getCallSignatures();
      if (signature) members.push({ name: property.name, what: 'static', parameters: parametersOf(signature) });
    }
    const [signature] = statics.getConstructSignatures();
    if (signature && !hidden(signature.getDeclaration())) {
      members.push({ name: 'new', what: 'new', parameters: parametersOf(signature) });
    }
    for (const one of before) {
      if (!members.some((other) => other.name === one.name && other.what === one.what)) members.push(one);
    }
    for (const base of type.isClass() ? (checker.getBaseTypes(type) ?? []) : []) visit(base);
  }

  for (const entry of entries) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (symbol.flags & ts.SymbolFlags.Class) addClass(symbol);
      else if (symbol.flags & ts.SymbolFlags.Function) {
        const [signature] = checker.getTypeOfSymbol(symbol).getCallSignatures();
        functions.push({ name: exported.name, what: 'function', parameters: parametersOf(signature) });
        visit(signature.getReturnType());
      }
    }
  }
  return { classes, functions };
}
