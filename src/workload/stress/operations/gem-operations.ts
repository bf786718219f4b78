import { accessOperations } from './gem-access.js';
import { bindingOperations } from './gem-bindings.js';
import { objectOperations } from './gem-objects.js';
import type { AnyKind } from './types.js';

/** Everything that processes do with a GPU's objects. */
export const gemOperations: readonly AnyKind[] = [...objectOperations, ...bindingOperations, ...accessOperations];
