import { checkOptions, checkPlainFunction, oneOf } from '../core/arguments.js';
import { checkInteger, invalidType, invalidValue, outOfRange, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { DEFAULT_POLICY, POLICIES, POLICY_NAMES, type PolicyName } from './policy/index.js';
import { type MappingPolicy, POLICY_HOOKS } from './policy/policy.js';

/** Generations of the hardware: each has its own entry format or cacheability codes. */
export type Platform = 'snb' | 'ivb' | 'vlv' | 'hsw' | 'hsw-ellc' | 'bdw' | 'chv' | 'skl';

/** none; one PPGTT that shadows the GGTT; one per context; one per context with four levels. */
export type PpgttMode = 'none' | 'aliasing' | 'full' | 'full-48bit';

/**
 * Faults of historic drivers, off by default, each by what it does:
 *
 * - `danglingPages`: when the DMA map in shmem get_pages fails, `obj.pages` keeps pointing to the freed table, so that
 *   the next get_pages says 0 (4.2 to 4.4, i915_gem_object_get_pages_gtt)
 * - `userptrCursor`: the userptr worker attaches pages without resetting the page-lookup cursor (the v3 part of the fix)
 * - `truncatedSize`: bind_to_vm keeps the object's size in 32 bits (4.2, 4.3)
 * - `emptyUserptr`: a userptr of no bytes is accepted (4.2)
 */
export interface Defects {
  /** `obj.pages` stays after a failed DMA map in shmem get_pages. Default false. */
  danglingPages: boolean;
  /** The userptr worker leaves the page-lookup cursor as it was. Default false. */
  userptrCursor: boolean;
  /** bind_to_vm has the object's size in 32 bits. Default false. */
  truncatedSize: boolean;
  /** A userptr of no bytes is accepted. Default false. */
  emptyUserptr: boolean;
}

/** What `machine.addI915()` accepts. Everything has a default. */
export interface I915Options {
  /** Graphics generation, 6 to 9. Default 8. */
  gen?: number;
  /** Default: the big-core part of the generation (`snb`, `ivb`, `bdw`, `skl`). */
  platform?: Platform;
  /** Does the GPU share the CPU's last-level cache? Default: all but `vlv` and `chv`. */
  llc?: boolean;
  /** Default what i915 chose by itself: gen6 none behind an IOMMU, else aliasing; gen7 aliasing; from gen8 full. */
  ppgtt?: PpgttMode;
  /** Bytes that the global GTT covers: 1 or 2 GiB, from gen8 also 4. Default 2 GiB. */
  ggtt?: number | string;
  /** Bytes at its start that the CPU reaches through the aperture, at most `ggtt`. Default 256 MiB. */
  mappable?: number | string;
  /** Bytes of memory that firmware set aside for graphics. Default 0: none. */
  stolen?: number | string;
  /** When the driver maps and unmaps: a preset by name, or a policy of your own. Default `i915-4.2`. */
  policy?: PolicyName | MappingPolicy;
  /** Faults of historic drivers to bring back. Default none. */
  defects?: Partial<Defects>;
  /** On a failed DMA map of shmem pages, shrink other objects and try again, as later kernels do. Default false. */
  shrinkAndRemap?: boolean;
  /** Does the firmware swizzle tiled pages so that their frames must never move? Default false. */
  pinSwizzledPages?: boolean;
}

/** The complete, validated form. Sizes in bytes. */
export interface I915Config {
  /** Generation of the GPU, 6 to 9. */
  gen: number;
  /** The platform of that generation, such as `bdw`. */
  platform: Platform;
  /** Whether CPU and GPU share the last-level cache: then new objects are cached. */
  llc: boolean;
  /** Per-process GTTs: none, aliasing, full. */
  ppgtt: PpgttMode;
  /** Bytes of address space of the global GTT. */
  ggtt: number;
  /** Bytes of it that the CPU reaches through the aperture. */
  mappable: number;
  /** Bytes of RAM that the firmware has reserved for the GPU. */
  stolen: number;
  /** The policy's name: a preset's, or that of the policy given. */
  policy: string;
  /** Faults of historic drivers that are switched on. */
  defects: Defects;
  /** get_pages evicts objects and tries again when the DMA map fails. */
  shrinkAndRemap: boolean;
  /**
   * Tiled objects keep their pages, as on machines whose memory swizzles by physical address
   * (QUIRK_PIN_SWIZZLED_PAGES).
   */
  pinSwizzledPages: boolean;
  /** Bits of a DMA address: gen6 and gen7 have 40-bit GTT entries, gen8 and later a 39-bit mask. */
  dmaBits: number;
}

const PLATFORM_GENS: Readonly<Record<Platform, number>> = {
  snb: 6,
  ivb: 7,
  vlv: 7,
  hsw: 7,
  'hsw-ellc': 7,
  bdw: 8,
  chv: 8,
  skl: 9,
};
const DEFAULT_PLATFORM: Readonly<Record<number, Platform>> = { 6: 'snb', 7: 'ivb', 8: 'bdw', 9: 'skl' };
const PPGTT_MODES: readonly PpgttMode[] = ['none', 'aliasing', 'full', 'full-48bit'];
const DEFECTS: readonly (keyof Defects)[] = ['danglingPages', 'userptrCursor', 'truncatedSize', 'emptyUserptr'];
const KEYS = [
  'gen',
  'platform',
  'llc',
  'ppgtt',
  'ggtt',
  'mappable',
  'stolen',
  'policy',
  'defects',
  'shrinkAndRemap',
  'pinSwizzledPages',
];
const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/** The options as plain values. Throws ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE for what has no such name. */
export function readI915Options(options: I915Options): I915Options {
  const plain = checkOptions('i915', options, KEYS);
  if (plain.defects === undefined) return plain;
  return { ...plain, defects: checkOptions('defects', plain.defects, DEFECTS) };
}

/**
 * Completes and checks the description of a GPU.
 * @param options that were read
 * @param translated whether an IOMMU translates the device's accesses
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE naming the option at fault
 */
export function i915Config(options: I915Options, translated: boolean): I915Config {
  const { gen, platform } = generation(options);
  const ggtt = parseSize('ggtt', options.ggtt ?? 2 * GiB);
  if (ggtt !== GiB && ggtt !== 2 * GiB && !(ggtt === 4 * GiB && gen >= 8)) {
    throw outOfRange('ggtt', gen >= 8 ? '1, 2 or 4 GiB' : '1 or 2 GiB', ggtt);
  }
  const mappable = parseSize('mappable', options.mappable ?? 256 * MiB);
  // i915_gem_gtt.c, gen6_gmch_probe: a smaller or larger aperture means that the BAR was misread.
  if (mappable < 64 * MiB || mappable > 512 * MiB || mappable % PAGE_SIZE !== 0) {
    throw outOfRange('mappable', '64 to 512 MiB', mappable);
  }
  const stolen = parseSize('stolen', options.stolen ?? 0);
  if (stolen % (4 * MiB) !== 0) throw outOfRange('stolen', 'a multiple of 4 MiB', stolen);
  return {
    gen,
    platform,
    llc: flag('llc', options.llc, platform !== 'vlv' && platform !== 'chv'),
    ppgtt: ppgttMode(options.ppgtt, gen, translated),
    ggtt,
    mappable,
    stolen,
    policy: i915Policy(options).name,
    defects: defects(options.defects ?? {}),
    shrinkAndRemap: flag('shrinkAndRemap', options.shrinkAndRemap, false),
    pinSwizzledPages: flag('pinSwizzledPages', options.pinSwizzledPages, false),
    dmaBits: gen >= 8 ? 39 : 40,
  };
}

/** The policy that options ask for: a preset, or their own. */
export function i915Policy(options: I915Options): MappingPolicy {
  const { policy = DEFAULT_POLICY } = options;
  return typeof policy === 'string' ? POLICIES[oneOf('policy', policy, POLICY_NAMES)] : checkedPolicy(policy);
}

// Hooks are synchronous: an async function is a mistake. Other members of the policy are not checked.
function checkedPolicy(policy: MappingPolicy): MappingPolicy {
  if (typeof policy !== 'object' || policy === null || typeof policy.name !== 'string') {
    throw invalidType('policy', 'a MappingPolicy with a name', policy);
  }
  for (const hook of POLICY_HOOKS) {
    const run: unknown = policy[hook];
    if (run !== undefined) checkPlainFunction(`policy.${hook}`, run);
  }
  return policy;
}

function generation(options: I915Options): { gen: number; platform: Platform } {
  const { platform } = options;
  if (platform !== undefined && PLATFORM_GENS[platform] === undefined) {
    throw invalidValue('platform', `one of ${Object.keys(PLATFORM_GENS).join(', ')}`, platform);
  }
  const gen = options.gen ?? (platform === undefined ? 8 : PLATFORM_GENS[platform]);
  checkInteger('gen', gen, 6, 9);
  if (platform !== undefined && PLATFORM_GENS[platform] !== gen) {
    throw invalidValue('platform', `a platform of gen ${gen}`, platform);
  }
  return { gen, platform: platform ?? DEFAULT_PLATFORM[gen] };
}

// sanitize_enable_ppgtt. Where the kernel falls back in silence from a mode that the hardware lacks, this refuses.
function ppgttMode(asked: PpgttMode | undefined, gen: number, translated: boolean): PpgttMode {
  if (asked === undefined) {
    if (gen >= 8) return 'full';
    return gen === 6 && translated ? 'none' : 'aliasing';
  }
  if (!PPGTT_MODES.includes(asked)) throw invalidValue('ppgtt', `one of ${PPGTT_MODES.join(', ')}`, asked);
  const needs = { none: 6, aliasing: 6, full: 7, 'full-48bit': 8 }[asked];
  if (gen < needs) throw invalidValue('ppgtt', `a mode that gen ${gen} has ('${asked}' needs gen ${needs})`, asked);
  return asked;
}

function defects(given: Partial<Defects>): Defects {
  return {
    danglingPages: flag('defects.danglingPages', given.danglingPages, false),
    userptrCursor: flag('defects.userptrCursor', given.userptrCursor, false),
    truncatedSize: flag('defects.truncatedSize', given.truncatedSize, false),
    emptyUserptr: flag('defects.emptyUserptr', given.emptyUserptr, false),
  };
}

function flag(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}
