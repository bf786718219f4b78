import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/dec/tulip/uli526x.c';
const ring = { next: 12, own: [0, 0x80000000], address: 8, length: [4, 0x7ff] };
const eeprom = { at: 0x48, select: 1, clock: 2, in: 4, out: 8, words: { 0: 1, 10: 0x1200, 11: 0x5634, 12: 0x9a78 } };
export default ringNicTest({
  ids: '10b9:5261',
  bars: [256],
  ioBars: [0],
  eeprom,
  tx: { ...ring, base: 0x20, on: [0x30, 0x2000], done: { 0: [0x80000000, 0] } },
  rx: { ...ring, base: 0x18, on: [0x30, 2], received: [0, 0x3fff0000], plus: 4, done: { 0: [0x80000000, 0x300] } },
  irq: { status: 0x28, enable: 0x38, tx: 0x10001, rx: 0x10040 },
});
