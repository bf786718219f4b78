import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/sis/sis190.c';
const ring = { bytes: 16, own: [4, 0x80000000], address: 8, length: [12, 0xffff], end: [12, 0x80000000] };
export default ringNicTest({
  ids: '1039:0190',
  bars: [256, 256],
  ioBars: [1],
  reads: { 0x38: [0, 2], 0x3c: [0xffff0080, 0x12340000], 0x44: [0xffff0010, 0x782d0000] },
  tx: { ...ring, base: 4, on: [0, 1], done: { 4: [0x80000000, 0] } },
  rx: { ...ring, base: 0x14, on: [0x10, 8], received: [0, 0xffff], plus: 4, done: { 0: [0x7f000000, 0x01010000], 4: [0x80000000, 0] } },
  irq: { status: 0x20, enable: 0x24, tx: 4, rx: 0x40 },
});
