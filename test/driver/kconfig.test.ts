import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { configOf } from '../../src/driver/kconfig.js';

const root = mkdtempSync(join(tmpdir(), 'gemdma-kconfig-'));
afterAll(() => rmSync(root, { recursive: true }));

function file(path: string, text: string): string {
  const at = join(root, path);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, text);
  return at;
}

file('drivers/Makefile', 'obj-$(CONFIG_BUS) += bus/\n');
file(
  'drivers/bus/Makefile',
  'obj-$(CONFIG_CHIP) += chip.o\nchip-y := core.o \\\n  ring.o\nchip-$(CONFIG_CHIP_PCI) += pci.o\nobj-y += always.o\n',
);
file(
  'drivers/bus/Kconfig',
  'config CHIP\n\ttristate "chip"\n\tselect HELPER\n\tselect X86_THING\n\nconfig HELPER\n\tbool\n\tselect LIBRARY if OTHER\n',
);

const config = (path: string) => configOf(root, file(path, ''), join(root, 'cache'));

test("a file's symbols are those that its Makefiles name for it, and what they select", () => {
  expect(config('drivers/bus/ring.c')).toEqual({ own: ['BUS', 'CHIP'], selected: ['HELPER', 'LIBRARY'] });
  expect(config('drivers/bus/pci.c')).toEqual({ own: ['BUS', 'CHIP', 'CHIP_PCI'], selected: ['HELPER', 'LIBRARY'] });
  expect(config('drivers/bus/always.c')).toEqual({ own: ['BUS'], selected: [] });
  expect(config('drivers/bus/unknown.c')).toEqual({ own: ['BUS'], selected: [] });
});

test('a file of elsewhere has none', () => {
  expect(configOf(root, '/elsewhere/driver.c', join(root, 'cache'))).toEqual({ own: [], selected: [] });
});
