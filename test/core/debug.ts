import { readFileSync } from 'node:fs';
import type { CoreModules } from '../../src/core/instance.js';
import { NULL_RECORD } from './null-record-size.js';

const module = new WebAssembly.Module(readFileSync(new URL('../../build/debug.wasm', import.meta.url)));

/**
 * The debug build, which traps on a failed assertion, and fails at the call that writes to the null record. Its one module
 * is the core and the tools.
 */
export const debug: CoreModules = { core: module, tools: module, nullRecord: NULL_RECORD };
