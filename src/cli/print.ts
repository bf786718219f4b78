import Table from 'cli-table3';
import picocolors from 'picocolors';

/** Output of the commands: plain text that fits 80 columns, colours on a terminal only. */

// The library would also colour for CI systems, whose logs are read as text by scripts.
const colors = picocolors.createColors(process.stdout.isTTY === true && !process.env.NO_COLOR);

export const { bold, dim, green, red, yellow, cyan } = colors;

const count = new Intl.NumberFormat('en-US');

/** 1234567 -> '1,234,567'. */
export function number(value: number): string {
  return count.format(value);
}

/** 4194304 -> '4 MiB', 6144 -> '6 KiB', with one decimal where needed. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    ++unit;
  }
  const text = scaled < 10 && !Number.isInteger(scaled) ? scaled.toFixed(1) : String(Math.round(scaled));
  return `${text} ${units[unit]}`;
}

/** 12345678 -> '12.35 M', for rates. */
export function rate(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(0);
}

const NO_LINES = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle']
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
    .map((name) => [name, name === 'left' || name === 'middle' ? '  ' : '']),
);

/** Rows in aligned columns without lines; the first column to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const out = new Table({
    head: head.map((text) => dim(text)),
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
  });
  for (const row of rows) out.push([...row]);
  return out
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** One JSON value on standard output, for machines. */
export function json(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}
