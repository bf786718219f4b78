import { EVENT, NO_CPU, ROW } from '../batches/batch.js';
import { LINE, type LineContext, type LineFormat, type LineVerdict } from '../text/line-format.js';
import { deviceBefore, logLine, pciName, splitAddress } from '../text/log.js';

/**
 * Faults in the kernel's log: VT-d in its wordings since 2008 (dmar_fault_do_one, drivers/iommu/intel/dmar.c), AMD-Vi
 * (iommu_print_event, drivers/iommu/amd/iommu.c) and ARM's SMMU.
 */
export const iommuFaults: LineFormat = { name: 'IOMMU faults', line };

const DMAR =
  /\[(DMA (?:Read|Write)[^\]]*)\]\s*Request device \[([0-9a-f:.]+)\](?:\s+PASID \S+)?(?:\s+fault addr\s+(?:0x)?([0-9a-f]+)\b\s*(?:\[fault reason (?:0x)?([0-9a-f]+)\]\s*(.*))?)?/i;
const DMAR_REASON = /DMAR:\s*\[fault reason\s+(?:0x)?([0-9a-f]+)\]/i;
/** The line before the faults of an interrupt. */
const DMAR_STATUS = /DRHD: handling fault status/i;
const AMD = /Event logged \[(\w+)\s*([^\]]*)(\])?/;
const SMMU = /(\S+): Unhandled context fault: .*?iova=0x([0-9a-f]+)/i;
/** IO_PAGE_FAULT's flag RW (48882, section 2.5.3). */
const AMD_RW = 0x20;

function line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict {
  const text = context.text(bytes, start, end);
  if (!/Request device|Event logged|fault/i.test(text)) return LINE.FOREIGN;
  const { time, message } = logLine(text);
  const dmar = DMAR.exec(message);
  if (dmar) {
    const [, access, device, address, , why] = dmar;
    if (address === undefined) return context.open(end, 'the address of the fault is missing');
    fault(context, time, pciName(device), address, why?.trim() || access, access.startsWith('DMA Write'));
    return LINE.READ;
  }
  if (DMAR_REASON.test(message) || DMAR_STATUS.test(message)) return LINE.OTHER;
  const amd = AMD.exec(message);
  if (amd) {
    const [, event, fields, closed] = amd;
    if (closed === undefined) return context.open(end, 'the event does not end');
    const value = (name: string): string | undefined =>
      new RegExp(`\\b${name}=(\\S+?)[,\\s]*(?:$|\\s)`).exec(fields)?.[1];
    const address = value('address') ?? value('gpa') ?? value('spa');
    if (address === undefined || !/^0x[0-9a-f]+$/i.test(address)) return LINE.OTHER;
    const device = pciName(value('device') ?? deviceBefore(message));
    fault(context, time, device, address, event, (Number(value('flags') ?? 0) & AMD_RW) !== 0);
    return LINE.READ;
  }
  const smmu = SMMU.exec(message);
  if (!smmu) return LINE.FOREIGN;
  // It names itself, not the device.
  fault(context, time, '', smmu[2], `context fault of ${smmu[1]}`, false);
  return LINE.READ;
}

function fault(
  { writer }: LineContext,
  time: number,
  device: string,
  address: string,
  why: string,
  write: boolean,
): void {
  const row = writer.row(EVENT.FAULT, time, NO_CPU, 0);
  const { page, offset } = splitAddress(address);
  const c = writer.columns;
  c.page[row] = page;
  c.offset[row] = offset;
  c.device[row] = writer.strings.of(device);
  c.text[row] = writer.strings.of(why);
  c.flags[row] = ROW.ADDRESS | ROW.LOG | (write ? ROW.WRITE : 0);
}
