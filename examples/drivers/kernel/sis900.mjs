import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/sis/sis900.c';
const ring = { next: 0, address: 8, length: [4, 0xfff] };
export default ringNicTest({
  ids: '1039:0900',
  bars: [256, 4096],
  ioBars: [0],
  stop: [0, 0x10a],
  start: [0, 5],
  eeprom: { at: 8, select: 8, clock: 4, in: 1, out: 2, words: { 0: 1, 8: 0x1200, 9: 0x5634, 10: 0x9a78 } },
  mdio: { at: 8, clock: 0x40, out: 0x10 },
  reads: { 0: [0x53a, 0] },
  tx: { ...ring, base: 0x20, own: [4, 0x80000000], done: { 4: [0x80000000, 0x08000000] } },
  rx: { ...ring, base: 0x30, own: [4, 0x80000000, 0], received: [4, 0xfff], plus: 4, done: { 4: [0, 0x88000000] } },
  irq: { status: 0x10, enable: 0x14, clear: 'read', tx: 0x80, rx: 1 },
});
