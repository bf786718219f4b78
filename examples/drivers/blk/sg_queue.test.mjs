// The hardware of sg_queue.c, a disk that keeps what is written, and what is done with it.

import { PAGE_SIZE as PAGE } from 'gemdma';

function model(hardware) {
  let command = 0;
  let done = 0;
  const dead = new Set();
  let disk = new Uint8Array(0);

  const finish = (address, slot, status) => {
    hardware.write32(address + 8, status);
    done |= 1 << slot;
    hardware.raise();
  };
  const execute = (address, slot) => {
    if (dead.has(slot)) return;
    const write = hardware.read32(address) === 1;
    const segments = hardware.read32(address + 4);
    const parts = [];
    let offset = 0;
    for (let i = 0; i < segments; ++i) {
      const at = hardware.read64(address + 16 + i * 16);
      const length = hardware.read32(address + 16 + i * 16 + 8);
      if (at === null || length === null) return finish(address, slot, 2);
      if (write) {
        const bytes = hardware.readMemory(at, length);
        if (bytes === null) return finish(address, slot, 2);
        parts.push(bytes);
      } else {
        const bytes = new Uint8Array(length);
        bytes.set(disk.subarray(offset, offset + length));
        if (!hardware.writeMemory(at, bytes)) return finish(address, slot, 2);
      }
      offset += length;
    }
    if (write) disk = Buffer.concat(parts);
    finish(address, slot, 1);
  };
  return {
    read: (_bar, at) => (at === 0x0c ? done : 0),
    write(_bar, at, _size, value) {
      if (at === 0x00) command = value;
      else if (at === 0x04) command += value * 2 ** 32;
      else if (at === 0x0c) done &= ~value;
      else if (at === 0x10) for (let slot = 0; slot < 8; ++slot) if (value & (1 << slot)) dead.add(slot);
      if (at !== 0x08) return;
      const address = command;
      dead.delete(value);
      // Slot 7 hangs: the driver has to give up.
      if (value !== 7) hardware.after(5000, () => execute(address, value));
    },
  };
}

export default {
  device: { ids: '1234:0012', bars: [PAGE] },
  model,
  run(t) {
    const write = t.call('queue_start', 1, 5, 42);
    if (write >= 0) t.expect(t.call('queue_finish', write) === 0, 'a write succeeds');
    const read = t.call('queue_start', 0, 5, 0);
    if (read >= 0) t.expect(t.call('queue_finish', read) === 42, 'a read gives what was written');
    // The whole queue at once; its last slot never answers.
    const slots = Array.from({ length: 8 }, (_, i) => t.call('queue_start', i % 2, 1 + i * 3, i));
    for (const slot of slots) if (slot >= 0) t.call('queue_finish', slot);
    // A request is under way when the driver goes.
    t.call('queue_start', 1, 20, 7);
  },
};
