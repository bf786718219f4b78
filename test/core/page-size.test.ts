import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** One number of bytes of a page: PAGE_SIZE, PAGE_MASK of assembly/ram/ram.ts, and BLOCK_SIZE of the pages of linear memory. */

const ROOT = join(import.meta.dirname, '../..');

/** Lines whose number is no page, or which are where the number is said. */
const OTHERS: readonly (readonly [file: RegExp, line: RegExp])[] = [
  [/^assembly\/ram\/ram\.ts$/, /^export const PAGE_(?:SIZE|MASK)/],
  [/^assembly\/memory\/block\.ts$/, /^export const BLOCK_SIZE/],
  [/^assembly\/iova\/span\.ts$/, /HEIGHT_MASK/],
  // A pfn: 16 MiB.
  [/^assembly\/ram\/ram\.ts$/, /^export const DMA_ZONE_END/],
  // Sizes of buffers, limits of counts, an errno, registers of a device.
  [
    /^src\/(?:trace|stress|cli)\//,
    /new (?:Uint8Array|Float64Array|Uint32Array)\(4096\)|MAX_\w+ = 409[56]|DEFAULT_CHECK_EVERY|LEAST_STEP|source\.size/,
  ],
  // A pattern for a line of the log.
  [/^src\/workload\/corpus\/devices\.ts$/, /overflow/],
  [/^src\/core\/handle\.ts$/, /MAX_ERRNO/],
  [/^src\/driver\//, /CONFIG_BYTES|bars = \[4096\]|n < 4096|most = 4096|\? 4096/],
];

const NUMBER = /\b(?:4096|4095|0x1000|0xfff)n?\b/;

/** Text without comments and without quoted text, which may name the number to people; line ends stay. */
function code(text: string): string {
  const blank = (part: string): string => part.replace(/[^\n]/g, ' ');
  return text
    .replace(/\/\*[\s\S]*?\*\//g, blank)
    .replace(/(^|[^:'"`\\])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, blank);
}

test('the size of a page is said once', () => {
  const files = ['assembly', 'src'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((name) => name.endsWith('.ts') && !name.startsWith('src/core/generated/')),
  );
  expect(files.length).toBeGreaterThan(400);
  const found = files.flatMap((file) =>
    code(readFileSync(join(ROOT, file), 'utf8'))
      .split('\n')
      .map((line, i) => ({ line, place: `${file}:${i + 1}: ${line.trim()}` }))
      .filter(({ line }) => NUMBER.test(line) && !OTHERS.some(([where, what]) => where.test(file) && what.test(line)))
      .map(({ place }) => place),
  );
  expect(found).toEqual([]);
  expect(NUMBER.test(code('const bytes = pages * 4096; // 4 KiB'))).toBe(true);
});
