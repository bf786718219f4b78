import { frozen } from '../../core/arguments.js';
import { releaseOf } from '../../core/releases.js';
import { i915v318 } from './i915-3.18.js';
import { i915v41 } from './i915-4.1.js';
import { i915v42 } from './i915-4.2.js';
import type { PresetPolicy } from './preset.js';

/** All presets, in any order. */
const ROWS = [i915v318, i915v41, i915v42] as const;

/** Whose mapping policy i915 has, by kernel release. */
export type PolicyName = (typeof ROWS)[number]['name'];

const byRelease: readonly PresetPolicy[] = [...ROWS].sort((a, b) => releaseOf(a.release)! - releaseOf(b.release)!);

/** Names of the presets, oldest release first. */
export const POLICY_NAMES = byRelease.map(({ name }) => name) as readonly PolicyName[];

/** The presets by name: what a policy of your own can begin with, `{ ...POLICIES['i915-4.2'], name: 'mine' }`. */
export const POLICIES = frozen(Object.fromEntries(byRelease.map((policy) => [policy.name, policy]))) as Readonly<
  Record<PolicyName, PresetPolicy>
>;

/** The policy of a GPU without that option: the newest. */
export const DEFAULT_POLICY = POLICY_NAMES[POLICY_NAMES.length - 1];

/** The newest preset with certain properties. @throws Error when no preset has them */
export function policyWith(has: (policy: PresetPolicy) => boolean): PolicyName {
  const found = POLICY_NAMES.findLast((name) => has(POLICIES[name]));
  if (found === undefined) throw new Error('no preset of a mapping policy has these properties');
  return found;
}
