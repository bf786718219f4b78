import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/dlink/dl2k.c';
const ring = { next: 0, own: [8, 0x80000000, 0], address: [16, 20, 0xffff], length: [20, 0xffff0000] };
export default ringNicTest({
  ids: '13f0:1023',
  bars: [256, 256],
  ioBars: [0],
  mdio: { at: 0x76, clock: 1, out: 2 },
  reads: { 0x30: [0x04000000, 0], 0x48: [0x8000ffff, 0x3402] },
  tx: { ...ring, base: [0x10, 0x14], done: { 8: [0, 0x80000000] } },
  rx: { ...ring, base: [0x1c, 0x20], received: [8, 0xffff], done: { 8: [0, 0xe0000000] } },
  irq: { status: 0x5e, enable: 0x5c, size: 2, tx: 0x200, rx: 0x400, link: 0x100 },
});
