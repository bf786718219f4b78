/** A text as a JavaScript literal, in single quotes where it has nothing to escape. */
export function stringLiteral(text: string): string {
  return /^[^'\\\p{Cc}\u2028\u2029]*$/u.test(text) ? `'${text}'` : JSON.stringify(text);
}

/** A value as a JavaScript literal in one line, without quotes where names need none. */
export function literal(value: unknown): string {
  if (typeof value === 'string') return stringLiteral(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[ ${value.map(literal).join(', ')} ]`;
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  const key = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? name : stringLiteral(name));
  return entries.length === 0
    ? '{}'
    : `{ ${entries.map(([name, part]) => `${key(name)}: ${literal(part)}`).join(', ')} }`;
}

/** A text that may be anything as part of a comment of one line. */
export function commentText(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

/** A word for a shell. */
export function shellWord(word: string): string {
  return /^[\w./:@%+#-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
