import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/natsemi/natsemi.c';
const status = [4, 0xfff];
export default ringNicTest({
  ids: '100b:0020',
  bars: [256, 4096],
  ioBars: [0],
  eeprom: { at: 8, select: 8, clock: 4, in: 1, out: 2, words: { 6: 0x4000, 7: 0x1a2b, 8: 0x3c4d, 9: 0x5e6f } },
  stop: [0, 0x10a],
  start: [0, 5],
  reads: { 0: [0x13f, 0], 4: [0, 0xe8000000], 12: [4, 0] },
  tx: { base: 0x20, next: 0, own: [4, 0x80000000], address: 8, length: status, more: [4, 0x40000000], done: { 4: [0x80000000, 0x08000000] } },
  rx: { base: 0x30, next: 0, own: [4, 0x80000000, 0], address: 8, length: status, received: status, plus: 4, done: { 4: [0, 0x88000000] } },
  irq: { status: 0x10, enable: 0x14, clear: 'read', tx: 0x40, rx: 1 },
});
