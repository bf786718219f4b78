import { driverCore } from './core-module.js';
import { HOST_FUNCTIONS } from './driver.js';
import { missingFunctions } from './loader.js';
import { CONSTANT } from './sources.js';

/** What a driver calls, and who has it. */
export interface DriverSymbol {
  name: string;
  /**
   * `core`: the core, wasm to wasm; `host`: JavaScript; `real`: the C runtime; `constant`: a constant result; `missing`.
   */
  kind: 'core' | 'host' | 'real' | 'constant' | 'missing';
  text: string;
}

/**
 * Functions of the kernel that a driver calls, by its undefined symbols before the runtime was linked to it.
 * @throws CompileError if the bytes are not a WebAssembly module
 */
export function symbolsOf(wasm: Uint8Array): DriverSymbol[] {
  const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
  const missing = missingFunctions(wasm, HOST_FUNCTIONS);
  const core = new Set(WebAssembly.Module.exports(driverCore()).map(({ name }) => name));
  const symbols: DriverSymbol[] = missing.map((name) => ({
    name,
    kind: 'missing',
    text: 'nobody has it: a call stops the driver',
  }));
  for (const name of calledBy(module)) {
    const constant = CONSTANT[name];
    if (constant !== undefined) symbols.push({ name, kind: 'constant', text: constant });
    else if (!missing.includes(name) && !core.has(name)) symbols.push({ name, kind: 'real', text: 'the runtime' });
  }
  for (const { name, kind } of WebAssembly.Module.imports(module)) {
    if (kind === 'function' && core.has(name))
      symbols.push({ name, kind: 'core', text: 'the core, without JavaScript' });
  }
  return symbols;
}

/** Names that the build noted: what the driver's own objects leave undefined. */
function calledBy(module: WebAssembly.Module): string[] {
  const [section] = WebAssembly.Module.customSections(module, 'gemdma.calls');
  return section ? Buffer.from(section).toString('utf8').split('\n').filter(Boolean) : [];
}
