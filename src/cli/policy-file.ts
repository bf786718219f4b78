import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Option } from 'commander';
import { DEFAULT_POLICY, POLICY_NAMES } from '../i915/policy/index.js';
import { type MappingPolicy, POLICY_HOOKS } from '../i915/policy/policy.js';
import { newPolicy, type PolicySource, splitSource } from '../stress-i915/policy.js';

import { asUsageError, UsageError } from './exit.js';

/** --policy: a mapping policy of i915 by name, or one of the user's own from a module. */

/** A policy, and where a program imports one of the user's own from. */
export interface GivenPolicy {
  policy: PolicySource;
  /** The module's URL, with `#name` for a named export. */
  source?: string;
}

/** The option, with the presets for help and completion. */
export function policyOption(): Option {
  const option = new Option('--policy <preset|file>', 'mapping policy of i915, or your own: a module, module#export');
  option.argChoices = [...POLICY_NAMES];
  return option.default(DEFAULT_POLICY);
}

/** What the option says. @throws UsageError for what is neither a preset nor a module with a policy */
export async function readPolicy(text: string): Promise<GivenPolicy> {
  const preset = POLICY_NAMES.find((name) => name === text);
  return preset === undefined ? importPolicy(text) : { policy: preset };
}

/**
 * Imports a policy: the default export, or the one named after `#`; the policy itself or a function that makes one.
 * TypeScript is read where Node does it, and otherwise with its types taken out as Node would.
 * @throws UsageError when there is no such module, or when it has no policy
 */
async function importPolicy(text: string): Promise<GivenPolicy> {
  const { module, name } = splitSource(text);
  const path = resolve(module.startsWith('file:') ? fileURLToPath(module) : module);
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
    throw new UsageError(`--policy: ${module} cannot be imported: ${(error as Error).message}`);
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

/** Makes a policy once, to see that one comes of it and that it does something. */
function checkPolicy(module: string, source: PolicySource): void {
  let policy: MappingPolicy;
  try {
    policy = newPolicy(source);
  } catch (error) {
    const told = asUsageError(error);
    throw told instanceof UsageError ? told : new UsageError(`--policy: ${module}: ${told}`);
  }
  if (POLICY_HOOKS.every((hook) => policy[hook] === undefined)) {
    throw new UsageError(`--policy: ${module}: '${policy.name}' has none of the hooks ${POLICY_HOOKS.join(', ')}`);
  }
}

/** What a policy's own code has thrown in the middle of a call, as wrong use; any other error as it is. */
export function policyError(error: unknown, { source }: GivenPolicy): unknown {
  if (source === undefined) return error;
  const [module] = source.split('#');
  const its = error instanceof Error && error.stack?.includes(module) === true;
  return its ? new UsageError(`--policy: ${fileURLToPath(module)} has thrown ${error}`) : error;
}
