import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { configOf } from '../../src/driver/kconfig.js';
import { temporaryFolder } from '../folder.js';

const root = temporaryFolder();

function file(path: string, text: string): string {
  const at = join(root, path);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, text);
  return at;
}

file('drivers/Makefile', 'obj-$(CONFIG_BUS) += bus/\nccflags-y += -DHERE\nsubdir-ccflags-y += -DALL\n');
file(
  'drivers/bus/Makefile',
  'obj-$(CONFIG_CHIP) += chip.o\nchip-y := core.o \\\n  ring.o\nchip-$(CONFIG_CHIP_PCI) += pci.o\nobj-y += always.o\nTOP := $(srctree)/include/chip\nccflags-y += -I$(TOP) -Wextra -DCHIP -I$(src)\n',
);
file(
  'drivers/bus/Kconfig',
  'config CHIP\n\ttristate "chip"\n\tselect HELPER\n\tselect X86_THING\n\nconfig HELPER\n\tbool\n\tselect LIBRARY if OTHER\n',
);

const flags = [`-I${root}/include/chip`, '-DCHIP', `-I${root}/drivers/bus`, '-DALL'];
const config = (path: string) => configOf(root, file(path, ''), join(root, 'cache'));

test("a file's symbols and flags are those that its Makefiles name for it, and what these select", () => {
  expect(config('drivers/bus/ring.c')).toEqual({ own: ['BUS', 'CHIP'], selected: ['HELPER', 'LIBRARY'], flags });
  expect(config('drivers/bus/pci.c')).toEqual({
    own: ['BUS', 'CHIP', 'CHIP_PCI'],
    selected: ['HELPER', 'LIBRARY'],
    flags,
  });
  expect(config('drivers/bus/always.c')).toEqual({ own: ['BUS'], selected: [], flags });
  expect(config('drivers/bus/unknown.c')).toEqual({ own: ['BUS'], selected: [], flags });
});

test('a file of elsewhere has none', () => {
  expect(configOf(root, '/elsewhere/driver.c', join(root, 'cache'))).toEqual({ own: [], selected: [], flags: [] });
});
