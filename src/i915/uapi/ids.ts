/** Handles, ids, names and file descriptors: numbers from `first`, the lowest free one. */
export class IdTable<T> {
  private readonly entries: (T | undefined)[] = [];
  private free: number;
  private readonly first: number;
  count = 0;
  /** The number that the next entry is to have, if it is free: a replay gives those of its recording. */
  wanted: number | undefined;

  constructor(first: number) {
    this.first = first;
    this.free = first;
  }

  add(value: T): number {
    let id = this.wanted ?? this.free;
    if (this.wanted === undefined || this.entries[id] !== undefined) {
      id = this.free;
      while (this.entries[id] !== undefined) ++id;
      this.free = id + 1;
    }
    this.wanted = undefined;
    this.entries[id] = value;
    ++this.count;
    return id;
  }

  get(id: number): T | undefined {
    return this.entries[id];
  }

  delete(id: number): T | undefined {
    const value = this.entries[id];
    if (value === undefined) return undefined;
    this.entries[id] = undefined;
    --this.count;
    if (id < this.free) this.free = id;
    return value;
  }

  *[Symbol.iterator](): Iterator<[number, T]> {
    for (let id = this.first; id < this.entries.length; ++id) {
      const value = this.entries[id];
      if (value !== undefined) yield [id, value];
    }
  }
}
