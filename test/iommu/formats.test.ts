import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE, PROT_READ, PROT_WRITE } from '../../src/core/generated/constants.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { UnmanagedDomain } from '../../src/dma/unmanaged-domain.js';
import { formatAlreadySet } from '../../src/iommu-formats/fault.js';
import type { FormatWords, IommuFormat } from '../../src/iommu-formats/format.js';
import {
  FORMAT_NAMES,
  IOMMU_FORMATS,
  type IommuFormatName,
  type IommuLevels,
  iommuFormat,
  wordsOf,
} from '../../src/iommu-formats/index.js';
import { KERNEL_NAMES } from '../../src/kernels/kernels.js';
import { BaseMachine } from '../../src/machine/machine.js';

const ROOT = join(import.meta.dirname, '../..');

/** A format's folders, and what reads logs and recordings of that format's kernels. */
const OWN = [
  /^assembly\/iommu\/(?:amdv1|vtd|formats)\//,
  /^src\/iommu-formats\//,
  /^src\/core\/generated\//,
  /^src\/recordings\/(?:formats\/(?:amdv1|vtd|index)|known)\.ts$/,
  /^src\/trace\/formats\/iommu-faults\.ts$/,
  // What a scenario on the default unit expects in the log.
  /^src\/workload\/corpus\/devices\.ts$/,
];
const NAMES =
  /\bFORMAT_(?!NAMES|OPTIONS|DEFAULT)\w+|\bvtd\w*\b|\bVtd\w+|\bVTD_\w+|\bamdv1\b|\bamd[A-Z]\w*|\bAmd[A-Z]\w*|\bAMD_\w+|DMAR|AMD-Vi/g;

/** Text without comments. */
const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

describe('the seam between formats and the rest', () => {
  test('no code outside of a format asks which format there is', () => {
    const files = ['assembly', 'src'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
    );
    expect(files.length).toBeGreaterThan(400);
    const found = files
      .filter((file) => !OWN.some((own) => own.test(file)))
      .flatMap((file) =>
        [...code(readFileSync(join(ROOT, file), 'utf8')).matchAll(NAMES)].map(([name]) => `${file}: ${name}`),
      );
    expect(found).toEqual([]);
    expect(code('// vtd\nif (format == FORMAT_VTD) vtdMap();')).toMatch(NAMES);
  });

  test('numbers and names of formats are each one format', () => {
    expect(new Set(IOMMU_FORMATS.map(({ number }) => number)).size).toBe(IOMMU_FORMATS.length);
    expect(new Set(FORMAT_NAMES).size).toBe(IOMMU_FORMATS.length);
    // The core makes a unit of number 0 when nobody asks for one.
    expect(IOMMU_FORMATS[0].number).toBe(0);
  });

  test.each(FORMAT_NAMES)('%s: a fault has words in the log of each kernel', (format) => {
    for (const kernel of KERNEL_NAMES) {
      const machine = new BaseMachine({ ram: '16MiB', kernel, iommu: { format } });
      const device = machine.addDevice();
      expect(() => machine.iommu.faults().length).not.toThrow();
      expect(machine.core.exports.deviceTranslate(device.handle, 0x123000, false)).toBe(-1);
      const lines = machine.dmesg().join('\n');
      expect(lines).toMatch(/123000/);
      expect(lines).not.toMatch(/[{}]|undefined/);
    }
  });
});

const flushes = ({ iommu }: BaseMachine): number => iommu.iotlb.invalidations.page;

const CACHING = FORMAT_NAMES.filter((name) => 'npCache' in iommuFormat(name).unitOptions);

describe.each(CACHING)('%s: a unit that caches what is not present', (format) => {
  const machineWith = (npCache: boolean): BaseMachine => new BaseMachine({ ram: '64MiB', iommu: { format, npCache } });

  test('each map flushes once, of the device that the machine gives a domain and of a domain of ones own', () => {
    for (const npCache of [false, true]) {
      const machine = machineWith(npCache);
      const given = machine.addDevice();
      const own = machine.addDevice();
      own.detach();
      own.attach(new DmaDomain(machine));
      for (const device of [given, own]) {
        const [pfn] = machine.ram.alloc(1);
        const before = flushes(machine);
        const address = device.mapPage(pfn, 0, PAGE, DMA_BIDIRECTIONAL);
        expect(flushes(machine) - before).toBe(npCache ? 1 : 0);
        device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
        // A list is flushed when all of it is mapped (iommu_map_sg); its addresses begin at a multiple of its size.
        const table = ScatterTable.fromPages(machine, machine.ram.alloc(16).reverse());
        const middle = flushes(machine);
        device.mapSg(table, DMA_BIDIRECTIONAL);
        expect(flushes(machine) - middle).toBe(npCache ? 1 : 0);
        device.unmapSg(table, DMA_BIDIRECTIONAL);
      }
      machine.check();
    }
  });

  test('links are flushed when they are synced, not one by one', () => {
    const machine = machineWith(true);
    const device = machine.addDevice();
    const [first, second] = machine.ram.alloc(2);
    const range = device.allocIova(2 * PAGE);
    const before = flushes(machine);
    range.link(0, first * PAGE, PAGE, DMA_BIDIRECTIONAL);
    range.link(PAGE, second * PAGE, PAGE, DMA_BIDIRECTIONAL);
    expect(flushes(machine)).toBe(before);
    range.sync(0, 2 * PAGE);
    expect(flushes(machine)).toBe(before + 1);
  });

  test('it has no lazy mode, as in Linux', () => {
    expect(() => new BaseMachine({ iommu: { format, npCache: true, mode: 'lazy' } })).toThrow(/iommu\.mode/);
    expect(new BaseMachine(machineWith(true).config).config.iommu).toMatchObject({ format, npCache: true });
  });
});

test('an option that a format does not have is refused', () => {
  for (const { name, options } of IOMMU_FORMATS) {
    const machine = new BaseMachine({ ram: '16MiB', iommu: { format: name as IommuFormatName } });
    for (const writeImpliesRead of [true, false]) {
      const make = (): DmaDomain => new DmaDomain(machine, { writeImpliesRead });
      if ('writeImpliesRead' in options) expect(make().alive).toBe(true);
      else expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    }
    expect(() => new DmaDomain(machine, { npCache: true } as object)).toThrow(TypeError);
  }
});

test.each(FORMAT_NAMES)('%s: domains and machines take the shapes that the format has, and no others', (name) => {
  const format = iommuFormat(name);
  const machine = new BaseMachine({ ram: '16MiB', iommu: { format: name } });
  for (const levels of [-1, 0, 1, 2, 3, 4, 5, 6, 7] as IommuLevels[]) {
    const makers = [
      () => new DmaDomain(machine, { levels }).destroy(),
      () => new UnmanagedDomain(machine, { levels }).destroy(),
      () => new BaseMachine({ ram: '16MiB', iommu: { format: name, levels } })[Symbol.dispose](),
    ];
    for (const make of makers) {
      if ((format.levels as readonly number[]).includes(levels)) make();
      else expect(make).toThrow(RangeError);
    }
  }
  const [page, large] = [{ pageSizes: PAGE }, { pageSizes: PAGE + 512 * PAGE }];
  for (const { pageSizes } of [page, large]) {
    const sized = new BaseMachine({ ram: '16MiB', iommu: { format: name, pageSizes } });
    expect(sized.config.iommu.pageSizes).toBe(pageSizes);
    const device = sized.addDevice();
    const block = sized.ram.allocBlock(9);
    const address = device.mapPage(block, 0, 512 * PAGE, DMA_BIDIRECTIONAL);
    const leaves = sized.iommu.leaves(device.domain as DmaDomain, address, 512 * PAGE);
    expect(leaves.some(({ level }) => level > 1)).toBe(pageSizes !== PAGE && address % (512 * PAGE) === 0);
    // The configuration is complete: it makes the same machine.
    expect(new BaseMachine(sized.config).config).toEqual(sized.config);
  }
  expect(() => new BaseMachine({ iommu: { format: name, pageSizes: 2 * PAGE } })).toThrow(/iommu\.pageSizes/);
});

test('words are those of the newest release that is not newer than the kernel', () => {
  const words = (since: string): FormatWords => ({ since, fault: since, limited: '', notices: {} });
  const format: IommuFormat = { ...iommuFormat(FORMAT_NAMES[0]), words: [words('4.2'), words('5.10'), words('6.2')] };
  const chosen = ['3.18', '4.2', '5.9', '5.10', '6.1', '6.12'].map((release) => wordsOf(format, release).since);
  expect(chosen).toEqual(['4.2', '4.2', '4.2', '5.10', '5.10', '6.2']);
  expect(wordsOf(format).since).toBe('6.2');
});

test('a record of a kind of IOMMU whose driver does not print it is refused', () => {
  const found = { time: 0, domain: 2, pfn: 5, kept: 1, entry: 2, object: 0, vma: 0, hook: 0 };
  for (const unit of [...FORMAT_NAMES, 'smmu' as IommuFormatName]) {
    const tell = (): string => formatAlreadySet({ ...found, unit });
    const known = FORMAT_NAMES.includes(unit) && 'ALREADY_SET' in wordsOf(iommuFormat(unit)).notices;
    if (known) expect(tell()).toMatch(/0x5/);
    else expect(tell).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
  }
});

test('an entry found already set is told in the words of the log', () => {
  const machine = new BaseMachine({ ram: '16MiB' });
  const domain = new DmaDomain(machine);
  const { domainMap } = machine.core.exports;
  expect(domainMap(domain.handle, 0x5000, 0x1000, PAGE, PROT_READ | PROT_WRITE)).toBe(0);
  expect(domainMap(domain.handle, 0x5000, 0x2000, PAGE, PROT_READ | PROT_WRITE)).toBe(0);
  const [found] = machine.iommu.alreadySet();
  expect(found).toMatchObject({ pfn: 5, kept: 0x1003, entry: 0x2003, unit: FORMAT_NAMES[0] });
  expect(formatAlreadySet(found)).toBe('DMAR: ERROR: DMA PTE for vPFN 0x5 already set (to 1003 not 2003)');
  expect(machine.dmesg()).toEqual([formatAlreadySet(found)]);
});
