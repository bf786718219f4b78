import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/fealnx.c';
const ring = { next: 12, own: [0, 0x80000000], address: 8, length: [4, 0x7ff] };
export default ringNicTest({
  ids: '1516:0803',
  bars: [256, 256],
  ioBars: [0],
  values: { 0: 0x56341200, 4: 0x9a78 },
  reads: { 0x18: [0, 0x04008000], 0x1c: [1, 0] },
  tx: { ...ring, base: 0x2c, on: [0x18, 0x40000], last: [4, 0x20000000], done: { 0: [0x80000000, 0] } },
  rx: { ...ring, base: 0x30, on: [0x18, 1], received: [0, 0x0fff0000], plus: 4, done: { 0: [0x80000000, 0xc00] } },
  irq: { status: 0x34, enable: 0x38, tx: 8, rx: 4 },
});
