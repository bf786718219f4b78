import type { LineFormat } from '../text/line-format.js';
import { dmaApiDump } from './dma-api-dump.js';
import { dmaDebugLog } from './dma-debug-log.js';
import { ftrace } from './ftrace.js';
import { iommuFaults } from './iommu-faults.js';
import { kernelLog } from './kernel-log.js';
import { perfScript } from './perf-script.js';
import { stack } from './stack.js';
import { swiotlbLog } from './swiotlb-log.js';

/**
 * The formats of text whose unit is the line; the first that takes a line reads it, and is asked first for the next. Lines of
 * several formats may be mixed, as in a mail that has a trace and a log. The binary format is trace-dat/.
 */
export const lineFormats: readonly LineFormat[] = [
  ftrace,
  perfScript,
  dmaApiDump,
  dmaDebugLog,
  iommuFaults,
  swiotlbLog,
  stack,
  kernelLog,
];
