import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as constants from '../../src/core/generated/constants.js';
import { hostNumbers, indexedViews, memoryUses, type Parameters, restated } from './contract-rules.js';

const ROOT = join(import.meta.dirname, '../..');
const contract = JSON.parse(readFileSync(join(ROOT, 'build/contract.json'), 'utf8')) as {
  functions: Record<
    string,
    { source: string; parameters: { name: string; type: { value?: string } }[]; returns: { value?: string } }
  >;
};
const parameters: Parameters = Object.fromEntries(
  Object.entries(contract.functions).map(([name, item]) => [name, item.parameters.map((parameter) => parameter.name)]),
);

/** Files of these folders, by path from the root. */
function filesOf(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.m?[tj]s$/.test(name))
      .map((name) => join(folder, name))
      .filter((path) => !path.startsWith('src/core/generated') && !path.startsWith('test/golden')),
  );
}

const langOf = (path: string): 'ts' | 'js' => (path.endsWith('.ts') ? 'ts' : 'js');
const check = (path: string, rule: (source: string, lang: 'ts' | 'js') => string[]): string[] =>
  rule(readFileSync(join(ROOT, path), 'utf8'), langOf(path)).map((line) => `${path}:${line}`);

describe('the contract with the core', () => {
  test('nothing says a number of the core again', () => {
    const found = filesOf('src', 'test', 'bench', 'examples').flatMap((path) =>
      check(path, (source, lang) => restated(source, constants, parameters, lang, path)),
    );
    expect(found).toEqual([]);
  });

  test('only src/core touches linear memory', () => {
    const outside = filesOf('src', 'test', 'bench', 'examples').filter((path) => !path.startsWith('src/core/'));
    expect(outside.flatMap((path) => check(path, memoryUses))).toEqual([]);
  });

  test('only the generated readers know where a field is', () => {
    const found = filesOf('src/core')
      .filter((path) => path !== 'src/core/instance.ts')
      .flatMap((path) => check(path, indexedViews));
    expect(found).toEqual([]);
  });

  test('only host.ts of a room converts numbers of the host', () => {
    // Figures of a benchmark are fractions: a histogram's mean and deviation.
    const fractions = join('assembly', 'bench', 'histogram.ts');
    const files = filesOf('assembly').filter((path) => basename(path) !== 'host.ts' && path !== fractions);
    expect(files.length).toBeGreaterThan(100);
    expect(files.flatMap((path) => check(path, hostNumbers))).toEqual([]);
    // The compiler's word for the same: what crosses as a double is exported by a host.ts.
    const crossing = Object.values(contract.functions).filter(({ parameters, returns }) =>
      [returns, ...parameters.map(({ type }) => type)].some(({ value }) => value === 'f64'),
    );
    const elsewhere = crossing.map(({ source }) => dirname(source)).filter((file) => basename(file) !== 'host');
    expect([...new Set(elsewhere)]).toEqual(['assembly/bench/histogram']);
  });

  test('a thing of the core has one name', () => {
    const lists = ['contract.ts', 'index.ts', 'tools.ts'].map((name) => join(ROOT, 'assembly', name));
    const renamed = lists.flatMap((path) => readFileSync(path, 'utf8').match(/^.*\w as \w.*$/gm) ?? []);
    expect(renamed.filter((line) => !line.startsWith('//'))).toEqual([]);
  });

  test('the rules find what they are for', () => {
    expect(
      hostNumbers(
        `export function map(at: f64): u32 { // f64\n  const x = 'f64'; /* f64\n f64 */ return <u32>at;\n}\nstore<f64>(at, 1);`,
      ),
    ).toEqual(['1: export function map(at: f64): u32 {', '5: store<f64>(at, 1);']);
    const planted = `
      const EVENT_FAULT = 10;
      const lazy = { block: 0, slab: 1 } as const;
      const FILTER_MATCH = 1 << 3;
      const KINDS = ['block', 'slab', 'ram']; KINDS.indexOf(kind);
      if (rc === -12) core.exports.faultArm(context, 8, 1);
      expect(rc).toBe(-28);`;
    expect(restated(planted, constants, parameters)).toEqual([
      '2: EVENT_FAULT = 10 is EVENT_FAULT',
      '3: lazy lists numbers of FAULT_*',
      '4: FILTER_MATCH = 8 is DEVICE_FILTER_MATCH',
      '5: KINDS lists numbers of FAULT_*',
      '6: -12 is ENOMEM',
      '7: -28 is ENOSPC',
      '6: faultArm(kind: 8)',
    ]);
    expect(
      restated('const PAGES = 16; const at = f(3); mmInsert(mm, 1, 2, 3, 4, 5, mode);', constants, parameters),
    ).toEqual([]);
    expect(
      memoryUses('const a = core.u32[3];\nconst { f64 } = machine.core;\nnew Uint8Array(core.memory.buffer);'),
    ).toEqual(['1: core.u32', '2: { f64 }', '3: core.memory.buffer']);
    expect(memoryUses('random.u32(); bytes.buffer;')).toEqual([]);
    expect(indexedViews('const { u32 } = core;\nu32[at >> 2] = core.f64[2];')).toEqual([
      '2: u32[at >> 2]',
      '2: core.f64[2]',
    ]);
  });
});
