import { invalidType } from '../../core/errors.js';
import type { GemObject } from '../object.js';
import type { Vma } from '../vma.js';
import type { BindStage, MappingPolicy } from './policy.js';

/** Runs a hook that can refuse; without one the policy agrees. Returns 0 or a negative errno. */
export function askPolicy(hook: 'getPages' | 'bind', object: GemObject, vma?: Vma): number {
  const { hooks, policy } = object.device;
  if (!has(policy, hook)) return 0;
  return hooks.ask(hook, object.id, vma?.id ?? 0, () => run(policy, hook, object, vma));
}

/** Runs a hook that cannot refuse, if the policy has it. */
export function tellPolicy(
  hook: 'bindFailed' | 'unbind' | 'lastVma' | 'putPages' | 'purge' | 'invalidate',
  object: GemObject,
  vma?: Vma,
  stage?: BindStage,
): void {
  const { hooks, policy } = object.device;
  if (!has(policy, hook)) return;
  hooks.notify(hook, object.id, vma?.id ?? 0, () => run(policy, hook, object, vma, stage));
}

type Hook = Exclude<keyof MappingPolicy, 'name' | 'pageTables'>;

// A getter that throws does so again when the hook is run, where its error is the hook's.
function has(policy: MappingPolicy, hook: Hook): boolean {
  try {
    return policy[hook] !== undefined;
  } catch {
    return true;
  }
}

// As a method of the policy: it may keep its state in `this`.
function run(policy: MappingPolicy, hook: Hook, object: GemObject, vma?: Vma, stage?: BindStage): unknown {
  const method: unknown = policy[hook];
  if (typeof method !== 'function') throw invalidType(`policy.${hook}`, 'of type function', method);
  return method.call(policy, object, vma, stage);
}
