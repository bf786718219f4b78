import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { indexedViews, memoryUses } from './contract-rules.js';

const ROOT = join(import.meta.dirname, '../..');
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

  test('the rules find what they are for', () => {
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
