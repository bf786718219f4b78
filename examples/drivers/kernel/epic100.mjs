import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/smsc/epic100.c';
const ring = { next: 12, own: [0, 0x8000], address: 4, length: [8, 0xffff] };
export default ringNicTest({
  ids: '10b8:0005',
  bars: [256, 4096],
  ioBars: [0],
  values: { 0x40: 0x1200, 0x44: 0x5634, 0x48: 0x9a78 },
  stop: [0, 0x61],
  reads: { 0x0c: [1, 0], 0x30: [3, 0] },
  tx: { ...ring, base: 0xc4, done: { 0: [0x8000, 1] } },
  rx: { ...ring, base: 0x84, received: [0, 0xffff0000], plus: 4, done: { 0: [0x8000, 1] } },
  irq: { status: 4, enable: 8, tx: 0x100a0, rx: 0x10001 },
});
