import { PAGE_MASK, PAGE_SIZE } from '../../core/generated/constants.js';
import type { BatchWriter } from '../batches/batch.js';
import type { Gaps } from '../batches/completeness.js';
import type { EventBody, ValueList } from '../text/body.js';
import { EVENT_RULES, missing, writeEvent } from '../text/events.js';
import type { EventField, EventFormat } from './event-format.js';

/** One record of the ring buffer to a row: the fields by name, as in text. */

/** Names of fields by what they are; the first that an event has is taken. */
const NAMES = {
  device: ['device', 'dev', 'dev_name'],
  address: ['dma_addr', 'addr', 'iova', 'dev_addr'],
  physical: ['phys_addr', 'paddr'],
  size: ['size', 'length', 'len'],
  unmapped: ['unmapped_size', 'unmapped'],
  direction: ['dir', 'direction'],
  attrs: ['attrs'],
  flags: ['flags'],
  group: ['gid'],
  mask: ['dma_mask'],
  force: ['force'],
  truncated: ['truncated'],
  nents: ['full_nents', 'nents'],
  index: ['index'],
  phys: ['phys_addrs', 'addrs'],
  addresses: ['dma_addrs'],
  lengths: ['lengths', 'sizes'],
} as const;

type FieldName = keyof typeof NAMES;

export class RecordReader {
  /** undefined for events that are not read. */
  readonly rule: (typeof EVENT_RULES)[string] | undefined;
  readonly name: string;
  private readonly fields: Partial<Record<FieldName, EventField>> = {};
  private readonly pid: EventField;
  private readonly little: boolean;

  constructor(format: EventFormat, little: boolean) {
    this.name = format.name;
    const system = format.system;
    // `map` of another system is another event.
    const ours = ['iommu', 'dma', 'swiotlb', 'intel_iommu'].includes(system);
    this.rule = ours ? EVENT_RULES[format.name] : undefined;
    this.little = little;
    for (const key of Object.keys(NAMES) as FieldName[]) {
      const name = NAMES[key].find((candidate) => format.fields.has(candidate));
      if (name !== undefined) this.fields[key] = format.fields.get(name);
    }
    this.pid = format.fields.get('common_pid') ?? { offset: 4, size: 4, location: 'here' };
  }

  /** Bytes that a record has at least. */
  get least(): number {
    return Object.values(this.fields).reduce((most, { offset, size }) => Math.max(most, offset + size), 8);
  }

  pidOf(view: DataView, at: number): number {
    return view.getInt32(at + this.pid.offset, this.little);
  }

  /**
   * Reads the record at `at`, of `length` bytes, of a page.
   * @returns '' or why it cannot be read
   */
  read(
    page: { bytes: Uint8Array; view: DataView },
    at: number,
    length: number,
    into: { writer: BatchWriter; gaps: Gaps; body: EventBody },
    header: { time: number; cpu: number; task: number },
  ): string {
    const { fields, little } = this;
    const { view, bytes } = page;
    const { body } = into;
    body.reset();
    let device = 0;
    if (fields.device !== undefined) {
      const [start, size] = this.located(view, at, length, fields.device);
      let end = start;
      while (end < start + size && bytes[end] !== 0) ++end;
      body.deviceStart = start;
      body.deviceEnd = end;
      device = into.writer.strings.ofBytes(bytes, start, end);
    }
    if (fields.address !== undefined) {
      body.hasAddress = true;
      const field = fields.address;
      const place = at + field.offset;
      if (field.size === 8) {
        const low = view.getUint32(little ? place : place + 4, little);
        const high = view.getUint32(little ? place + 4 : place, little);
        body.page = high * 2 ** 20 + (low >>> 12);
        body.offset = low & PAGE_MASK;
      } else {
        const value = this.number(view, at, field);
        body.page = Math.floor(value / PAGE_SIZE);
        body.offset = value % PAGE_SIZE;
      }
    }
    if (fields.physical !== undefined) body.physical = this.number(view, at, fields.physical);
    if (fields.size !== undefined) {
      body.size = this.number(view, at, fields.size);
      body.hasSize = true;
    }
    if (fields.unmapped !== undefined) body.unmapped = this.number(view, at, fields.unmapped);
    if (fields.direction !== undefined) body.direction = this.number(view, at, fields.direction) & 255;
    if (fields.attrs !== undefined) body.attrs = this.number(view, at, fields.attrs) >>> 0;
    if (fields.flags !== undefined) body.faultFlags = this.number(view, at, fields.flags);
    if (fields.group !== undefined) body.group = this.number(view, at, fields.group);
    if (fields.mask !== undefined) body.mask = this.number(view, at, fields.mask);
    if (fields.force !== undefined) body.forced = this.number(view, at, fields.force) !== 0;
    if (fields.truncated !== undefined) body.truncated = this.number(view, at, fields.truncated) !== 0;
    if (fields.nents !== undefined) body.nents = this.number(view, at, fields.nents);
    if (fields.index !== undefined) body.index = this.number(view, at, fields.index);
    if (fields.phys !== undefined) this.list(view, at, length, fields.phys, body.phys, 8);
    if (fields.addresses !== undefined) this.list(view, at, length, fields.addresses, body.addresses, 8);
    if (fields.lengths !== undefined) this.list(view, at, length, fields.lengths, body.lengths, 4);
    const lack = missing(this.rule!, body);
    if (lack === '') writeEvent(into.writer, into.gaps, this.rule!, body, header, device);
    return lack;
  }

  private number(view: DataView, at: number, { offset, size }: EventField): number {
    const place = at + offset;
    if (size === 8) {
      const first = view.getUint32(place, this.little);
      const second = view.getUint32(place + 4, this.little);
      return this.little ? second * 2 ** 32 + first : first * 2 ** 32 + second;
    }
    if (size === 4) return view.getUint32(place, this.little);
    return size === 2 ? view.getUint16(place, this.little) : view.getUint8(place);
  }

  /** Begin and size of what a field locates; nothing of it lies outside of the record. */
  private located(view: DataView, at: number, length: number, field: EventField): [number, number] {
    if (field.location === 'here') return [at + field.offset, field.size];
    const value = view.getUint32(at + field.offset, this.little);
    const offset = (value & 0xffff) + (field.location === 'relative' ? field.offset + field.size : 0);
    const start = Math.min(offset, length);
    return [at + start, Math.min(value >>> 16, length - start)];
  }

  private list(view: DataView, at: number, length: number, field: EventField, into: ValueList, width: number): void {
    const [start, size] = this.located(view, at, length, field);
    const count = Math.floor(size / width);
    for (let i = 0; i < count; ++i) {
      const place = start + i * width;
      if (width === 4) into.add(view.getUint32(place, this.little));
      else {
        const first = view.getUint32(place, this.little);
        const second = view.getUint32(place + 4, this.little);
        into.add(this.little ? second * 2 ** 32 + first : first * 2 ** 32 + second);
      }
    }
  }
}
