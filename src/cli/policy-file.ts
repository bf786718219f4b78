import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { newPolicy, type PolicySource, splitSource } from '../stress-i915/policy.js';

import { UsageError, usage } from './exit.js';

/** --policy FILE: a mapping policy of the user's own, from a module. */

/** A policy with where a program imports it from. */
export interface PolicyFile {
  policy: PolicySource;
  /** The module's URL, with `#name` for a named export. */
  source: string;
}

/**
 * Imports a policy: the default export, or the one named after `#`; the policy itself or a function that makes one.
 * TypeScript is read where Node does it, and otherwise with its types taken out as Node would.
 * @throws UsageError when there is no such module, or when it has no policy
 */
export async function importPolicy(text: string): Promise<PolicyFile> {
  const { module, name } = splitSource(text);
  const path = resolve(module.startsWith('file:') ? fileURLToPath(module) : module);
  if (!existsSync(path)) throw new UsageError(`--policy: ${module} is not there`);
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
  usage(() => newPolicy(policy as PolicySource));
  return { policy: policy as PolicySource, source: name === 'default' ? url : `${url}#${name}` };
}
