import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/dec/tulip/winbond-840.c';
const ring = { bytes: 16, own: [0, 0x80000000], address: 8, length: [4, 0x7ff], end: [4, 0x02000000] };
export default ringNicTest({
  ids: '1050:0840',
  bars: [256, 256],
  ioBars: [0],
  eeprom: { at: 0x24, select: 1, clock: 2, in: 4, out: 8, words: { 0: 0x1200, 1: 0x5634, 2: 0x9a78 } },
  tx: { ...ring, base: 0x10, on: [0x18, 0x2000], second: { address: 12, length: [4, 0x3ff800] }, done: { 0: [0x80000000, 0] } },
  rx: { ...ring, base: 0x0c, on: [0x18, 2], received: [0, 0x7fff0000], plus: 4, done: { 0: [0x80000000, 0x300] } },
  irq: { status: 0x14, enable: 0x1c, tx: 0x10001, rx: 0x10040 },
});
