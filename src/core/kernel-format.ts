/**
 * Texts of a kernel as data. A text has fields in braces, with a conversion of the kernel after a colon:
 *
 *     {size}              decimal, or text as it is
 *     {d:02}              decimal with so many digits
 *     {address:x}         hexadecimal; {address:016x} with so many digits
 *     {address:pa}        as %pa prints it: 0x and sixteen digits
 *     {address:virt}      a physical address where the kernel's direct map has it
 *     {d:dir}             the name of a direction
 */

/** The fields of a text. */
export interface Fields {
  readonly [name: string]: string | number | bigint | undefined;
}

const PLACE = /\{(\w+)(?::(\w+))?\}/g;
/** Where the direct map begins on x86-64 with four levels of tables and without KASLR (PAGE_OFFSET). */
const DIRECT_MAP = 0xffff888000000000n;

/** A text with its fields filled in. Throws for a field that is not there, or a number where none fits. */
export function fill(text: string, fields: Fields): string {
  return text.replace(PLACE, (place, name: string, conversion: string | undefined) => {
    const value = fields[name];
    if (value === undefined) throw new Error(`no field for ${place} in: ${text}`);
    return convert(value, conversion);
  });
}

function convert(value: string | number | bigint, conversion: string | undefined): string {
  if (conversion === undefined) return String(value);
  if (conversion === 'dir') return `DMA_${value}`;
  if (conversion === 'pa') return `0x${value.toString(16).padStart(16, '0')}`;
  if (conversion === 'virt') return (BigInt(value) + DIRECT_MAP).toString(16);
  const digits = Number.parseInt(conversion, 10) || 0;
  return (conversion.endsWith('x') ? value.toString(16) : String(value)).padStart(digits, '0');
}
