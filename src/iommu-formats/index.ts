import { amdv1 } from './amdv1.js';
import type { IommuFormat } from './format.js';
import { vtd } from './vtd.js';

/** Every kind of IOMMU that a machine may have, the default first. */
export const IOMMU_FORMATS: readonly IommuFormat[] = [vtd, amdv1];

export type IommuFormatName = IommuFormat['name'];

/** The format of a name. */
export function iommuFormat(name: IommuFormatName): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.name === name)!;
}

/** The format of a number of the core's. */
export function formatOf(number: number): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.number === number)!;
}
