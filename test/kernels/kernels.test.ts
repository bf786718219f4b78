import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { releaseOf } from '../../src/core/releases.js';
import { DEFAULT_POLICY, POLICIES, POLICY_NAMES, policyWith } from '../../src/i915/policy/index.js';
import { ALLOCATOR_NAMES } from '../../src/iova/allocators.js';
import { DEFAULT_KERNEL, KERNEL_NAMES, KERNELS, kernelOf, kernelWith } from '../../src/kernels/kernels.js';

const NAMES: ReadonlySet<unknown> = new Set([...KERNEL_NAMES, ...POLICY_NAMES, ...ALLOCATOR_NAMES]);
const SOURCES = join(import.meta.dirname, '../../src');

interface Node {
  type: string;
  start: number;
  [property: string]: unknown;
}

/** The files whose rows say what a kernel, a mapping policy, an allocator and a client's interface are. */
const ROWS = [
  /^kernels\/kernels\.ts$/,
  /^i915\/policy\/i915-[\d.]+\.ts$/,
  /^iova\/allocators\.ts$/,
  /^i915\/uapi\/profiles\.ts$/,
];

/** Places with the name of a kernel, a policy or an allocator: literals, those of types too. */
function namesIn(text: string): string[] {
  const { program, errors } = parseSync('file.ts', text, { lang: 'ts' });
  expect(errors).toEqual([]);
  const found: string[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, start, value } = node as Node;
    const literal = type === 'TemplateElement' ? (value as { cooked: unknown }).cooked : value;
    if (NAMES.has(literal) || (typeof literal === 'string' && /^(linux|i915|tree)-\d/.test(literal))) {
      found.push(text.slice(Math.max(0, start - 30), start + 30));
    }
    for (const child of Object.values(node)) visit(child);
  };
  visit(program.body);
  return found;
}

describe('presets are data', () => {
  test('no code but the rows has the name of a kernel, a policy or an allocator', () => {
    const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(100);
    const others = files.filter((file) => !ROWS.some((row) => row.test(file)));
    expect(files.length - others.length).toBe(3 + POLICY_NAMES.length);
    const asking = others.flatMap((file) =>
      namesIn(readFileSync(join(SOURCES, file), 'utf8')).map((text) => `${file}: ${text}`),
    );
    expect(asking).toEqual([]);
  });

  test.each([
    "if (kernel === 'linux-4.2') go();",
    "const x = 'rcache' !== name ? 1 : 2;",
    "switch (k) { case 'linux-6.12': break; }",
    "use(KERNELS['linux-6.12']);",
    "if (name.startsWith('i915-4.1')) go();",
    "const LOSES: Record<Name, boolean> = { 'i915-3.18': true };",
    'const allocator = `tree-6.12`;',
    "type Kernel = 'linux-5.4';",
  ])('the check sees %s', (text) => {
    expect(namesIn(text).length).toBe(1);
  });

  test('every name is a row of properties', () => {
    for (const name of KERNEL_NAMES) {
      expect(ALLOCATOR_NAMES).toContain(KERNELS[name].allocator);
      expect(Object.keys(KERNELS[name])).toEqual(Object.keys(KERNELS[DEFAULT_KERNEL]));
    }
  });
});

test('kernels and policies come by release, oldest first, and the newest is the default', () => {
  const releases = (names: readonly string[]): number[] =>
    names.map((name) =>
      Number(name.replace(/^.*-(\d+)\.(\d+)$/, (_, major, minor) => `${major}${minor.padStart(3, '0')}`)),
    );
  for (const names of [KERNEL_NAMES, POLICY_NAMES]) {
    expect(releases(names)).toEqual(releases(names).toSorted((a, b) => a - b));
  }
  expect([DEFAULT_KERNEL, DEFAULT_POLICY]).toEqual([KERNEL_NAMES.at(-1), POLICY_NAMES.at(-1)]);
  expect(['6.12', '4.2.0-rc1', '3.18'].map(releaseOf)).toEqual([6012, 4002, 3018]);
  for (const name of POLICY_NAMES) expect(name).toBe(`i915-${POLICIES[name].release}`);
});

test('what is wanted of a preset finds the newest that has it', () => {
  expect(kernelWith(({ drmMm }) => drmMm === '2015')).toBe('linux-4.2');
  expect(kernelWith(() => true)).toBe(DEFAULT_KERNEL);
  expect(policyWith(({ remaps }) => remaps)).toBe('i915-4.1');
  expect(() => kernelWith(() => false)).toThrow('no kernel');
});

describe('the kernel that a release was like', () => {
  test.each([
    ['drmMm', '4.10.0', '2015'],
    ['drmMm', '4.11', 'modern'],
    ['drmMm', '3.18', '2015'],
    ['drmMm', '6.12.3-arch1', 'modern'],
    ['treeAllocator', '4.1', 'tree-4.2'],
    ['treeAllocator', '4.2.8', 'tree-4.2'],
    ['treeAllocator', '6.1', 'tree-6.12'],
    ['treeAllocator', '6.12', 'tree-6.12'],
    ['mergeSegments', '4.2', false],
    ['mergeSegments', '6.12', true],
    ['mergeSegments', '7.1', true],
  ] as const)('%s of %s', (property, version, value) => {
    expect(kernelOf(property, version)?.[property]).toBe(value);
  });

  test.each([
    ['treeAllocator', '4.3'],
    ['treeAllocator', '5.10'],
    ['treeAllocator', '4.0'],
    ['mergeSegments', '2.6.32'],
    ['drmMm', 'unknown'],
  ] as const)('%s of %s is not emulated', (property, version) => {
    expect(kernelOf(property, version)).toBeUndefined();
  });

  test('dma-debug changed between 4 and 5', () => {
    expect(kernelOf('dmaDebug', '4.19')?.dmaDebug.growing).toBe(false);
    expect(kernelOf('dmaDebug', '5.0')?.dmaDebug.growing).toBe(true);
  });
});
