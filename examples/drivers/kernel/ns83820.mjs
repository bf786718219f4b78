import { ringNicTest } from 'gemdma/driver';

export const source = 'drivers/net/ethernet/natsemi/ns83820.c';
// Descriptors have addresses of dma_addr_t's width.
export const dmaBits = [64];
const ring = { next: 0, address: [8, 12], length: [16, 0xffff] };
export default ringNicTest({
  ids: '100b:0022',
  bars: [256, 4096],
  ioBars: [0],
  stop: [0, 0x10a],
  start: [0, 5],
  reads: { 0: [0x130, 0], 0x0c: [6, 0x200], 0x4c: [0xffff, 0x3402] },
  tx: { ...ring, base: 0x20, own: [16, 0x80000000], more: [16, 0x40000000], done: { 16: [0x80000000, 0x08000000] } },
  rx: { ...ring, base: 0x30, own: [16, 0x80000000, 0], received: [16, 0xffff], plus: 4, done: { 16: [0, 0x88000000] } },
  irq: { status: 0x10, enable: 0x14, clear: 'read', tx: 0xc0, rx: 3 },
});
