import { readFileSync } from 'node:fs';
import type { CoreModules } from '../../src/core/instance.js';

const module = new WebAssembly.Module(readFileSync(new URL('../../build/debug.wasm', import.meta.url)));

const { options } = JSON.parse(readFileSync(new URL('../../asconfig.json', import.meta.url), 'utf8'));

/**
 * The debug build, which traps on a failed assertion, and fails at the call that writes to the null record. Its one module
 * is the core and the tools.
 */
export const debug: CoreModules = { core: module, tools: module, nullRecord: options.memoryBase };
