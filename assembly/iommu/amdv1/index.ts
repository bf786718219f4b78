// Calls for comparing a domain with a kernel.

export { amdCallsStart } from './calls';
export { amdReplayIovaToPhys, amdReplayMap, amdReplayRefused, amdReplayUnmap } from './replay';
