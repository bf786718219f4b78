// What the host uses of VT-d.

export { FORMAT_VTD } from './format';
export {
  VTD_BEYOND_WIDTH, VTD_CONTEXT_INVALID, VTD_CONTEXT_NOT_PRESENT, VTD_READ, VTD_ROOT_NOT_PRESENT, VTD_TABLE_POINTER,
  VTD_WRITE,
} from './fault-record';
export { PTE_LARGE, PTE_READ, PTE_SNOOP, PTE_WRITE, TABLE_ENTRIES } from './pte';
export { DOMAIN_SNOOP, DOMAIN_UNMAP_EXACT, DOMAIN_WRITE_IMPLIES_READ } from './tables';
