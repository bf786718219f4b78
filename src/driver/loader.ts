import { GemDmaError } from '../core/errors.js';
import { PAGE_SIZE as PAGE } from '../core/generated/constants.js';
import type { BaseMachine } from '../machine/machine.js';
import { type DriverCoreExports, driverCore } from './core-module.js';
import { dylinkOf, sectionsOf } from './module.js';

/**
 * Loads a compiled driver into a machine, as insmod does: its data and stack are blocks of the machine's own linear memory, and
 * what it calls of the core is linked to it wasm to wasm.
 */

/** Bytes of the driver's stack: large, as there is one for everything. */
const STACK_ORDER = 5;

/** A place in linear memory that is the module's own. */
export interface MemoryRange {
  start: number;
  bytes: number;
}

export interface LoadedModule {
  readonly exports: Record<string, (...args: number[]) => number>;
  readonly data: MemoryRange;
  readonly stack: MemoryRange;
  readonly stackPointer: WebAssembly.Global<'i32'>;
  readonly core: DriverCoreExports;
  /** Functions that neither the runtime nor the driver has: a call throws an error with the name. */
  readonly missing: string[];
}

/** Imports of the core's module (assembly/driver/host.ts). */
export interface CoreCallbacks {
  settle(): void;
  report(
    kind: number,
    address: number,
    size: number,
    write: number,
    other: number,
    length: number,
    dma: number,
    dir: number,
    site: number,
  ): void;
}

/** What the host gives to C, by name; what they return is a number or nothing. */
export type HostFunctions = Record<string, (...args: number[]) => unknown>;

const modules = new WeakMap<Uint8Array, WebAssembly.Module>();

/** A module is compiled once for all machines. */
function compiled(wasm: Uint8Array): WebAssembly.Module {
  let module = modules.get(wasm);
  if (!module) {
    try {
      module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
    } catch (error) {
      throw new GemDmaError('EINVAL', 'driver_load', (error as Error).message, { cause: error });
    }
    modules.set(wasm, module);
  }
  return module;
}

/** Functions that the driver calls and that are not there: neither the core, nor the host, nor the driver itself. */
export function missingFunctions(wasm: Uint8Array, host: readonly string[]): string[] {
  const core = new Set(WebAssembly.Module.exports(driverCore()).map(({ name }) => name));
  const provided = new Set(host);
  return WebAssembly.Module.imports(compiled(wasm))
    .filter(({ module, kind }) => module === 'env' && kind === 'function')
    .map(({ name }) => name)
    .filter((name) => !core.has(name) && !provided.has(name));
}

/** @throws GemDmaError EINVAL if the module is not a driver, ENOMEM */
export function loadModule(
  machine: BaseMachine,
  wasm: Uint8Array,
  callbacks: CoreCallbacks,
  host: HostFunctions,
  kasan: boolean,
  onMissing: (name: string) => never,
): LoadedModule {
  const module = compiled(wasm);
  const dylink = dylinkOf(sectionsOf(wasm).custom);
  const { core, context } = machine;
  const env = { memory: core.memory };
  const driver = new WebAssembly.Instance(driverCore(), { env, host: { ...callbacks } })
    .exports as unknown as DriverCoreExports;
  if (!driver.gd_attach(context, kasan ? 1 : 0)) throw noMemory("the machine's record of C drivers");
  driver.gd_shadow_attach();
  const data = block(machine, driver, Math.max(dylink.memorySize, 1));
  const stack = block(machine, driver, PAGE << STACK_ORDER);
  const table = new WebAssembly.Table({ initial: dylink.tableSize + 1, element: 'anyfunc' });
  const stackPointer = new WebAssembly.Global({ value: 'i32', mutable: true }, stack.start + stack.bytes);
  const constant = (value: number): WebAssembly.Global =>
    new WebAssembly.Global({ value: 'i32', mutable: false }, value);
  const missing: string[] = [];
  const got: Record<string, Record<string, WebAssembly.Global>> = { 'GOT.mem': {}, 'GOT.func': {} };
  const imports: Record<string, WebAssembly.ImportValue> = {
    ...env,
    __indirect_function_table: table,
    __stack_pointer: stackPointer,
    __memory_base: constant(data.start),
    // Entry 0 is no function: a call through NULL traps.
    __table_base: constant(1),
  };
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (from !== 'env') {
      got[from] ??= {};
      got[from][name] = new WebAssembly.Global({ value: 'i32', mutable: true }, 0);
    } else if (kind === 'function') {
      const found = host[name] ?? (driver as unknown as Record<string, WebAssembly.ImportValue>)[name];
      if (found === undefined) missing.push(name);
      imports[name] = (found as WebAssembly.ImportValue | undefined) ?? (() => onMissing(name));
    }
  }
  const { exports } = new WebAssembly.Instance(module, { env: imports, ...got });
  for (const [name, global] of Object.entries(got['GOT.mem'])) {
    const own = exports[name];
    if (own instanceof WebAssembly.Global) global.value = (own.value as number) + data.start;
    else if (own === undefined) missing.push(name);
  }
  for (const [name, global] of Object.entries(got['GOT.func'])) {
    const own = exports[name] ?? imports[name];
    if (typeof own !== 'function') {
      missing.push(name);
      continue;
    }
    global.value = table.grow(1);
    table.set(global.value as number, own as () => void);
  }
  const functions = exports as LoadedModule['exports'];
  functions.__wasm_apply_data_relocs?.();
  functions.__wasm_call_ctors?.();
  functions.gd_boot();
  return { exports: functions, data, stack, stackPointer, core: driver, missing };
}

/** A block of linear memory that holds that many bytes, zeroed, and that C may touch. */
function block(machine: BaseMachine, driver: DriverCoreExports, size: number): MemoryRange {
  let order = 0;
  while (PAGE << order < size) ++order;
  const start = machine.core.exports.blockAlloc(machine.context, order);
  if (start === 0) throw noMemory(`${size} bytes of the driver`);
  const bytes = PAGE << order;
  machine.core.fillBytes(start, bytes, 0);
  driver.gd_open(start, bytes);
  return { start, bytes };
}

function noMemory(what: string): GemDmaError {
  return new GemDmaError('ENOMEM', 'init_module', `no linear memory left for ${what}`);
}
