import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/dec/tulip/de2104x.c';
const ring = { bytes: 16, own: [0, 0x80000000], address: 8, length: [4, 0x7ff], end: [4, 0x02000000] };
export default ringNicTest({
  ids: '1011:0002',
  bars: [128, 128],
  ioBars: [0],
  reads: { 0x48: [0x80000000, 2] },
  tx: { ...ring, base: 0x20, on: [0x30, 0x2000], done: { 0: [0x80000000, 0x40000000] } },
  rx: { ...ring, base: 0x18, on: [0x30, 2], received: [0, 0x7fff0000], plus: 4, done: { 0: [0x80000000, 0x300] } },
  irq: { status: 0x28, enable: 0x38, tx: 0x10001, rx: 0x10040 },
});
