import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/amd/amd8111e.c';
export default ringNicTest({
  ids: '1022:7462',
  bars: [4096],
  values: { 0x160: 0x56341200, 0x164: 0x9a78 },
  stop: [0x48, 1],
  start: [0x48, 0x80],
  reads: { 0xd0: [0x80000000, 0] },
  tx: { base: 0x100, bytes: 16, entries: 32, own: [0, 0x80000000], address: 8, length: [0, 0xffff], done: { 0: [0x80000000, 0] } },
  rx: { base: 0x120, bytes: 16, entries: 32, own: [8, 0x80000000], address: 12, length: [8, 0xffff], received: [4, 0xffff], plus: 4, done: { 8: [0x80000000, 0x03000000] } },
  irq: { status: 0x38, tx: 0x80000100, rx: 0x80000001 },
});
