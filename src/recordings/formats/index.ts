import type { RecordingFormat } from '../replay/recording.js';
import { amdv1 } from './amdv1.js';
import { dmaDebug } from './dma-debug.js';
import { dmaDebugText } from './dma-debug-text.js';
import { drmMm } from './drm-mm.js';
import { iova } from './iova.js';
import { lazy } from './lazy.js';
import { mapSg } from './map-sg.js';
import { sgTable } from './sg-table.js';
import { swiotlb } from './swiotlb.js';
import { symptom } from './symptom.js';
import { vtd } from './vtd.js';

/** Every kind of recording that can be replayed, one file per format. */
export const formats: readonly RecordingFormat[] = [
  amdv1,
  dmaDebug,
  dmaDebugText,
  drmMm,
  iova,
  lazy,
  mapSg,
  sgTable,
  swiotlb,
  symptom,
  vtd,
];
