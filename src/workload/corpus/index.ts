import type { Scenario } from '../scenarios/scenario.js';
import { type Mistake, mistakeScenario } from './corpus.js';
import { devices } from './devices.js';
import { i915 } from './i915.js';
import { lifetime } from './lifetime.js';
import { mapping } from './mapping.js';
import { syncing } from './syncing.js';
import { unmapping } from './unmapping.js';

/** Every mistake of the corpus by its name. */
export const mistakes: Readonly<Record<string, Mistake>> = {
  ...unmapping,
  ...mapping,
  ...syncing,
  ...lifetime,
  ...devices,
  ...i915,
};

/** The same as scenarios, in the order of `gemdma run --list`. */
export const corpus: readonly Scenario[] = Object.entries(mistakes).map(([name, mistake]) =>
  mistakeScenario(name, mistake),
);
