import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/via/via-rhine.c';
const ring = { next: 12, own: [0, 0x80000000], address: 8, length: [4, 0x7ff] };
export default ringNicTest({
  ids: '1106:3043',
  bars: [256, 256],
  ioBars: [0],
  values: { 0: 0x56341200, 4: 0x9a78 },
  reads: { 8: [0x8000, 0], 0x70: [0x70, 0], 0x74: [0x20, 0] },
  tx: { ...ring, base: 0x1c, on: [8, 0x10], done: { 0: [0x80000000, 0] } },
  rx: { ...ring, base: 0x18, on: [8, 8], received: [0, 0x7fff0000], plus: 4, done: { 0: [0x80000000, 0x8300] } },
  irq: { status: 0x0c, enable: 0x0e, size: 2, tx: 2, rx: 1 },
});
