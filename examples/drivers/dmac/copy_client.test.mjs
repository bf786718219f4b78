// The hardware of copy_client.c, a copy engine that also captures, and what is done with it.

function model(hardware) {
  const reg = new Map();
  const get = (at) => reg.get(at) ?? 0;
  const address = (low) => get(low) + get(low + 4) * 2 ** 32;
  let capture = 0;
  let to = 0;
  const interrupt = (cause) => {
    reg.set(0x1c, get(0x1c) | cause);
    hardware.raise();
  };
  const period = (run, n) => {
    if (run !== capture) return;
    hardware.writeMemory(to + (n % 4) * 256, new Uint8Array(256).fill(n));
    interrupt(2);
    hardware.after(100_000, () => period(run, n + 1));
  };
  return {
    read: (_bar, at) => get(at),
    write(_bar, at, _size, value) {
      if (at === 0x1c) {
        reg.set(at, get(at) & ~value);
        return;
      }
      reg.set(at, value);
      if (at === 0x14) {
        const [from, target, length] = [address(0x00), address(0x08), get(0x10)];
        // A length of 999 never comes back.
        if (length === 999) return;
        hardware.after(3000, () => {
          const bytes = hardware.readMemory(from, length);
          if (bytes !== null) hardware.writeMemory(target, bytes);
          interrupt(1);
        });
      }
      if (at === 0x18) {
        ++capture;
        to = address(0x08);
        if (value === 1) hardware.after(100_000, () => period(capture, 1));
      }
    },
  };
}

export default {
  device: { bus: 'platform', name: 'copy_client', bars: [4096] },
  model,
  run(t) {
    let queued = 0;
    for (let i = 0; i < 6; ++i) if (t.call('client_copy', 100 + i * 301, i) === 0) ++queued;
    t.advance(5);
    t.expect(t.call('client_count', 0) === queued, 'every copy is done and right');
    // One that hangs, which the watchdog ends, and one behind it.
    t.call('client_copy', 999, 0);
    t.call('client_copy', 64, 0);
    t.advance(100);
    t.expect(t.call('client_count', 1) >= 1, 'the watchdog ends a copy that hangs');
    if (t.call('client_capture', 1) === 0) {
      t.advance(1);
      t.call('client_capture', 0);
    }
    // Under way when the driver goes.
    t.call('client_copy', 999, 0);
    t.call('client_copy', 500, 0);
  },
};
