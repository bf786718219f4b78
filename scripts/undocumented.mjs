// Public members without a docstring: what the package's entries export, and every property and method inside of that, at
// any depth. And types that these name and no entry exports.
//
//   node scripts/undocumented.mjs        lists them, after npm run build; exit code 1 when there are any (npm run typecheck)
//
// It reads the declarations that are published, in which @internal is left out already. A class member that implements an
// interface has the interface's docstring.

import { readFileSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript-5.9';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Each as `file: Type.member`, in the order of the files. */
export function undocumented() {
  const { exports: entries } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const files = Object.values(entries).flatMap((entry) => (entry.types ? [join(root, entry.types)] : []));
  const program = ts.createProgram(files, {
    ...{ lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'], types: [], skipLibCheck: true },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  });
  const checker = program.getTypeChecker();
  const found = new Set();
  const seen = new Set();

  for (const file of files) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file));
    for (const exported of checker.getExportsOfModule(module)) seen.add(resolved(exported));
  }
  for (const symbol of seen) {
    for (const declaration of symbol.declarations) visit(declaration, [symbol.name]);
    inherited(symbol);
    if (!isDocumented(symbol)) report(symbol.declarations[0], [symbol.name]);
  }
  return [...found].sort();

  function resolved(symbol) {
    return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  }

  /** A type of the package that a declaration names and no entry exports. */
  function unexported(node) {
    const name = ts.isTypeReferenceNode(node) ? node.typeName : undefined;
    const symbol = name && ts.isIdentifier(name) && resolved(checker.getSymbolAtLocation(name));
    if (!symbol || symbol.flags & ts.SymbolFlags.TypeParameter || seen.has(symbol)) return;
    const [declaration] = symbol.declarations ?? [];
    if (declaration) report(declaration, [`${symbol.name} is not exported`]);
  }

  function isDocumented(symbol) {
    return symbol.getDocumentationComment(checker).length > 0;
  }

  /** Members that come from a base which is not exported. */
  function inherited(symbol) {
    if (!(symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface))) return;
    for (const member of checker.getDeclaredTypeOfSymbol(symbol).getProperties()) {
      const [declaration] = member.declarations ?? [];
      const named = declaration?.name && !ts.isPrivateIdentifier(declaration.name) && !isHidden(declaration);
      if (named && !isDocumented(member)) report(declaration, [symbol.name, member.name]);
    }
  }

  function report(node, path) {
    const file = relative(root, node.getSourceFile().fileName);
    if (file.startsWith('dist/')) found.add(`${file.slice('dist/'.length)}: ${path.join('.')}`);
  }

  /** What a declaration has inside: members of classes, interfaces and of every type that is written out in it. */
  function visit(node, path) {
    ts.forEachChild(node, (child) => {
      unexported(child);
      const named = isMember(child) && child.name && !ts.isPrivateIdentifier(child.name) && !isHidden(child);
      if (isMember(child) && !named) return;
      const inside = named ? [...path, child.name.getText()] : path;
      // A setter has a text of its own: what it takes, and what it throws.
      const documented = ts.isSetAccessor(child)
        ? ts.getJSDocCommentsAndTags(child).length > 0
        : !named || isDocumented(checker.getSymbolAtLocation(child.name));
      if (!documented) report(child, inside);
      visit(child, inside);
    });
  }
}

function isMember(node) {
  return ts.isTypeElement(node) || ts.isClassElement(node);
}

/** TypeScript's private and protected. */
function isHidden(node) {
  const hidden = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword];
  return ts.getModifiers(node)?.some(({ kind }) => hidden.includes(kind)) ?? false;
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const names = undocumented();
  for (const name of names) console.log(name);
  console.log(`${names.length} public members have no docstring, or a type that is not exported`);
  process.exitCode = names.length === 0 ? 0 : 1;
}
