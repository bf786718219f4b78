/** A value as a JavaScript literal, without quotes where names need none. */
export function literal(value: unknown): string {
  return JSON.stringify(value, null, 1)
    .replace(/"([A-Za-z_]\w*)":/g, '$1:')
    .replace(/"/g, "'")
    .replace(/\n\s*/g, ' ');
}
