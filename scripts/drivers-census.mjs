// Which files of a kernel tree that use the DMA API compile for gemdma, and what the others lack.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { table } from '../dist/cli/print.js';
import { compileDriver } from '../dist/driver/build.js';

const FOLDERS = ['drivers', 'sound', 'net', 'kernel', 'lib'];
const USES = /^\s*#\s*include\s*<linux\/dma-mapping\.h>/m;

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith('.c')) yield path;
  }
}

/**
 * Every n-th of the files that use the DMA API, so that there are `count`; the first is number `offset`. With `under`, every
 * file of that folder counts.
 */
export async function census(kernel, count, offset = 0, under) {
  const all = [];
  for (const folder of under === undefined ? FOLDERS : [under]) {
    try {
      for (const path of sources(join(kernel, folder))) {
        if (under !== undefined || USES.test(readFileSync(path, 'utf8'))) all.push(path);
      }
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  const step = Math.max(Math.floor(all.length / count), 1);
  const chosen = all.filter((_, i) => i % step === offset % step).slice(0, count);
  const rows = [];
  let next = 0;
  const worker = async () => {
    while (next < chosen.length) {
      const path = chosen[next++];
      const message = await compileDriver(path, kernel);
      rows.push({ file: relative(kernel, path), compiled: message === null, ...(message !== null && reason(message)) });
    }
  };
  await Promise.all([worker(), worker()]);
  rows.sort((a, b) => (a.file < b.file ? -1 : 1));
  return { of: all.length, under, sample: rows.length, compiled: rows.filter(({ compiled }) => compiled).length, rows };
}

/** Why a file does not compile, by the first of the compiler's errors. */
function reason(message) {
  const line = message.split('\n').find((text) => /error:/.test(text)) ?? message;
  const text = line.replace(/^.*?error: /, '');
  const header = /'([^']+\.h)' file not found/.exec(text)?.[1];
  if (header) return { why: /^(asm|mach|plat)\//.test(header) ? 'header of an architecture' : 'header', what: header };
  if (/undeclared|implicit|incomplete|no member|unknown type|does not support|undefined/.test(text)) {
    return { why: 'config, or our gap', what: text };
  }
  return { why: 'other', what: text };
}

export function censusText({ of, under, sample, compiled, rows }) {
  const failed = rows.filter((row) => !row.compiled);
  const share = ((100 * compiled) / Math.max(sample, 1)).toFixed(0);
  return [
    ...(failed.length === 0
      ? []
      : [
          table(
            ['file', 'why', 'what'],
            failed.map(({ file, why, what }) => [file, why, what.slice(0, 90)]),
          ),
          '',
        ]),
    `${compiled} of a sample of ${sample} compile (${share} %), of ${of} files ${under === undefined ? 'that include linux/dma-mapping.h' : `below ${under}`}`,
  ].join('\n');
}
