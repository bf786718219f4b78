import { accessOperations } from './gem-access.js';
import { bindingOperations } from './gem-bindings.js';
import type { GemOperation } from './gem-common.js';
import { objectOperations } from './gem-objects.js';

/** Everything that processes do with a GPU's objects. */
export const gemOperations: readonly GemOperation[] = [...objectOperations, ...bindingOperations, ...accessOperations];
