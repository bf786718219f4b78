// What comparing a domain with a kernel looks at.

export { amdCallsFirst, amdCallsTake } from './calls';
export { amdEntriesDump, amdFreed, amdGrown, amdLeaked, amdReplayLimit, amdReplayNpCache } from './replay';
