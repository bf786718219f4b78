// The hardware of gem_copy.c, a copy engine, and what is done with it.

import { PAGE_SIZE as PAGE } from 'gemdma';

function model(hardware) {
  const reg = new Map();
  const get = (at) => reg.get(at) ?? 0;
  return {
    read: (_bar, at) => get(at),
    write(_bar, at, _size, value) {
      reg.set(at, value);
      if (at !== 0x14) return;
      const address = (low) => get(low) + get(low + 4) * 2 ** 32;
      const [from, to, length] = [address(0x00), address(0x08), get(0x10)];
      hardware.after(2000, () => {
        const bytes = hardware.readMemory(from, length);
        if (bytes !== null) hardware.writeMemory(to, bytes);
        reg.set(0x18, 1);
        hardware.raise();
      });
    },
  };
}

export default {
  device: { ids: '1234:0013', bars: [PAGE] },
  model,
  run(t) {
    const first = t.call('gem_create', 8 * PAGE);
    const second = t.call('gem_create', 8 * PAGE);
    if (first >= 0 && second >= 0) {
      t.expect(t.call('gem_fill', first, 17, 0) === 0, 'an object can be filled');
      if (t.call('gem_copy', first, second) === 0) {
        t.expect(t.call('gem_fill', second, 17, 1) === 0, 'the copy holds what was filled');
      }
    }
    const third = t.call('gem_create', 3 * PAGE);
    if (third >= 0) {
      t.call('gem_fill', third, 1, 0);
      t.expect(t.call('gem_share', third) === 0, 'an object can be shared');
      t.call('gem_close', third);
    }
    if (first >= 0) t.call('gem_share', first);
    if (second >= 0) t.call('gem_close', second);
    // The first is left to remove.
  },
};
