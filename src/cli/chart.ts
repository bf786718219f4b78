import { plot } from 'asciichart';
import { columns as terminal } from './print.js';

/** Curves on a terminal, over an axis of values that grow by factors. */

export interface Series {
  name: string;
  values: readonly number[];
}

/** Columns left of the curves: values of y, and the axis. */
const MARGIN = 11;
const MOST_WIDTH = 60;
const HEIGHT = 12;

/**
 * Draws series over a logarithmic x axis; the y axis starts at 0. Points are joined by straight lines.
 * @param xs ascending positive values, one a point
 * @param label how a value of x is written below the axis
 * @param colors escape codes, one a series; none for plain text
 */
export function chart(
  xs: readonly number[],
  series: readonly Series[],
  label: (x: number) => string,
  colors?: readonly string[],
): string {
  const width = Math.min(MOST_WIDTH, terminal() - MARGIN - 4);
  const places = xs.map(Math.log);
  const span = places.at(-1)! - places[0] || 1;
  const columns = places.map((place) => Math.round(((place - places[0]) / span) * (width - 1)));
  const lines = series.map(({ values }) => stretch(columns, values, width));
  const most = Math.max(...series.flatMap(({ values }) => values));
  const picture = plot(lines, {
    height: HEIGHT,
    min: 0,
    max: most,
    format: (y: number) => `${y < 100 ? y.toFixed(1) : y.toFixed(0)} `.padStart(9),
    ...(colors && { colors: [...colors] }),
  });
  const axis = new Array<string>(width + 24).fill(' ');
  let free = 0;
  xs.forEach((x, i) => {
    const text = label(x);
    const at = MARGIN - 1 + Math.max(0, columns[i] - (text.length >> 1));
    if (at < free) return;
    axis.splice(at, text.length, ...text);
    free = at + text.length + 1;
  });
  return `${picture}\n${axis.join('').trimEnd()}`;
}

/** A value for each column from the first point to the last. */
function stretch(columns: readonly number[], values: readonly number[], width: number): number[] {
  if (columns.length === 1) return new Array<number>(width).fill(values[0]);
  const line: number[] = [];
  for (let column = columns[0], i = 0; column <= columns.at(-1)!; ++column) {
    while (i + 2 < columns.length && column > columns[i + 1]) ++i;
    const share = (column - columns[i]) / Math.max(1, columns[i + 1] - columns[i]);
    line.push(values[i] + (values[i + 1] - values[i]) * Math.min(1, share));
  }
  return line;
}
