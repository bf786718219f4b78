import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { DRIVER_NAMES } from '../../src/i915/policy/index.js';
import { ALLOCATOR_NAMES } from '../../src/iova/allocators.js';
import { DEFAULT_KERNEL, KERNEL_NAMES, KERNELS, kernelOf } from '../../src/kernels/kernels.js';

const NAMES: ReadonlySet<unknown> = new Set([...KERNEL_NAMES, ...DRIVER_NAMES, ...ALLOCATOR_NAMES]);
const SOURCES = join(import.meta.dirname, '../../src');

interface Node {
  type: string;
  start: number;
  [property: string]: unknown;
}

/** Places where code decides by the name of a kernel, driver or allocator: in comparisons, cases, keys and searches. */
function askedFor(text: string): string[] {
  const found: string[] = [];
  const named = (node: unknown): boolean => {
    const { type, value } = (node ?? {}) as { type?: string; value?: unknown };
    return type === 'Literal' && (NAMES.has(value) || (typeof value === 'string' && /^linux-\d/.test(value)));
  };
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if (Array.isArray(node)) {
      for (const child of node) visit(child);
      return;
    }
    const { type, start, ...rest } = node as Node;
    const asks =
      (type === 'BinaryExpression' && [rest.left, rest.right].some(named)) ||
      (type === 'SwitchCase' && named(rest.test)) ||
      (type === 'MemberExpression' && rest.computed === true && named(rest.property)) ||
      (type === 'CallExpression' &&
        (rest.callee as Node).type === 'MemberExpression' &&
        (rest.arguments as unknown[]).some(named));
    if (asks) found.push(text.slice(start, start + 60));
    for (const child of Object.values(rest)) visit(child);
  };
  const { program, errors } = parseSync('file.ts', text, { lang: 'ts' });
  expect(errors).toEqual([]);
  visit(program.body);
  return found;
}

describe('presets are data', () => {
  test('no code asks for the name of a kernel, a driver or an allocator', () => {
    const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(100);
    const asking = files.flatMap((file) =>
      askedFor(readFileSync(join(SOURCES, file), 'utf8')).map((text) => `${file}: ${text}`),
    );
    expect(asking).toEqual([]);
  });

  test.each([
    "if (kernel === 'linux-4.2') go();",
    "const x = 'rcache' !== name ? 1 : 2;",
    "switch (k) { case 'linux-6.12': break; }",
    "use(KERNELS['linux-6.12']);",
    "if (name.startsWith('linux-4.1')) go();",
  ])('the check sees %s', (text) => {
    expect(askedFor(text).length).toBe(1);
  });

  test('every name is a row of properties', () => {
    for (const name of KERNEL_NAMES) {
      expect(ALLOCATOR_NAMES).toContain(KERNELS[name].allocator);
      expect(Object.keys(KERNELS[name])).toEqual(Object.keys(KERNELS[DEFAULT_KERNEL]));
    }
  });
});

describe('the kernel that a release was like', () => {
  test.each([
    ['drmMm', '4.10.0', '2015'],
    ['drmMm', '4.11', 'modern'],
    ['drmMm', '3.18', '2015'],
    ['drmMm', '6.12.3-arch1', 'modern'],
    ['treeAllocator', '4.1', 'linux-4.2'],
    ['treeAllocator', '4.2.8', 'linux-4.2'],
    ['treeAllocator', '6.1', 'linux-6.12'],
    ['treeAllocator', '6.12', 'linux-6.12'],
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
