// The hardware of ring_nic.c, and what is done with it. Run it with
//
//   gemdma driver build examples/drivers/nic/ring_nic.c -o ring_nic.wasm
//   gemdma driver run ring_nic.wasm --test examples/drivers/nic/ring_nic.test.mjs

const RING = 32;
const OWN = 0x80000000;
const LAST = 0x40000000;
const RX = 1;
const TX = 2;

/** A NIC that loops what it sends back to what it receives. */
function model(hardware) {
  const reg = new Map();
  const get = (at) => reg.get(at) ?? 0;
  const ring = (at) => get(at) + get(at + 4) * 2 ** 32;
  let rx = 0;
  let tx = 0;
  let causes = 0;
  let packet = [];

  const interrupt = (cause) => {
    causes |= cause;
    if ((causes & get(0x18)) !== 0) hardware.raise();
  };
  const receive = (bytes) => {
    const at = ring(0x00) + (rx % RING) * 16;
    const flags = hardware.read32(at);
    if (flags === null || (flags & OWN) === 0) return;
    const address = hardware.read64(at + 8);
    if (!hardware.writeMemory(address, bytes.subarray(0, flags & 0xffff))) return;
    hardware.write32(at, bytes.length);
    ++rx;
    interrupt(RX);
  };
  const transmit = () => {
    while (get(0x10) & 1) {
      const at = ring(0x08) + (tx % RING) * 16;
      const flags = hardware.read32(at);
      if (flags === null || (flags & OWN) === 0) return;
      const bytes = hardware.readMemory(hardware.read64(at + 8), flags & 0xffff);
      if (bytes === null) return;
      packet.push(bytes);
      hardware.write32(at, flags & ~OWN);
      ++tx;
      if ((flags & LAST) !== 0) {
        const whole = Buffer.concat(packet);
        packet = [];
        interrupt(TX);
        receive(whole);
      }
    }
  };
  return {
    read(_bar, at) {
      if (at >= 0x20 && at < 0x26) return [0x02, 0, 0, 0, 0, 1][at - 0x20];
      return at === 0x14 ? causes : get(at);
    },
    write(_bar, at, _size, value) {
      if (at === 0x14) causes &= ~value;
      else reg.set(at, value);
      if (at === 0x10 && value === 0) rx = tx = 0;
      if (at === 0x18 && (causes & value) !== 0) hardware.raise();
      if (at === 0x1c) hardware.after(1000, transmit);
    },
  };
}

export default {
  device: { ids: '1234:0011', bars: [4096] },
  model,
  run(t) {
    for (let round = 0; round < 2; ++round) {
      const opened = t.open();
      t.expect(opened === 0, `open returns 0, it returned ${opened}`);
      if (opened !== 0) continue;
      let sent = 0;
      for (let i = 0; i < 40; ++i) {
        if (t.send({ length: 60 + i, fragments: i % 4, fragmentLength: 300, first: i }) === 0) ++sent;
        if (i % 3 === 2) t.advance(1);
      }
      t.advance(10);
      const packets = t.received();
      t.expect(packets.length === sent, `${sent} packets come back, ${packets.length} did`);
      t.expect(
        packets.every((bytes) => bytes.every((byte, at) => byte === ((bytes[0] + at) & 0xff))),
        'packets hold what was sent',
      );
      // Packets are under way when it closes.
      for (let i = 0; i < 4; ++i) t.send({ length: 100, fragments: 2 });
      t.stop();
    }
  },
};
