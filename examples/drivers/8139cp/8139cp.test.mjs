// A model of the RTL8139C+ for the kernel's own driver, which is not part of gemdma: take it from a kernel tree.
//
//   gemdma driver build $KERNEL/drivers/net/ethernet/realtek/8139cp.c --kernel $KERNEL -o 8139cp.wasm
//   gemdma driver fail-nth 8139cp.wasm --test examples/drivers/8139cp/8139cp.test.mjs

const OWN = 0x80000000;
const RING_END = 0x40000000;
const FIRST = 0x20000000;
const LAST = 0x10000000;
const RX_OK = 1;
const TX_OK = 4;

const REG = { txRing: 0x20, command: 0x37, mask: 0x3c, status: 0x3e, txConfig: 0x40, eeprom: 0x50, poll: 0xd9, plus: 0xe0, rxRing: 0xe4 };

/** A 93C46 EEPROM behind register 0x50: chip select 8, clock 4, data in 2, data out 1; words 7 to 9 are the address. */
function eeprom() {
  const words = new Uint16Array(64);
  words.set([0x8129], 0);
  words.set([0x5452, 0x1200, 0x5634], 7);
  let before = 0;
  let bits = [];
  let out = [];
  let data = 0;
  return {
    read: () => data,
    write(value) {
      if ((value & 8) === 0) {
        bits = [];
        out = [];
        data = 0;
      } else if ((value & 4) !== 0 && (before & 4) === 0) {
        if (out.length > 0) data = out.shift();
        else if (bits.length > 0 || (value & 2) !== 0) bits.push((value & 2) >> 1);
        // A start bit, two bits of command, six of address; then a zero and the word, high bit first.
        if (bits.length === 9) {
          const word = words[Number.parseInt(bits.slice(3).join(''), 2)];
          out = Array.from({ length: 16 }, (_, i) => (word >> (15 - i)) & 1);
          bits = [];
          data = 0;
        }
      }
      before = value;
    },
  };
}

/** A ring of descriptors: two words of flags and a 64-bit address. */
function ring(hardware, address) {
  let next = 0;
  return {
    /** The next descriptor if it is the device's. */
    take() {
      const at = address + next * 16;
      const flags = hardware.read32(at);
      if (flags === null || (flags & OWN) === 0) return null;
      next = (flags & RING_END) !== 0 ? 0 : next + 1;
      return { at, flags, buffer: hardware.read64(at + 8) };
    },
  };
}

function model(hardware) {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  const rom = eeprom();
  view.setUint32(REG.txConfig, 0x74800000, true);
  let tx = null;
  let rx = null;
  let packet = [];

  const address = (at) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  const interrupt = (cause) => {
    view.setUint16(REG.status, view.getUint16(REG.status, true) | cause, true);
    if (view.getUint16(REG.status, true) & view.getUint16(REG.mask, true)) hardware.raise();
  };
  const receive = (data) => {
    if (!(bytes[REG.command] & 8)) return;
    rx ??= ring(hardware, address(REG.rxRing));
    const desc = rx.take();
    if (desc === null) return;
    // The length counts four bytes of checksum.
    if (!hardware.writeMemory(desc.buffer, data.subarray(0, (desc.flags & 0x1fff) - 4))) return;
    hardware.write32(desc.at, (desc.flags & RING_END) | FIRST | LAST | (data.length + 4));
    interrupt(RX_OK);
  };
  const transmit = () => {
    if (!(bytes[REG.command] & 4)) return;
    tx ??= ring(hardware, address(REG.txRing));
    for (let desc = tx.take(); desc !== null; desc = tx.take()) {
      const data = hardware.readMemory(desc.buffer, desc.flags & 0xffff);
      if (data === null) return;
      packet.push(data);
      hardware.write32(desc.at, desc.flags & ~OWN);
      if ((desc.flags & LAST) === 0) continue;
      const whole = Buffer.concat(packet);
      packet = [];
      interrupt(TX_OK);
      receive(whole);
    }
  };
  return {
    read(_bar, at, size) {
      if (at === REG.eeprom) return 0xc0 | rom.read();
      if (size === 4) return view.getUint32(at, true);
      return size === 2 ? view.getUint16(at, true) : bytes[at];
    },
    write(_bar, at, size, value) {
      if (at === REG.status) {
        view.setUint16(at, view.getUint16(at, true) & ~value, true);
        return;
      }
      if (size === 4) view.setUint32(at, value, true);
      else if (size === 2) view.setUint16(at, value, true);
      else bytes[at] = value;
      if (at === REG.eeprom) rom.write(value);
      if (at === REG.command && (value & 16) !== 0) {
        // Reset is over at once.
        bytes[REG.command] = 0;
        tx = rx = null;
        packet = [];
      }
      if (at === REG.mask && view.getUint16(REG.status, true) & value) hardware.raise();
      if (at === REG.poll && value & 0x40) hardware.after(1000, transmit);
    },
  };
}

export default {
  device: { ids: '10ec:8139', revision: 0x20, bars: [256, 256], ioBars: [0] },
  model,
  run(t) {
    for (let round = 0; round < 2; ++round) {
      const opened = t.open();
      t.expect(opened === 0, `open returns 0, it returned ${opened}`);
      if (opened !== 0) continue;
      let sent = 0;
      for (let i = 0; i < 50; ++i) {
        if (t.send({ length: 60 + i, fragments: i % 4, fragmentLength: 300, first: i }) === 0) ++sent;
        if (i % 3 === 2) t.advance(1);
      }
      t.advance(10);
      const packets = t.received();
      t.expect(packets.length === sent, `${sent} packets come back, ${packets.length} did`);
      // A transmit timeout, and packets under way when it closes.
      for (let i = 0; i < 4; ++i) t.send({ length: 100, fragments: 2 });
      t.timeout();
      t.advance(1);
      for (let i = 0; i < 4; ++i) t.send({ length: 100, fragments: 2 });
      t.stop();
    }
  },
};
