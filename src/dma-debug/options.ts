import { checkOptions } from '../core/arguments.js';
import { checkInteger, invalidType, invalidValue } from '../core/errors.js';
import type { Checkers } from './dialects.js';

/** How dma-debug watches; plain JSON, every part with a default. */
export interface DmaDebugOptions {
  /** Entries of the kernel's pool (dma_debug_entries=). Default 65,536. */
  entries?: number;
  /**
   * `both` (default); `kernel`: only what the kernel does, which includes that it disables itself; `own`: its checker is
   * off.
   */
  checkers?: Checkers;
  /** debugfs all_errors: the kernel would print every finding. Default false. */
  allErrors?: boolean;
  /** debugfs num_errors: reports that the kernel prints before it goes quiet. Default 1. */
  numErrors?: number;
  /** dma_debug_driver=: the kernel prints nothing of other drivers' devices. Default '', no filter. */
  driverFilter?: string;
  /** Take the JavaScript call site of every mapping. Costs microseconds each. Default false. */
  callSites?: boolean;
  /** Throw a GemDmaError at the offending call. Default false. */
  strict?: boolean;
  /**
   * The calls come from a trace, which begins in the middle and lacks dma_mapping_error: an unmap or sync of an unknown address
   * belongs to a mapping that was made before, and an unmap of an unchecked address is not a finding. Default false.
   */
  midLife?: boolean;
}

/** The complete, validated form. */
export type DmaDebugConfig = Required<DmaDebugOptions>;

/** Entries of the pool on x86 (PREALLOC_DMA_DEBUG_ENTRIES). */
const DEFAULT_ENTRIES = 65536;
const MAX_ENTRIES = 2 ** 22;
const CHECKERS: readonly Checkers[] = ['both', 'kernel', 'own'];
const DEFAULTS: DmaDebugConfig = {
  entries: DEFAULT_ENTRIES,
  checkers: 'both',
  allErrors: false,
  numErrors: 1,
  driverFilter: '',
  callSites: false,
  strict: false,
  midLife: false,
};

/** Completes and checks the options. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE */
export function debugConfig(given: DmaDebugOptions): DmaDebugConfig {
  const options = checkOptions('dmaDebug', given, Object.keys(DEFAULTS));
  const config = { ...DEFAULTS };
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const expected = typeof DEFAULTS[key as keyof DmaDebugConfig];
    const type = typeof value;
    if (type !== expected) throw invalidType(`dmaDebug.${key}`, `of type ${expected}`, value);
    Object.assign(config, { [key]: value });
  }
  checkInteger('dmaDebug.entries', config.entries, 1, MAX_ENTRIES);
  checkInteger('dmaDebug.numErrors', config.numErrors, 0, 0xffffffff);
  if (!CHECKERS.includes(config.checkers)) {
    throw invalidValue('dmaDebug.checkers', `one of ${CHECKERS.join(', ')}`, config.checkers);
  }
  return config;
}
