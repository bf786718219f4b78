import { drmMm } from './drm-mm.js';
import { iova } from './iova.js';
import type { Subject } from './subject.js';

/** What can be driven beside the kernel. */
export const SUBJECTS: readonly Subject[] = [iova, drmMm];
