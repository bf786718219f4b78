import { checkBoolean } from '../core/arguments.js';
import { checkInteger, invalidValue, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { releaseOf } from '../core/releases.js';
import { amdv1 } from './amdv1.js';
import type { FormatOptions, FormatWords, IommuFormat, UnitOptions } from './format.js';
import { vtd } from './vtd.js';

/** Every kind of IOMMU that a machine may have, the default first: one line each. */
const LIST = [vtd, amdv1] as const;

export const IOMMU_FORMATS: readonly IommuFormat[] = LIST;

/** A kind of IOMMU, as machine options name it. */
export type IommuFormatName = (typeof LIST)[number]['name'];

/** Levels that a domain's tables may have, with one format or another. */
export type IommuLevels = (typeof LIST)[number]['levels'][number];

export const FORMAT_NAMES: readonly IommuFormatName[] = LIST.map(({ name }) => name);

/** The options of domains that some format has, and others may not have. */
export const FORMAT_OPTIONS = names<FormatOptions>(LIST.map(({ options }) => options));
/** The same of units. */
export const UNIT_OPTIONS = names<UnitOptions>(LIST.map(({ unitOptions }) => unitOptions));

function names<Options extends object>(tables: readonly Options[]): readonly (keyof Options & string)[] {
  return [...new Set(tables.flatMap((options) => Object.keys(options)))] as (keyof Options & string)[];
}

/** The format of a name. */
export function iommuFormat(name: IommuFormatName): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.name === name)!;
}

/** The format of a number of the core. */
export function formatOf(number: number): IommuFormat {
  return IOMMU_FORMATS.find((format) => format.number === number)!;
}

/** The properties of a kernel that are options of a format. */
export function optionsOf({ options }: IommuFormat, habits: FormatOptions): FormatOptions {
  return Object.fromEntries(Object.entries(habits).filter(([name]) => name in options));
}

/**
 * A domain's options that are its format's, with defaults.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for an option that the format does not have
 */
export function readFormatOptions(format: IommuFormat, given: FormatOptions): FormatOptions {
  return readOptions(format, FORMAT_OPTIONS, format.options, given, '');
}

/**
 * A unit's options, with defaults: all that some format has, those that this one does not have as undefined.
 * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE for an option that the format does not have
 */
export function readUnitOptions(format: IommuFormat, given: UnitOptions): UnitOptions {
  return readOptions(format, UNIT_OPTIONS, format.unitOptions, given, 'iommu.');
}

function readOptions<Options extends object>(
  { name }: IommuFormat,
  known: readonly (keyof Options & string)[],
  defaults: Readonly<Options>,
  given: Readonly<Options>,
  prefix: string,
): Options {
  const read: Record<string, boolean> = {};
  for (const option of known) {
    const value = given[option];
    if (option in defaults) read[option] = checkBoolean(prefix + option, value, defaults[option] as boolean);
    else if (value !== undefined) {
      throw invalidValue(prefix + option, `left out: an IOMMU of format '${name}' has no such option`, value);
    }
  }
  return read as Options;
}

/** Bits of an IOVA that a domain may have. A double holds no address of a domain of 2^53 bytes and more exactly. */
const MIN_WIDTH = 21;
const MAX_WIDTH = 53;

/** The shape of a domain's tables. */
export interface DomainShape {
  /** Levels of the tables. */
  levels: IommuLevels;
  /** Bits of an IOVA. */
  width: number;
  /** Page sizes of leaves, as iommu_domain.pgsize_bitmap. */
  pageSizes: number;
}

/**
 * The shape of a domain's tables, with the format's defaults.
 * @throws TypeErrors and RangeErrors for a shape that the format does not have
 */
export function readShape(format: IommuFormat, given: Partial<DomainShape>): DomainShape {
  const levels = readLevels('levels', format, given.levels);
  const most = Math.min(format.width(levels), MAX_WIDTH);
  const width = checkInteger('width', given.width ?? most, MIN_WIDTH, most);
  return { levels, width, pageSizes: readPageSizes('pageSizes', format, given.pageSizes) };
}

/** Levels of a domain's tables; errors as readShape. */
export function readLevels(name: string, { levels: known }: IommuFormat, given: number = known[0]): IommuLevels {
  checkInteger(name, given, Math.min(...known), Math.max(...known));
  if (!known.includes(given)) throw outOfRange(name, known.join(' or '), given);
  return given as IommuLevels;
}

/** Page sizes of a domain's leaves; errors as readShape. */
export function readPageSizes(name: string, format: IommuFormat, given: number = format.pageSizes): number {
  checkInteger(name, given, PAGE_SIZE, Number.MAX_SAFE_INTEGER);
  if (!format.isPageSizes(given)) throw outOfRange(name, format.pageSizesAllowed, given);
  return given;
}

/** What the driver of a format prints in the kernel of a release; without a release, in the newest. */
export function wordsOf({ words }: IommuFormat, release?: string): FormatWords {
  if (release === undefined) return words.at(-1)!;
  return words.findLast(({ since }) => releaseOf(since)! <= releaseOf(release)!) ?? words[0];
}
