import { corpus } from '../corpus/index.js';
import type { Scenario } from '../scenario.js';
import { leak } from './leak.js';
import { leakPaths } from './leak-paths.js';

/** Every named scenario, in the order in which `gemdma run --list` shows them. */
export const scenarios: readonly Scenario[] = [leak, ...leakPaths, ...corpus];
