/** Explains diagnostics of the compiler: the header or the config symbol that is missing. */

const OWN_HINT =
  'own mode has no such header: build with --kernel DIR, a kernel tree, or add its folder with --include';
const TREE_HINT = 'the tree has no such header where it was looked for: add its folder with --include';

/** The compiler's output as it is, with a line for each header or function that is missing. */
export function explain(output: string, tree: boolean): string {
  const hints = new Set<string>();
  for (const [, header] of output.matchAll(/fatal error: '([^']+)' file not found/g)) {
    hints.add(`gemdma: <${header}> is missing: ${tree ? TREE_HINT : OWN_HINT}`);
  }
  for (const [, name] of output.matchAll(
    /error: (?:call to undeclared function|use of undeclared identifier|unknown type name) '([^']+)'/g,
  )) {
    const config = tree ? 'a header that a config symbol switches on, perhaps: --define CONFIG_...=1' : OWN_HINT;
    hints.add(`gemdma: ${name} is not known: ${config}`);
  }
  return [output.trim(), ...hints].join('\n');
}
