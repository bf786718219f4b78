import { escapeHtml } from './html-page.js';

/** Charts as SVG. Every mark stands for one datum, has the class `mark`, and tells its figures in a title. */

const WIDTH = 900;
/** Room for labels at the left, for values at the right, above the axis. */
const LEFT = 210;
const RIGHT = 110;
const ROW = 22;
const HEIGHT = 240;
const BASE = 30;

/** Which of two runs a mark belongs to, or what is lost. */
export type Tone = 'a' | 'b' | 'lost';

export interface Bar {
  label: string;
  value: number;
  tone?: Tone;
}

function figure(label: string, height: number, body: string): string {
  const text = escapeHtml(label);
  return `<figure><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${text}">${body}</svg><figcaption>${text}</figcaption></figure>`;
}

const round = (value: number): string => value.toFixed(1);

/** Bars from the left, one per row. */
export function barChart(label: string, bars: readonly Bar[], text: (value: number) => string): string {
  const most = Math.max(...bars.map(({ value }) => value), 0) || 1;
  const rows = bars.map(({ label: name, value, tone = 'a' }, i) => {
    const y = i * ROW;
    const width = ((WIDTH - LEFT - RIGHT) * value) / most;
    const said = escapeHtml(text(value));
    return `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escapeHtml(name)}</text>
<rect class="mark ${tone}" x="${LEFT}" y="${y + 3}" width="${round(Math.max(width, 1))}" height="${ROW - 6}"><title>${escapeHtml(name)}: ${said}</title></rect>
<text x="${round(LEFT + width + 8)}" y="${y + 15}">${said}</text>`;
  });
  return figure(label, bars.length * ROW + 4, rows.join('\n'));
}

export interface Line {
  label: string;
  tone: Tone;
  values: readonly number[];
}

/** Values over their index. */
export function lineChart(
  label: string,
  lines: readonly Line[],
  text: (value: number) => string,
  under: (index: number) => string,
): string {
  const most = Math.max(...lines.flatMap(({ values }) => values), 0) || 1;
  const count = Math.max(...lines.map(({ values }) => values.length), 2);
  const x = (i: number): string => round(LEFT / 2 + ((WIDTH - LEFT / 2 - 20) * i) / (count - 1));
  const y = (value: number): string => round(HEIGHT - BASE - ((HEIGHT - BASE - 20) * value) / most);
  const axis = `<path class="axis" d="M${LEFT / 2} 10V${HEIGHT - BASE}H${WIDTH - 20}"/>
<text x="${LEFT / 2 - 8}" y="24" text-anchor="end">${escapeHtml(text(most))}</text>
<text x="${LEFT / 2 - 8}" y="${HEIGHT - BASE}" text-anchor="end">0</text>
<text x="${LEFT / 2}" y="${HEIGHT - 10}">${escapeHtml(under(0))}</text>
<text x="${WIDTH - 20}" y="${HEIGHT - 10}" text-anchor="end">${escapeHtml(under(count - 1))}</text>`;
  const drawn = lines.map(({ label: name, tone, values }, row) => {
    const points = values.map((value, i) => `${x(i)},${y(value)}`);
    const marks = values.map(
      (value, i) =>
        `<circle class="mark ${tone}" cx="${x(i)}" cy="${y(value)}" r="3"><title>${escapeHtml(`${name}, ${under(i)}: ${text(value)}`)}</title></circle>`,
    );
    return `<polyline class="line ${tone}" points="${points.join(' ')}"/>${marks.join('')}
<circle class="${tone}" cx="${LEFT}" cy="${HEIGHT - 14}" r="4" transform="translate(${row * 180 + 40} 0)"/><text x="${LEFT + 50 + row * 180}" y="${HEIGHT - 10}">${escapeHtml(name)}</text>`;
  });
  return figure(label, HEIGHT, axis + drawn.join('\n'));
}

/** A range of device addresses from one step to another. */
export interface Range {
  address: number;
  length: number;
  from: number;
  to: number;
  lost: boolean;
  text: string;
}

/** Ranges of device address space over steps: addresses upwards, steps to the right. */
export function rangeChart(label: string, ranges: readonly Range[], steps: number): string {
  const low = Math.min(...ranges.map(({ address }) => address));
  const high = Math.max(...ranges.map(({ address, length }) => address + length));
  const span = high - low || 1;
  const x = (step: number): number => LEFT / 2 + ((WIDTH - LEFT / 2 - 20) * step) / steps;
  const y = (address: number): number => HEIGHT - BASE - ((HEIGHT - BASE - 10) * (address - low)) / span;
  const hex = (address: number): string => `0x${address.toString(16)}`;
  const drawn = ranges.map(({ address, length, from, to, lost, text }) => {
    const top = y(address + length);
    return `<rect class="mark ${lost ? 'lost' : 'a'}" x="${round(x(from) + 1)}" y="${round(top)}" width="${round(Math.max(x(to) - x(from) - 2, 2))}" height="${round(Math.max(y(address) - top - 1, 2))}"><title>${escapeHtml(`${hex(address)}, ${length} bytes: ${text}`)}</title></rect>`;
  });
  const numbers = Array.from(
    { length: steps },
    (_, i) => `<text x="${round((x(i) + x(i + 1)) / 2)}" y="${HEIGHT - 10}" text-anchor="middle">${i + 1}</text>`,
  );
  const axis = `<path class="axis" d="M${LEFT / 2} 10V${HEIGHT - BASE}H${WIDTH - 20}"/>
<text x="${LEFT / 2 - 6}" y="20" text-anchor="end">${hex(high)}</text><text x="${LEFT / 2 - 6}" y="${HEIGHT - BASE}" text-anchor="end">${hex(low)}</text>`;
  return figure(label, HEIGHT, axis + drawn.join('\n') + numbers.join(''));
}
