import { FieldReader, type Recording } from '../replay/recording.js';
import { checkShape, shape, shapes } from '../replay/shape.js';

/** The fields of a case of dma-debug: of its calls, counters and verdicts. */

type Json = Record<string, unknown>;

const CASE = 'case:text calls:list before:record after:record';
export const PLAIN = shape(CASE, 'verdicts:list');
export const WITH_OPTIONS = shape(CASE, 'options:list printed:list');
const COUNTERS = shape(
  'disabled:flag error_count:int all_errors:int num_errors:int num_free_entries:int min_free_entries:int nr_total_entries:int',
);
const NOTE = shape('note:text [rc:rc]');
const DEVICE = 'call:text [dev:text] [ev:list]';
const PLACED = 'call:text dev:text ev:list';
/** The size of the IOVA tree, behind an IOMMU. */
const TREE = 'iova_ranges:int iova_pages:int';
const SYNC = `${DEVICE} addr:hex len:int [off:int] dir:any`;
const SYNC_SG = `${DEVICE} nents:int dir:any`;
/** Calls of the DMA API: what the recorder wrote of each. An input that is nowhere else is taken from a verdict. */
const CALLS = shapes<string>({
  dma_map_page: `${PLACED} pfn:hex off:int len:int dir:any attrs:int ret:hex [what:text]`,
  dma_map_single: `${DEVICE} what:text ret:hex [phys:hex] [len:int] [dir:any]`,
  dma_map_resource: `${DEVICE} phys:hex len:int ret:hex [dir:any]`,
  dma_map_sg: `${PLACED} sg:list dir:any ret:rc out:list [attrs:int]`,
  dma_alloc_coherent: `${PLACED} len:int ret:hex [pfn:hex]`,
  dma_alloc_pages: `${DEVICE} len:int pfn:hex ret:hex [dir:any]`,
  dma_unmap_page: `${PLACED} addr:hex len:int dir:any`,
  dma_unmap_single: `${DEVICE} addr:hex len:int dir:any`,
  dma_unmap_resource: `${DEVICE} addr:hex len:int [dir:any]`,
  dma_unmap_sg: `${PLACED} nents:int dir:any`,
  dma_free_coherent: `${PLACED} addr:hex len:int`,
  dma_free_pages: `${DEVICE} len:int dir:any [addr:hex]`,
  dma_mapping_error: `${DEVICE} addr:hex ret:rc`,
  dma_sync_single_for_cpu: SYNC,
  dma_sync_single_for_device: SYNC,
  dma_sync_single_range_for_cpu: SYNC,
  dma_sync_single_range_for_device: SYNC,
  dma_sync_sg_for_cpu: SYNC_SG,
  dma_sync_sg_for_device: SYNC_SG,
});
const BEHIND_IOMMU = shapes<string>({
  dma_map_sg: `${PLACED} sg:list dir:any ret:rc out:list [attrs:int] ${TREE}`,
  dma_unmap_sg: `${PLACED} nents:int dir:any ${TREE}`,
});

const ENTRY = 'id:text device:text device_address:text size:any';
/** Verdicts that occur in recordings, with the fields that the kernel prints. */
const VERDICTS = shapes<string>({
  CACHELINE_OVERLAP: 'id:text device:text',
  LEAK_ON_UNBIND: 'id:text device:text count:any example:record',
  OOM_DISABLED: 'id:text',
  POOL_GROWN: 'id:text total:any',
  REJECT_VMALLOC: 'id:text device:text',
  SEG_LEN: 'id:text device:text len:any max:any',
  SYNC_DIR: `${ENTRY} mapped_dir:text synced_dir:text`,
  SYNC_RO_FOR_CPU: `${ENTRY} mapped_dir:text synced_dir:text`,
  SYNC_UNKNOWN: ENTRY,
  SYNC_WO_FOR_DEV: `${ENTRY} mapped_dir:text synced_dir:text`,
  UNMAP_CPUADDR: `${ENTRY} cpu_alloc_address:text cpu_free_address:text`,
  UNMAP_DIR: `${ENTRY} mapped_dir:text unmapped_dir:text`,
  UNMAP_INVALID: 'id:text device:text',
  UNMAP_SGCOUNT: 'id:text device:text map_count:any unmap_count:any',
  UNMAP_SIZE: 'id:text device:text device_address:text map_size:any unmap_size:any',
  UNMAP_TYPE: `${ENTRY} mapped_as:text unmapped_as:text`,
  UNMAP_UNCHECKED: `${ENTRY} mapped_as:text`,
  UNMAP_UNKNOWN: ENTRY,
});
const LEAKED = shape('device_address:text size:any mapped_dir:text mapped_as:text');

/** Every call, every verdict and every set of counters of a case has its fields. */
export function checkCase(recording: Recording, line: number, step: Json): void {
  const read: FieldReader = new FieldReader(recording);
  const calls = recording.header.backend === 'iommu' ? { ...CALLS, ...BEHIND_IOMMU } : CALLS;
  for (const name of ['before', 'after']) checkShape(read, line, step[name] as Json, COUNTERS, `${step.case}: ${name}`);
  for (const item of step.calls as unknown[]) {
    if (typeof item !== 'object' || item === null) read.fail(line, `${step.case}: a call that is no object`);
    const call = item as Json;
    const known = call.call === undefined ? NOTE : calls[String(call.call)];
    if (known === undefined) read.fail(line, `call of ${String(call.call)}, which is not known here`);
    checkShape(read, line, call, known, `${step.case}: ${String(call.call ?? 'note')}`);
  }
  for (const verdict of (step.verdicts ?? step.printed ?? []) as Json[]) {
    const { id, example } = verdict ?? {};
    if (typeof id !== 'string') read.fail(line, `${step.case}: a verdict without id`);
    const known = VERDICTS[id];
    if (known) checkShape(read, line, verdict, known, `${step.case}: ${id}`);
    if (known && example) checkShape(read, line, example as Json, LEAKED, `${step.case}: example`);
  }
}
