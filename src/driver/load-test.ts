import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GemDmaError, invalidType } from '../core/errors.js';
import type { DriverTest } from './scenario.js';

/**
 * Loads a test from its module.
 * @param test path or file URL
 * @throws GemDmaError ENOENT, or EINVAL if the module's default export is not a test
 */
export async function loadTest(
  test:
    | string
    | {
        /** A URL, such as `new URL('nic.test.mjs', import.meta.url)`. */
        readonly href: string;
      },
): Promise<DriverTest> {
  const text: unknown = typeof test === 'string' ? test : test?.href;
  if (typeof text !== 'string') throw invalidType('test', 'a path or a URL', test);
  const url = text.startsWith('file:') ? text : pathToFileURL(resolve(text)).href;
  let loaded: { default?: unknown };
  try {
    loaded = await import(url);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new GemDmaError('ENOENT', 'import', (error as Error).message);
  }
  if (typeof loaded.default !== 'object' || loaded.default === null) {
    throw new GemDmaError('EINVAL', 'import', `${text} has no default export with device, model and run`);
  }
  return loaded.default as DriverTest;
}
