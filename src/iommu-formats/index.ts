import { checkBoolean } from '../core/arguments.js';
import { invalidValue } from '../core/errors.js';
import { amdv1 } from './amdv1.js';
import type { FormatEra, FormatOptions, FormatWords, IommuFormat, UnitOptions } from './format.js';
import { vtd } from './vtd.js';

/** Every kind of IOMMU that a machine may have, the default first: one line each. */
const LIST = [vtd, amdv1] as const;

export const IOMMU_FORMATS: readonly IommuFormat[] = LIST;

/** A kind of IOMMU, as machine options name it. */
export type IommuFormatName = (typeof LIST)[number]['name'];

/** Levels that a domain's tables may have, with one format or another. */
export type IommuLevels = (typeof LIST)[number]['levels'][number];

export const FORMAT_NAMES: readonly IommuFormatName[] = LIST.map(({ name }) => name);

/** The options that some format has, and others may not have. */
export const FORMAT_OPTIONS = [
  ...new Set(LIST.flatMap(({ options }) => Object.keys(options))),
] as (keyof FormatOptions)[];
export const UNIT_OPTIONS: readonly (keyof UnitOptions)[] = [
  ...new Set(LIST.flatMap(({ unitOptions }) => unitOptions)),
];

/** The format of a name. */
export function iommuFormat(name: IommuFormatName): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.name === name)!;
}

/** The format of a number of the core's. */
export function formatOf(number: number): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.number === number)!;
}

/** Those of a kernel's habits that are options of a format. */
export function optionsOf({ options }: IommuFormat, habits: FormatOptions): FormatOptions {
  return Object.fromEntries(Object.entries(habits).filter(([name]) => name in options));
}

/**
 * A domain's options that are its format's, with defaults.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for an option that the format does not have
 */
export function readFormatOptions({ name, options }: IommuFormat, given: FormatOptions): FormatOptions {
  const defaults: Readonly<Record<string, boolean>> = options;
  const read: Record<string, boolean> = {};
  for (const option of FORMAT_OPTIONS) {
    if (option in options) read[option] = checkBoolean(option, given[option], defaults[option]);
    else if (given[option] !== undefined) {
      throw invalidValue(option, `left out: an IOMMU of format '${name}' has no such option`, given[option]);
    }
  }
  return read;
}

/** What the driver of a format says in an era's kernels. */
export function wordsOf({ words }: IommuFormat, era: FormatEra): FormatWords {
  return words[era] ?? words['2024'];
}
