import { GemDmaError } from '../../core/errors.js';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE, PAGE_SIZE } from '../../core/generated/constants.js';
import type { CoherentBuffer } from '../../dma/coherent.js';
import type { DmaDevice } from '../../dma/device.js';
import type { LinkedRange } from '../../dma/linked-range.js';
import type { ScatterTable } from '../../dma/sg-table.js';
import type { Direction } from '../../dma/transfer.js';
import type { DmaBufAttachment } from '../../drm/dma-buf.js';
import { StressFailure } from '../engine/failure.js';
import type { Random } from '../engine/random.js';
import { Contents, stamped } from '../world/contents.js';
import type { DmaPart } from './part.js';

/**
 * What drivers of devices do by the DMA API alone, in the operations of this folder. `map` names a mapping by the id
 * that the making operation gave it. Every mapping of memory has frames of its own, with bytes that the CPU wrote before
 * mapping; what the device reads must be those, and what it writes must be there after syncing or unmapping.
 */

export { DMA_FROM_DEVICE as FROM_DEVICE, DMA_TO_DEVICE as TO_DEVICE };

/**
 * - `page`, `sg`: streaming mappings
 * - `coherent`: memory that is shared; `resource`: registers of another device
 * - `attachment`: an object of another part, through dma-buf
 * - `range`: address space that is reserved; `linked`: a page that is linked into it
 */
export type StressMappingKind = 'page' | 'sg' | 'coherent' | 'resource' | 'attachment' | 'range' | 'linked';

/** A live mapping of a device. */
export interface Mapping {
  readonly device: DmaDevice;
  readonly kind: StressMappingKind;
  readonly direction: Direction;
  /** Device address of the first byte; of a list: of its window. */
  readonly address: number;
  /** Bytes from there that the device may use; of an attachment and a range: all of it. */
  readonly length: number;
  /** Physical address of the same byte, where the CPU has the memory; of registers: theirs. */
  readonly physical: number;
  readonly table?: ScatterTable;
  readonly buffer?: CoherentBuffer;
  /** The device's use of the object, and the table that the exporter mapped for it. */
  readonly attachment?: { readonly of: DmaBufAttachment; readonly table: ScatterTable };
  /** A reserved range, and what is linked in it: id by page. Of a linked page: its range, that one's id, and the page. */
  readonly range?: LinkedRange;
  readonly links?: Map<number, number>;
  readonly link?: { readonly of: Mapping; readonly range: number; readonly page: number };
  readonly contents: Contents;
  /** Where the device wrote last. */
  written?: { offset: number; length: number };
}

export const MAX_BYTES = 200;
const DIRECTIONS: readonly Direction[] = [0, 1, 2];
const NO_PROBE = { offset: 0, length: 16 };

export function pickDevice(part: DmaPart, random: Random): number | null {
  if (part.devices.length === 0 || part.mappings.size >= part.limits.mappings) return null;
  return random.below(part.devices.length);
}

export function pickDirection(random: Random): Direction {
  return random.pick(DIRECTIONS);
}

/** An operation that ends a random mapping of a kind. */
export function pickMapping<Op extends string>(
  part: DmaPart,
  random: Random,
  op: Op,
  kind: StressMappingKind,
): Ending<Op> | null {
  for (let tries = 0; tries < 8; ++tries) {
    const id = part.mappings.pick(random);
    if (id === undefined) return null;
    const mapping = part.mappings.get(id)!;
    if (mapping.kind !== kind) continue;
    const { length, direction } = mapping;
    return { op, map: id, device: part.devices.indexOf(mapping.device), length, dir: direction };
  }
  return null;
}

/** What the operations have that end a mapping. */
type Ending<Op> = {
  readonly op: Op;
  readonly map: number;
  readonly device: number;
  readonly length: number;
  readonly dir: Direction;
};

export function refused(device: DmaDevice, syscall: string): GemDmaError {
  return new GemDmaError('ENOMEM', syscall, `device ${device.id} cannot map: ${device.reason}`, {
    reason: device.reason,
  });
}

/** The bytes that the CPU puts at the start of a mapping before the device may see them. */
export function before(stamp: number, length: number): Uint8Array {
  return stamped(stamp, Math.min(NO_PROBE.length, length));
}

/** What is known of a mapping's memory that was clean when the CPU wrote these bytes. */
export function known(part: DmaPart, direction: Direction, bytes: Uint8Array): Contents {
  const contents = new Contents();
  const { kernel, swiotlb } = part.machine;
  // In 2015 a bounced page came back with the old contents of its slot where the device wrote nothing.
  if (direction === DMA_FROM_DEVICE && swiotlb !== null && kernel.swiotlb === 'index') contents.forget();
  else contents.write(0, bytes);
  return contents;
}

/** What the CPU reads of a mapping's memory after a sync or unmap: what the device wrote last, or what was there before. */
export function left(part: DmaPart, mapping: Mapping): { offset: number; bytes: Uint8Array } {
  const { offset, length } = mapping.written ?? NO_PROBE;
  const bytes = part.machine.ram.read(mapping.physical + offset, Math.min(length, mapping.length - offset));
  return { offset, bytes };
}

/** Compares that with what must be there. */
export function compareLeft(mapping: Mapping, id: number, { offset, bytes }: ReturnType<typeof left>): void {
  if (mapping.contents.differs(offset, bytes) < 0 || notCopied(mapping)) return;
  throw new StressFailure('contents', `CPU, ${mapping.kind}`, `map${id} does not hold what the device left there`);
}

/**
 * Whether the last thing that failed was a copy between slots and memory, for which the emulator itself had no memory:
 * then the contents are unknown. No call reports it to the driver.
 */
export function notCopied({ contents, device }: Mapping): boolean {
  if (device.reason !== 'SWIOTLB_COPY_FAILED') return false;
  contents.forget();
  return true;
}

/** Whether the device reads and writes through a mapping, and the contents are known. */
export function streaming({ kind }: Mapping): boolean {
  return kind === 'page' || kind === 'sg' || kind === 'linked';
}

export function endAttachment(attachment: DmaBufAttachment): void {
  attachment.unmap();
  attachment.detach();
}

/** Unlinks a page from its range. */
export function unlink(part: DmaPart, mapping: Mapping): void {
  const { of, page } = mapping.link!;
  of.links!.delete(page);
  of.range!.unlink(page * PAGE_SIZE, PAGE_SIZE, mapping.direction);
  part.machine.ram.free([mapping.physical / PAGE_SIZE]);
}

/** Ends a mapping as a correct driver does. */
export function endMapping(part: DmaPart, mapping: Mapping): void {
  const { device, buffer, table, attachment, range, links, address, length, direction, physical } = mapping;
  switch (mapping.kind) {
    case 'page':
      device.unmapPage(address, length, direction);
      part.machine.ram.free([Math.floor(physical / PAGE_SIZE)]);
      break;
    case 'sg':
      device.unmapSg(table!, direction);
      table!.release();
      break;
    case 'coherent':
      buffer!.free();
      break;
    case 'resource':
      device.unmapResource(address, length, direction);
      break;
    case 'attachment':
      endAttachment(attachment!.of);
      break;
    case 'linked':
      unlink(part, mapping);
      break;
    case 'range':
      for (const id of [...links!.values()]) {
        unlink(part, part.mappings.get(id)!);
        part.mappings.delete(id);
      }
      range!.free();
  }
}
