import { WriteStream } from 'node:tty';
import Table from 'cli-table3';
import { filesize } from 'filesize';
import picocolors from 'picocolors';
import wrapAnsi from 'wrap-ansi';

/**
 * Output of the commands: plain text of at most 80 columns, narrower on a narrower terminal. Colours are Node's decision
 * (FORCE_COLOR with its values, TERM), on a terminal or where they are asked for, and never against NO_COLOR or --no-color.
 */

const { NO_COLOR, FORCE_COLOR } = process.env;
const refused = Boolean(NO_COLOR) || process.argv.includes('--no-color');
const wanted = process.stdout.isTTY === true || FORCE_COLOR !== undefined;

export const { bold, dim, green, red, yellow, cyan, isColorSupported } = picocolors.createColors(
  !refused && wanted && WriteStream.prototype.getColorDepth(process.env) > 1,
);

/** Columns of text: what the terminal has, at most 80. */
export function columns(): number {
  return Math.min(80, process.stdout.columns || 80);
}

const count = new Intl.NumberFormat('en-US');

/** 1234567 -> '1,234,567'. */
export function number(value: number): string {
  return count.format(value);
}

/** 4194304 -> '4 MiB', 6144 -> '6 KiB', with one decimal below 10 where needed. */
export function bytes(value: number): string {
  const { exponent } = filesize(value, { standard: 'iec', output: 'object' });
  const round = value / 1024 ** exponent < 10 ? 1 : 0;
  return filesize(value, { standard: 'iec', round });
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

/**
 * Rows in aligned columns without lines; the first column to the left, the others to the right. Where the terminal is too
 * narrow for that, a paragraph a row.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const out = new Table({
    head: head.map((text) => dim(text)),
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
  });
  for (const row of rows) out.push([...row]);
  const lines = out
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  return columns() < 80 && out.width > columns() ? paragraphs(head, rows) : lines.join('\n');
}

/** Each row by its first cell, with the others below it, each behind the head of its column. */
function paragraphs(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows
    .flatMap(([name, ...cells]) => [
      `  ${name}`,
      ...cells.flatMap((cell, i) =>
        cell === '' ? [] : [`    ${[dim(head[i + 1]), cell].filter(Boolean).join(': ')}`],
      ),
    ])
    .join('\n');
}

/** Prints lines, wrapped where the terminal is narrower than they are, further lines as far in as the first. */
export function printLines(lines: string | readonly string[]): void {
  const text = typeof lines === 'string' ? lines : lines.join('\n');
  const width = process.stdout.columns || 0;
  const fitting =
    width === 0 || width >= 80
      ? text
      : text
          .split('\n')
          .map((line) => wrapped(line, width))
          .join('\n');
  process.stdout.write(`${fitting}\n`);
}

function wrapped(line: string, width: number): string {
  const indent = /^ */.exec(line)![0].slice(0, width >> 1);
  return wrapAnsi(line.slice(indent.length), width - indent.length, { trim: false })
    .split('\n')
    .map((part) => indent + part)
    .join('\n');
}

/** A text in lines of at most the terminal's width, each so far in. */
export function paragraph(text: string, indent = ''): string {
  return wrapped(indent + text, columns());
}

/** One JSON value on standard output, for machines. */
export function json(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
