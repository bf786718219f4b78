import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Option } from 'commander';
import { GemDmaError } from '../core/errors.js';
import { DEFAULT_POLICY, POLICY_NAMES } from '../i915/policy/index.js';
import { type MappingPolicy, POLICY_HOOKS } from '../i915/policy/policy.js';
import { newPolicy, type PolicySource, splitSource } from '../stress-i915/policy.js';

import { asUsageError, Interrupted, UsageError } from './exit.js';

/** --policy: a preset mapping policy of i915, or a user's policy from a module. */

/** A policy, and the module of a user's policy. */
export interface GivenPolicy {
  policy: PolicySource;
  /** The module's URL, with `#name` for a named export. */
  source?: string;
}

/** The option, with the presets for help and completion; `readPolicy` knows what holds without it. */
export function policyOption(): Option {
  const option = new Option(
    '--policy <preset|file>',
    `mapping policy of i915, or your own: a module, module#export (default: ${DEFAULT_POLICY})`,
  );
  option.argChoices = [...POLICY_NAMES];
  return option;
}

/** Whether the option names a user's module. */
export function isOwnPolicy(text: string | undefined): boolean {
  return text !== undefined && !(POLICY_NAMES as readonly string[]).includes(text);
}

/**
 * What the option says.
 * @throws UsageError if the text is neither a preset nor a module with a policy; Interrupted if its import does not end
 */
export async function readPolicy(text: string | undefined, signal: AbortSignal): Promise<GivenPolicy> {
  if (text === undefined) return { policy: DEFAULT_POLICY };
  const preset = POLICY_NAMES.find((name) => name === text);
  if (preset !== undefined) return { policy: preset };
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Interrupted()), { once: true });
  });
  return Promise.race([importPolicy(text), aborted]);
}

/**
 * Imports a policy: the default export, or the one named after `#`; the policy itself or a function that makes one.
 * TypeScript is read where Node does it, and otherwise with its types taken out as Node would.
 * @throws UsageError when there is no such module, or when it has no policy
 */
async function importPolicy(text: string): Promise<GivenPolicy> {
  const { module, name } = splitSource(text);
  const path = pathOf(module);
  if (!existsSync(path))
    throw new UsageError(`--policy: '${module}' is no file and none of the presets ${POLICY_NAMES.join(', ')}`);
  const url = pathToFileURL(path).href;
  if (/\.[mc]?ts$/.test(path) && !('typescript' in process.features && process.features.typescript)) {
    register(new URL('./typescript-hooks.js', import.meta.url));
  }
  let exports: Record<string, unknown>;
  try {
    exports = await import(url);
  } catch (error) {
    throw new UsageError(`--policy: ${module} cannot be imported: ${importError(error, url)}`);
  }
  const policy = exports[name];
  if (policy === undefined) {
    const others = Object.keys(exports).map((other) => `${module}#${other}`);
    const hint = others.length > 0 ? `; there is ${others.join(', ')}` : '';
    throw new UsageError(
      `--policy: ${module} has no ${name === 'default' ? 'default export' : `export ${name}`}${hint}`,
    );
  }
  checkPolicy(module, policy as PolicySource);
  return { policy: policy as PolicySource, source: name === 'default' ? url : `${url}#${name}` };
}

function pathOf(module: string): string {
  return resolve(module.startsWith('file:') ? fileURLToPath(module) : module);
}

/** The error of an import, with the line of the file if it is known, and for a syntax error with the version of Node. */
function importError(error: unknown, url: string): string {
  // The remover of types throws plain objects.
  const { message = String(error), stack = '', name, startLine } = error as Partial<Error> & { startLine?: number };
  if (startLine !== undefined) return `${message}, line ${startLine} (Node ${process.versions.node})`;
  const path = fileURLToPath(url);
  // Node prints the line of a syntax error and keeps it out of the error.
  const told =
    name === 'SyntaxError' ? spawnSync(process.execPath, ['--check', path], { encoding: 'utf8' }).stderr : stack;
  const from = [url, path].find((text) => told.includes(`${text}:`));
  const line = from === undefined ? undefined : /^:(\d+)/.exec(told.slice(told.indexOf(`${from}:`) + from.length))?.[1];
  const node = name === 'SyntaxError' ? ` (Node ${process.versions.node})` : '';
  const commonJs = /^Unexpected token 'export'|^Cannot use import statement/.test(message);
  const hint = commonJs
    ? `: it is read as CommonJS, unless its name ends in .m${path.endsWith('ts') ? 'ts' : 'js'}`
    : '';
  return `${message}${line === undefined ? '' : `, line ${line}`}${node}${hint}`;
}

/** Makes a policy once, to check that it is one and has a hook. */
function checkPolicy(module: string, source: PolicySource): void {
  let policy: MappingPolicy;
  try {
    policy = newPolicy(source);
  } catch (error) {
    const told = asUsageError(error);
    throw new UsageError(`--policy: ${module}: ${told instanceof UsageError ? told.message : told}`);
  }
  // A hook with a typing error would never be called, and the run would be green.
  const known: readonly string[] = ['name', ...POLICY_HOOKS, 'snapshot', 'restore'];
  for (const name of functionsOf(policy)) {
    if (known.includes(name) || name.startsWith('_')) continue;
    throw new UsageError(
      `--policy: ${module}: '${policy.name}' has '${name}', which is none of the hooks ${POLICY_HOOKS.join(', ')}` +
        ' (a function that is no hook begins with _)',
    );
  }
  if (POLICY_HOOKS.every((hook) => policy[hook] === undefined)) {
    throw new UsageError(`--policy: ${module}: '${policy.name}' has none of the hooks ${POLICY_HOOKS.join(', ')}`);
  }
}

/** Names of an object's functions, its own and those of its classes. */
function functionsOf(object: object): Set<string> {
  const names = new Set<string>();
  for (let at: object = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && name !== 'constructor') names.add(name);
    }
  }
  return names;
}

/** An error of the policy's own code as wrong use; any other error as it is. */
export function policyError(error: unknown, text: string | undefined): unknown {
  if (text === undefined || !isOwnPolicy(text)) return error;
  const path = pathOf(splitSource(text).module);
  const { stack = '', code } = error as { stack?: string; code?: unknown };
  const its = !(error instanceof Error) || [path, pathToFileURL(path).href].some((name) => stack.includes(name));
  // A hook returned a wrong value, or refused an operation that the work needs.
  const wrong = code === 'ERR_INVALID_RETURN_VALUE' || code === 'ERR_INVALID_ARG_TYPE' || GemDmaError.is(error);
  if (error instanceof UsageError || error instanceof Interrupted || !(its || wrong)) return error;
  return new UsageError(`--policy: ${path} has thrown ${error}`);
}
