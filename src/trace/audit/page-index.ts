/** A multi-map from pages to numbers: hash buckets of chained nodes in typed arrays. */
export class PageIndex {
  private heads: Int32Array;
  private keys: Float64Array;
  private values: Int32Array;
  private nexts: Int32Array;
  private free = -1;
  private used = 0;
  private count = 0;
  private shift: number;

  constructor(order = 10) {
    this.heads = new Int32Array(1 << order).fill(-1);
    this.keys = new Float64Array(1 << order);
    this.values = new Int32Array(1 << order);
    this.nexts = new Int32Array(1 << order);
    this.shift = 32 - order;
  }

  get size(): number {
    return this.count;
  }

  private bucket(key: number): number {
    // Pages beyond 2^31 are truncated modulo 2^32, which a hash may be.
    return (Math.imul(key | 0, 0x9e3779b1) ^ Math.imul((key / 4294967296) | 0, 0x85ebca6b)) >>> this.shift;
  }

  add(key: number, value: number): void {
    let node = this.free;
    if (node >= 0) this.free = this.nexts[node];
    else {
      if (this.used === this.keys.length) this.grow();
      node = this.used++;
    }
    const bucket = this.bucket(key);
    this.keys[node] = key;
    this.values[node] = value;
    this.nexts[node] = this.heads[bucket];
    this.heads[bucket] = node;
    ++this.count;
  }

  remove(key: number, value: number): void {
    const bucket = this.bucket(key);
    let before = -1;
    for (let node = this.heads[bucket]; node >= 0; before = node, node = this.nexts[node]) {
      if (this.keys[node] !== key || this.values[node] !== value) continue;
      if (before < 0) this.heads[bucket] = this.nexts[node];
      else this.nexts[before] = this.nexts[node];
      this.nexts[node] = this.free;
      this.free = node;
      --this.count;
      return;
    }
  }

  /** The newest node of a key, -1 for none; not to be continued after a change. */
  first(key: number): number {
    return this.seek(this.heads[this.bucket(key)], key);
  }

  /** The next older node of the same key. */
  next(node: number): number {
    return this.seek(this.nexts[node], this.keys[node]);
  }

  private seek(from: number, key: number): number {
    let node = from;
    while (node >= 0 && this.keys[node] !== key) node = this.nexts[node];
    return node;
  }

  value(node: number): number {
    return this.values[node];
  }

  /** Twice the nodes and buckets. Each bucket becomes two neighbours; chains keep their order. */
  private grow(): void {
    const size = this.keys.length * 2;
    this.keys = larger(this.keys, new Float64Array(size));
    this.values = larger(this.values, new Int32Array(size));
    const nexts = larger(this.nexts, new Int32Array(size));
    const old = this.heads;
    this.heads = new Int32Array(size).fill(-1);
    --this.shift;
    const tails = new Int32Array(size).fill(-1);
    for (let bucket = 0; bucket < old.length; ++bucket) {
      for (let node = old[bucket], next = 0; node >= 0; node = next) {
        next = nexts[node];
        nexts[node] = -1;
        const into = this.bucket(this.keys[node]);
        if (tails[into] < 0) this.heads[into] = node;
        else nexts[tails[into]] = node;
        tails[into] = node;
      }
    }
    this.nexts = nexts;
  }
}

function larger<T extends Float64Array | Int32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
