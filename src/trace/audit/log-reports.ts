import { EVENT, type EventNumber, ROW, type TraceBatch } from '../batches/batch.js';
import { type AuditResult, addressText, seconds } from './result.js';

/** Reports of the kernel in a log: dma-debug's findings, a full bounce pool, the list of live mappings. */

interface Names {
  get(number: number): string;
}

const MAX_KEYS = 4096;

export class LogReports {
  private readonly findings = new Map<string, AuditResult['dmaDebug'][number]>();
  private readonly full = new Map<number, AuditResult['swiotlbFull'][number]>();
  private readonly dumped = new Map<string, AuditResult['dump'][number]>();

  add(kind: EventNumber, batch: TraceBatch, row: number, names: Names, device: number, text: number): void {
    if (kind === EVENT.DMA_DEBUG) this.finding(batch, row, names.get(device), names.get(text));
    else if (kind === EVENT.SWIOTLB_FULL) this.swiotlb(batch, row, device, names.get(device));
    else if (kind === EVENT.DUMP) this.dump(batch, row, names.get(device), names.get(text));
  }

  private finding(batch: TraceBatch, row: number, device: string, text: string): void {
    const key = `${device} ${text}`;
    const before = this.findings.get(key);
    if (before) ++before.count;
    else if (this.findings.size < MAX_KEYS) {
      const address = (batch.flags[row] & ROW.ADDRESS) !== 0 ? addressText(batch.page[row], batch.offset[row]) : '';
      this.findings.set(key, { text, device, count: 1, address, time: seconds(batch.time[row]) });
    }
  }

  private swiotlb(batch: TraceBatch, row: number, device: number, name: string): void {
    const size = batch.size[row];
    const before = this.full.get(device);
    if (before) {
      ++before.count;
      before.sizes = [Math.min(before.sizes[0], size), Math.max(before.sizes[1], size)];
      before.mostUsed = Math.max(before.mostUsed, batch.extra[row]);
    } else if (this.full.size < MAX_KEYS) {
      const firstSeen = seconds(batch.time[row]);
      this.full.set(device, { device: name, count: 1, sizes: [size, size], mostUsed: batch.extra[row], firstSeen });
    }
  }

  private dump(batch: TraceBatch, row: number, device: string, kind: string): void {
    const key = `${device} ${kind}`;
    let entry = this.dumped.get(key);
    if (entry === undefined) {
      if (this.dumped.size >= MAX_KEYS) return;
      this.dumped.set(key, (entry = { device, kind, count: 0, bytes: 0 }));
    }
    ++entry.count;
    entry.bytes += batch.size[row];
  }

  get result(): Pick<AuditResult, 'dmaDebug' | 'swiotlbFull' | 'dump'> {
    const largest = <T extends { count: number }>(map: Map<unknown, T>): T[] =>
      [...map.values()].sort((a, b) => b.count - a.count);
    return { dmaDebug: largest(this.findings), swiotlbFull: largest(this.full), dump: largest(this.dumped) };
  }
}
