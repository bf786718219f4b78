import { register } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { ProgramEnd } from './reproducer.js';

/** The process that runs a printed program: 'gemdma' is this package, whatever is installed where the program lies. */

const index = new URL('./index.js', import.meta.url).href;
const hooks = `export const resolve = (name, context, next) =>
  name === 'gemdma' ? { url: ${JSON.stringify(index)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

let end: ProgramEnd = null;
try {
  await import(pathToFileURL(process.argv[2]).href);
} catch (error) {
  const thrown: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  const { name, message, code } = thrown;
  end = { name, message, ...(code !== undefined && { code }) };
}
process.send!(end, () => process.exit());
