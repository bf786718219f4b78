import type { BindStage, MappingPolicy } from './policy.js';

/** A mapping policy that i915 had, with what is expected of it. Code asks these properties, never the name. */
export interface PresetPolicy extends MappingPolicy {
  /** The kernel release that it is named after. */
  readonly release: string;
  /** When it maps, in words. */
  readonly rule: string;
  /** The commit of Linux with which it came. */
  readonly since?: string;
  /** The commit with which the next one came. */
  readonly until?: string;
  /** Every bind maps, and the mapping of the bind before is lost. */
  readonly remaps: boolean;
  /** The hook that unmaps. */
  readonly unmapsAt: 'unbind' | 'lastVma' | 'putPages';
  /** Stages of a failed bind at which the mapping that was made for it ends. */
  readonly undoes: readonly BindStage[];
}
