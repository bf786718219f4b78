import { Machine } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { NaivePageTable } from './naive/page-table.js';
import { scattered } from './support.js';

const PAGE = 4096;
const PAGES = 1024;
const OBJECT = PAGES * PAGE;
const PAGE_SIZES = 0x40201000;
const READ_WRITE = 3;
const MANY = 256;
const FEW = 8;
const LIMIT = 'bare PTE loop, page';

const suite: Suite = {
  name: 'vtd',
  title: 'second-stage tables: ns a page, objects of 1,024 pages',
  tasks(): Task[] {
    const machine = new Machine({ ram: '2GiB' });
    const { core, context } = machine;
    const { blockAlloc, domainCreate, domainMap, domainMapPfns, domainUnmap, limitFill, limitStorePtes } = core.exports;
    const table = blockAlloc(context, 1);
    const { vector, pfns } = scattered(machine, PAGES);
    const many = Array.from({ length: MANY }, (_, i) => scattered(machine, PAGES, i + 1).vector);
    const domain = domainCreate(context, 4, 48, PAGE_SIZES, 1);
    const naive = new NaivePageTable();

    // Objects follow each other from `first` on, `stride` bytes apart.
    const mapAll = (vectors: number[], count: number, first: number, stride: number): void => {
      for (let i = 0; i < vectors.length; ++i) domainMapPfns(domain, first + i * stride, vectors[i], count, READ_WRITE);
    };
    const unmapAll = (count: number, bytes: number, first: number, stride: number): void => {
      for (let i = 0; i < count; ++i) domainUnmap(domain, first + i * stride, bytes);
    };
    const few = many.slice(0, FEW);
    const aligned = 2 ** 32;
    const offset = 2 ** 33 + 300 * PAGE;
    const pair = (name: string, vectors: number[], count: number, first: number, stride: number): Task[] => [
      {
        name: `map ${name}`,
        operations: vectors.length * count,
        limit: LIMIT,
        before: () => unmapAll(vectors.length, count * PAGE, first, stride),
        run: () => mapAll(vectors, count, first, stride),
      },
      {
        name: `unmap ${name}`,
        operations: vectors.length * count,
        limit: LIMIT,
        before: () => mapAll(vectors, count, first, stride),
        run: () => unmapAll(vectors.length, count * PAGE, first, stride),
      },
    ];
    const contiguous = (name: string, phys: number, objects = 64): Task => ({
      name,
      operations: objects * PAGES,
      limit: LIMIT,
      run() {
        for (let i = 0; i < objects; ++i) domainMap(domain, 2 ** 34 + i * OBJECT, phys, OBJECT, READ_WRITE);
        unmapAll(objects, OBJECT, 2 ** 34, OBJECT);
      },
    });
    return [
      { name: LIMIT, operations: PAGES * 16, run: () => limitStorePtes(table, vector, PAGES, 16) },
      { name: 'memory.fill of PTEs, page', operations: PAGES * 64, run: () => limitFill(table, PAGES, 64) },
      ...pair(`scattered, ${FEW} objects`, few, PAGES, aligned, OBJECT),
      ...pair(`scattered, ${FEW} objects across tables`, few, PAGES, offset, OBJECT + 8 * PAGE),
      ...pair(`scattered, ${MANY} objects`, many, PAGES, 2 ** 35, OBJECT),
      ...pair(`16 pages, ${MANY} objects`, many, 16, 2 ** 36, 16 * PAGE),
      contiguous('map + unmap 4 MiB, 2 MiB leaves', 2 ** 30),
      contiguous('map + unmap 4 MiB, 4 KiB leaves', 2 ** 30 + PAGE),
      {
        name: 'map + unmap one page from JS, pair',
        operations: 1024,
        run() {
          for (let i = 0; i < 1024; ++i) {
            domainMap(domain, 2 ** 37 + (i & 15) * PAGE, i * PAGE, PAGE, READ_WRITE);
            domainUnmap(domain, 2 ** 37 + (i & 15) * PAGE, PAGE);
          }
        },
      },
      {
        name: 'naive page table map + unmap, page',
        operations: PAGES,
        run() {
          naive.map(4096, pfns, PAGES);
          naive.unmap(4096, PAGES);
        },
      },
    ];
  },
};

export default suite;
