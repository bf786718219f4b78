import { frozen } from '../../core/arguments.js';
import { linux318 } from './linux-3.18.js';
import { linux41 } from './linux-4.1.js';
import { linux42 } from './linux-4.2.js';
import type { MappingPolicy } from './policy.js';

/** Whose i915 is emulated, by kernel release. */
export type DriverName = 'linux-3.18' | 'linux-4.1' | 'linux-4.2';

/** Names of the presets, oldest first. */
export const DRIVER_NAMES: readonly DriverName[] = ['linux-3.18', 'linux-4.1', 'linux-4.2'];

/** What a GPU gets when nothing else is said: the newest. */
export const DEFAULT_DRIVER: DriverName = 'linux-4.2';

/**
 * The policies of the presets: what a policy of your own can begin with, `{ ...POLICIES['linux-4.2'], name: 'mine'
 * }`.
 */
export const POLICIES: Readonly<Record<DriverName, MappingPolicy>> = frozen({
  'linux-3.18': linux318,
  'linux-4.1': linux41,
  'linux-4.2': linux42,
});
