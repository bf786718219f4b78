import { type DmaDomain, Machine } from 'gemdma';
import { DOMAIN_WRITE_IMPLIES_READ } from '#contract';
import { made } from '#handle';
import type { Suite, Task } from './frame.js';
import { NaivePageTable } from './naive/page-table.js';
import { orderOf, scattered } from './support.js';

const PAGES = 1024;
const TABLES = 16;
const MANY = 256;
const READ_WRITE = 3;
/** A multiple of 2 MiB below 4 GiB, where the DMA API would place it. */
const BASE = 0xe0000000;

const suite: Suite = {
  name: 'iommu',
  title: 'VT-d tables without the DMA API around them: four levels, 16 ranges of 1,024 pages',
  tasks(): Task[] {
    const machine = new Machine({ ram: '2GiB' });
    const { blockAlloc, domainCreate, domainMap, domainMapPfns, domainUnmap, iommuCreate } = machine.core.exports;
    const { limitCall, limitFill, limitStorePtes } = machine.core.tools;
    const { context } = machine;
    made(iommuCreate(context, 64, 4, 1024, 0));
    const domain = made(domainCreate(context, 4, 0, 0x40201000, DOMAIN_WRITE_IMPLIES_READ));
    const { vector, pfns } = scattered(machine, PAGES);
    const table = blockAlloc(context, orderOf(PAGES * 8));
    const { attachDevice, deviceCreate, deviceTranslate } = machine.core.exports;
    const device = made(deviceCreate(context, 1, 8));
    attachDevice(device, domain);
    domainMap(domain, 0x50000000, 0x200000 + 4096, 1024 * 4096, READ_WRITE);
    const naive = new NaivePageTable();
    // Neighbours share leaf tables with them: no table comes or goes.
    const at = (i: number): number => BASE + i * (PAGES + 8) * 4096 + 4096;
    const map = (): void => {
      for (let i = 0; i < TABLES; ++i) domainMapPfns(domain, at(i), vector, PAGES, READ_WRITE);
    };
    const unmap = (): void => {
      for (let i = 0; i < TABLES; ++i) domainUnmap(domain, at(i), PAGES * 4096);
    };
    domainMap(domain, BASE, 0x100000, 4096, READ_WRITE);
    for (let i = 0; i < TABLES; ++i) domainMap(domain, at(i) + PAGES * 4096, 0x100000, 4096, READ_WRITE);
    const operations = PAGES * TABLES;
    return [
      { name: 'bare PTE loop, page', operations, run: () => limitStorePtes(table, vector, PAGES, TABLES) },
      { name: 'memory.fill, page', operations: operations * 4, run: () => limitFill(table, PAGES, TABLES * 4) },
      {
        name: 'map 1,024 scattered, page',
        operations,
        before: unmap,
        run: map,
        limit: 'bare PTE loop, page',
        peer: 'naive map, page',
      },
      {
        name: 'unmap 1,024, page',
        operations,
        before: map,
        run: unmap,
        limit: 'memory.fill, page',
        peer: 'naive unmap, page',
      },
      ...objects(machine, domain, PAGES, TABLES),
      ...objects(machine, domain, PAGES, MANY),
      ...objects(machine, domain, 16, MANY),
      ...amdTables(),
      {
        name: 'map + unmap one page, call',
        operations: 512,
        limit: 'call from JS',
        run() {
          for (let i = 0; i < 256; ++i) {
            domainMap(domain, BASE + 8 * 4096, 0x200000, 4096, READ_WRITE);
            domainUnmap(domain, BASE + 8 * 4096, 4096);
          }
        },
      },
      {
        name: 'map + unmap 2 MiB page, call',
        operations: 512,
        limit: 'call from JS',
        run() {
          for (let i = 0; i < 256; ++i) {
            domainMap(domain, 0x40000000, 0x200000, 0x200000, READ_WRITE);
            domainUnmap(domain, 0x40000000, 0x200000);
          }
        },
      },
      {
        name: 'device access translated from the IOTLB',
        operations: 1024,
        limit: 'call from JS',
        run() {
          for (let i = 0; i < 1024; ++i) deviceTranslate(device, 0x50000000 + (i & 63) * 4096, false);
        },
      },
      {
        name: 'device access translated from the tables',
        operations: 1024,
        limit: 'call from JS',
        run() {
          for (let i = 0; i < 1024; ++i) deviceTranslate(device, 0x50000000 + i * 4096, false);
        },
      },
      {
        name: 'call from JS',
        operations: 4096,
        run() {
          for (let i = 0; i < 4096; ++i) limitCall(i);
        },
      },
      {
        name: 'naive map, page',
        operations,
        before: () => {
          for (let i = 0; i < TABLES; ++i) naive.unmap(at(i) / 4096, PAGES);
        },
        run() {
          for (let i = 0; i < TABLES; ++i) naive.map(at(i) / 4096, pfns, PAGES);
        },
      },
      {
        name: 'naive unmap, page',
        operations,
        before: () => {
          for (let i = 0; i < TABLES; ++i) naive.map(at(i) / 4096, pfns, PAGES);
        },
        run() {
          for (let i = 0; i < TABLES; ++i) naive.unmap(at(i) / 4096, PAGES);
        },
      },
    ];
  },
};

/** AMD's tables with its page sizes: scattered pages, and runs of 64 KiB, which are one page of 16 slots each. */
function amdTables(): Task[] {
  const machine = new Machine({ ram: '1GiB', iommu: { format: 'amdv1' } });
  const { domainCreate, domainMap, domainMapPfns, domainUnmap } = machine.core.exports;
  const domain = made(domainCreate(machine.context, 3, 0, 0x201000, 0));
  const sized = made(domainCreate(machine.context, 3, 0, 0x000fff7ffffff000, 0));
  const { vector } = scattered(machine, PAGES);
  const at = (i: number): number => BASE + i * PAGES * 4096;
  const limit = 'bare PTE loop, page';
  const map = (): void => {
    for (let i = 0; i < TABLES; ++i) domainMapPfns(domain, at(i), vector, PAGES, READ_WRITE);
  };
  const unmap = (): void => {
    for (let i = 0; i < TABLES; ++i) domainUnmap(domain, at(i), PAGES * 4096);
  };
  const mapRuns = (): void => {
    for (let i = 0; i < TABLES * 64; ++i)
      domainMap(sized, BASE + i * 0x10000, 0x10000000 + (i & 63) * 0x10000, 0x10000, READ_WRITE);
  };
  const unmapRuns = (): void => {
    for (let i = 0; i < TABLES; ++i) domainUnmap(sized, at(i), PAGES * 4096);
  };
  const operations = PAGES * TABLES;
  return [
    { name: 'AMD: map 1,024 scattered, page', operations, limit, before: unmap, run: map },
    { name: 'AMD: unmap 1,024, page', operations, limit, before: map, run: unmap },
    { name: 'AMD: map 64 KiB runs, page', operations, limit, before: unmapRuns, run: mapRuns },
    { name: 'AMD: unmap 64 KiB runs, page', operations, limit, before: mapRuns, run: unmapRuns },
  ];
}

/** Objects side by side, each at a multiple of its size as the DMA API places it: their tables come and go with them. */
function objects(machine: Machine, domain: DmaDomain['handle'], pages: number, count: number): Task[] {
  const { domainMapPfns, domainUnmap } = machine.core.exports;
  const vectors = Array.from({ length: count }, (_, i) => scattered(machine, pages, i + 1).vector);
  const first = 2 ** 32 * (pages + count);
  const map = (): void => {
    for (let i = 0; i < count; ++i) domainMapPfns(domain, first + i * pages * 4096, vectors[i], pages, READ_WRITE);
  };
  const unmap = (): void => {
    for (let i = 0; i < count; ++i) domainUnmap(domain, first + i * pages * 4096, pages * 4096);
  };
  const limit = 'bare PTE loop, page';
  const what = `${count} objects of ${pages} pages, page`;
  return [
    { name: `map ${what}`, operations: pages * count, limit, before: unmap, run: map },
    { name: `unmap ${what}`, operations: pages * count, limit, before: map, run: unmap },
  ];
}

export default suite;
