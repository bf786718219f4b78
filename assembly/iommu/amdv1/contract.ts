// What the host uses of AMD's tables.

export { FORMAT_AMDV1 } from './format';
export { AMD_CALLS_MAX, AMD_CALL_FLUSH, AMD_CALL_MAP, AMD_CALL_UNMAP, AmdCall } from './calls';
