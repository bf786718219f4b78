import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Files of the repository, by their paths. */
export const tracked: readonly string[] = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '');

/** The text of a file of the repository. */
export function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** A text in two: its comments by line, and what is left without them. Texts in quotes stay. */
export function split(text: string): { comments: { line: number; text: string }[]; code: string } {
  const comments: { line: number; text: string }[] = [];
  let line = 1;
  const part =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*(?=[\s.,;)\]])|\n|[^\n]/g;
  let code = '';
  for (const [it] of text.matchAll(part)) {
    if (it.startsWith('/*') || it.startsWith('//')) {
      for (const [i, one] of it.split('\n').entries()) comments.push({ line: line + i, text: one });
    } else code += it;
    line += it.split('\n').length - 1;
  }
  return { comments, code };
}

/** What a comment names: files, and names of code in backticks or in camel case. */
export function namesIn(comment: string): { files: string[]; names: string[] } {
  const files = [...comment.matchAll(/(?<![\w/.*-])(?:[\w-]+\/)*[\w-][\w.-]*\.(?:ts|mjs|md|json)\b/g)].map(
    ([file]) => file,
  );
  const words = comment.replaceAll(/[\w./-]+\.(?:ts|mjs|md|json|js|c|h)\b/g, ' ');
  const quoted = [...words.matchAll(/`([A-Za-z_$][\w$]*)(?:\(\))?`/g)].map(([, name]) => name);
  const camel = [...words.matchAll(/(?<![\w.$'"-])[a-z]+[A-Z][A-Za-z\d]*\b/g)].map(([name]) => name);
  return { files, names: [...new Set([...quoted, ...camel])] };
}
