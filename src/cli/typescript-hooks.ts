import { readFile } from 'node:fs/promises';
import type { LoadHook } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A hook of Node's module loader, for versions that read no TypeScript themselves: takes the types out. */
export const load: LoadHook = async (url, context, next) => {
  if (!/^file:.*\.[mc]?ts$/.test(url)) return next(url, context);
  const { transformSync } = await import('@swc/wasm-typescript');
  const path = fileURLToPath(url);
  const { code } = transformSync(await readFile(path, 'utf8'), { mode: 'strip-only', module: true, filename: path });
  return { format: 'module', source: code, shortCircuit: true };
};
