import type { I915Device } from '../device.js';
import { numFences } from '../fence.js';
import { EFAULT, EINVAL, ENODEV } from './errno.js';
import type { DrmFile } from './file.js';
import { offsetsOf } from './structs.js';
import { setU64, u64, word } from './words.js';

/** PCI ids of one part of each platform. */
const CHIPSET: Readonly<Record<I915Device['config']['platform'], number>> = {
  ...{ snb: 0x0126, ivb: 0x0166, vlv: 0x0f31, hsw: 0x0a16, 'hsw-ellc': 0x0d26, bdw: 0x1616, chv: 0x22b0, skl: 0x1916 },
};

/** Which engines a part has, as a mask of the bits of GEM_BUSY: the blitter from gen6, video enhancement from Haswell. */
export function enginesOf({ config: { gen, platform } }: I915Device): number {
  if (gen < 4) return 1;
  if (gen < 6) return 3;
  return gen >= 8 || platform === 'hsw' || platform === 'hsw-ellc' ? 15 : 7;
}

/** Class and instance of the engines, by their numbers (I915_ENGINE_CLASS_*). */
export const CLASS_INSTANCE = [
  [0, 0],
  [2, 0],
  [1, 0],
  [3, 0],
  [2, 1],
] as const;

export function classOf(engine: number): number {
  return CLASS_INSTANCE[engine][0];
}

/** Parameters that are 1 wherever they are known. */
const ALWAYS = new Set([
  ...[5, 8, 9, 12, 13, 15, 16, 19, 21, 24, 25, 26, 29, 30],
  ...[35, 37, 43, 44, 45, 48, 49, 53, 55, 56],
]);

const GETPARAM = offsetsOf('getparam');

/** i915_getparam_ioctl. */
export function getParam(file: DrmFile, k: DataView): number {
  const param = k.getInt32(GETPARAM.param, true);
  const value = param > file.profile.lastParam ? -EINVAL : paramValue(file, param);
  if (value < 0) return value;
  return file.copyTo(u64(k, GETPARAM.value), word(value)) ? 0 : -EFAULT;
}

function paramValue({ device, admin, profile }: DrmFile, param: number): number {
  const { gen, platform, llc, ppgtt } = device.config;
  const engines = enginesOf(device);
  if (ALWAYS.has(param)) return 1;
  switch (param) {
    case 4:
      return CHIPSET[platform];
    case 6:
      return numFences(gen, platform);
    case 7:
      return 0;
    case 10:
      return (engines >> 1) & 1;
    case 11:
      return (engines >> 2) & 1;
    case 14:
      return profile.canonical ? -ENODEV : gen >= 4 ? 1 : 0;
    case 17:
      return llc ? 1 : 0;
    case 18:
      if (!profile.canonical) return ppgtt === 'none' ? 0 : 1;
      return { none: 0, aliasing: 1, full: 2, 'full-48bit': 2 }[ppgtt];
    case 20:
      return gen === 6 || gen === 7 ? 1 : 0;
    case 22:
      return (engines >> 3) & 1;
    case 23:
      return admin ? 1 : 0;
    case 27:
      return platform === 'hsw-ellc' ? 1 : 0;
    case 28:
      return gen === 7 ? (profile.canonical ? 10 : 4) : profile.canonical && gen === 9 ? 10 : 0;
    case 31:
      return (engines >> 4) & 1;
    case 32:
      return 0;
    // What is not known of a part is not there.
    case 1:
    case 2:
    case 3:
    case 33:
    case 34:
    case 42:
      return gen >= 8 && (param === 33 || param === 34) ? (param === 33 ? 3 : 24) : -ENODEV;
    case 36:
    case 38:
    case 39:
    case 50:
      return 0;
    case 40:
      return 4;
    case 41:
      return gen >= 8 ? 7 : 0;
    case 46:
      return gen >= 8 ? 1 : -ENODEV;
    case 47:
      return gen >= 8 ? 7 : -ENODEV;
    case 51:
      return 12_000_000;
    case 52:
      return 1;
    case 54:
      return 7;
    case 57:
      return 12_000_000;
    case 58:
      return -ENODEV;
    default:
      return -EINVAL;
  }
}

const REG_READ = offsetsOf('reg_read');
/** The render engine's timestamp, which counts 80 ns; the lowest bit of the offset asks for a read of 8 bytes. */
const RCS_TIMESTAMP = 0x2358;

/** i915_reg_read_ioctl. */
export function regRead({ device }: DrmFile, k: DataView): number {
  if ((u64(k, REG_READ.offset) & ~1) !== RCS_TIMESTAMP) return -EINVAL;
  setU64(k, REG_READ.val, Math.floor((device.clock.now * 1e6) / 80));
  return 0;
}
