import { SET_SLOTS, SLOT_SIZE, type SwiotlbDialect } from '../../src/core/bounce-pool.js';

/** The bounce pool, slot by slot, with nothing clever in it: what the core's bitmaps are held against. */
export class PoolModel {
  used = 0;
  readonly #taken: (number | null)[]; // first slot of the mapping that has the slot
  readonly #index: number[];
  readonly #areaUsed: number[];

  constructor(
    readonly start: number,
    readonly shape: { slots: number; areas: number },
    readonly dialect: SwiotlbDialect,
    readonly device: { align: number; boundary: number },
  ) {
    this.#taken = Array(shape.slots).fill(null);
    this.#index = Array(shape.areas).fill(0);
    this.#areaUsed = Array(shape.areas).fill(0);
  }

  map(phys: number, length: number, cpu: number): number {
    const align = this.dialect === 'index' ? 0 : this.device.align;
    const offset = phys & align & (SLOT_SIZE - 1);
    const size = length + offset;
    const slots = Math.ceil(size / SLOT_SIZE);
    const paged = align === 0 && (this.dialect === 'index' ? size > 4096 : size >= 4096);
    const low = paged ? 4095 : SLOT_SIZE - 1;
    const keep = align & ~low;
    const stride = Math.ceil((Math.max(low, keep) + 1) / SLOT_SIZE);
    for (let i = 0; i < this.shape.areas; ++i) {
      const area = (cpu + i) % this.shape.areas;
      const slot = this.#search(
        area,
        slots,
        (address) => (address & low) === 0 && (address & keep) === (phys & keep),
        stride,
      );
      if (slot < 0) continue;
      this.#taken.fill(slot, slot, slot + slots);
      const per = this.shape.slots / this.shape.areas;
      this.#index[area] = (slot - area * per + slots) % per;
      this.#areaUsed[area] += slots;
      this.used += slots;
      return this.start + slot * SLOT_SIZE + offset;
    }
    return -1;
  }

  unmap(address: number): void {
    const first = Math.floor((address - this.start) / SLOT_SIZE);
    for (let slot = first; this.#taken[slot] === first; ++slot) {
      this.#taken[slot] = null;
      this.used -= 1;
      this.#areaUsed[Math.floor(slot / (this.shape.slots / this.shape.areas))] -= 1;
    }
  }

  #search(area: number, slots: number, fits: (address: number) => boolean, stride: number): number {
    const per = this.shape.slots / this.shape.areas;
    if (slots > per - this.#areaUsed[area]) return -1;
    let index = this.#index[area];
    for (let checked = 0; checked < per; ) {
      const slot = area * per + index;
      const aligned = fits(this.start + slot * SLOT_SIZE);
      if (aligned && this.#free(slot, slots)) return slot;
      const step = aligned ? stride : 1;
      checked += step;
      index = index + step < per ? index + step : 0;
    }
    return -1;
  }

  #free(slot: number, slots: number): boolean {
    if ((slot % SET_SLOTS) + slots > SET_SLOTS) return false;
    const segment = this.device.boundary + 1;
    const first = this.start + slot * SLOT_SIZE;
    if (Math.floor(first / segment) !== Math.floor((first + slots * SLOT_SIZE - 1) / segment)) return false;
    return this.#taken.slice(slot, slot + slots).every((owner) => owner === null);
  }
}
