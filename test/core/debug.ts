import { readFileSync } from 'node:fs';
import type { CoreModules } from '../../src/core/instance.js';

const module = new WebAssembly.Module(readFileSync(new URL('../../build/debug.wasm', import.meta.url)));

/** The debug build, which traps on a failed assertion. Its one module is the core and the tools. */
export const debug: CoreModules = { core: module, tools: module };
