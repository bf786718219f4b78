/** Text that rows name by number. Number 0 stands for none. */

const MAX_STRINGS = 1 << 20;

export class StringTable {
  private readonly list: string[] = [''];
  private readonly byText = new Map<string, number>();
  private slots = new Uint32Array(1024);
  private hashes = new Int32Array(1024);
  private bytes = new Uint8Array(4096);
  private used = 0;
  /** Where the bytes of a string begin, and how many there are. */
  private starts: number[] = [0];
  private lengths: number[] = [0];

  /** Strings, the empty one included. */
  get size(): number {
    return this.list.length;
  }

  since(first: number): string[] {
    return this.list.slice(first);
  }

  get(number: number): string {
    return this.list[number] ?? '';
  }

  /** The number of a piece of ASCII text. */
  ofBytes(source: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length <= 0) return 0;
    let hash = length;
    for (let i = start; i < end; ++i) hash = (Math.imul(hash, 31) + source[i]) | 0;
    const mask = this.slots.length - 1;
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const number = this.slots[slot];
      if (number === 0) return this.enter(source, start, length, hash, slot);
      if (this.hashes[slot] === hash && this.lengths[number] === length && this.same(number, source, start, length)) {
        return number;
      }
    }
  }

  /** The number of a string. */
  of(text: string): number {
    const known = this.byText.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(text);
    const number = this.ofBytes(bytes, 0, bytes.length);
    this.byText.set(text, number);
    return number;
  }

  private same(number: number, source: Uint8Array, start: number, length: number): boolean {
    const at = this.starts[number];
    for (let i = 0; i < length; ++i) if (this.bytes[at + i] !== source[start + i]) return false;
    return true;
  }

  private enter(source: Uint8Array, start: number, length: number, hash: number, slot: number): number {
    // Most names of a file; later ones are dropped.
    if (this.list.length >= MAX_STRINGS) return 0;
    while (this.used + length > this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes.set(source.subarray(start, start + length), this.used);
    const number = this.list.length;
    this.starts.push(this.used);
    this.lengths.push(length);
    this.list.push(decoder.decode(source.subarray(start, start + length)));
    this.used += length;
    this.slots[slot] = number;
    this.hashes[slot] = hash;
    if (this.list.length * 2 > this.slots.length) this.grow();
    return number;
  }

  private grow(): void {
    const { slots, hashes } = this;
    const size = slots.length * 2;
    this.slots = new Uint32Array(size);
    this.hashes = new Int32Array(size);
    for (let i = 0; i < slots.length; ++i) {
      if (slots[i] === 0) continue;
      let slot = (hashes[i] ^ (hashes[i] >>> 15)) & (size - 1);
      while (this.slots[slot] !== 0) slot = (slot + 1) & (size - 1);
      this.slots[slot] = slots[i];
      this.hashes[slot] = hashes[i];
    }
  }
}

const decoder = new TextDecoder();
