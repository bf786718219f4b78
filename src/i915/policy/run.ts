import { invalidType } from '../../core/errors.js';
import type { GemObject } from '../object.js';
import type { Vma } from '../vma.js';
import type { BindStage, MappingPolicy } from './policy.js';

/** Runs a hook that can refuse; without one the policy agrees. Returns 0 or a negative errno. */
export function askPolicy(hook: 'getPages' | 'bind', object: GemObject, vma?: Vma): number {
  const { hooks, policy } = object.device;
  if (!has(policy, hook)) return 0;
  return hooks.ask(hook, object.id, vma?.id ?? 0, run, hook, object, vma, undefined);
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
  hooks.notify(hook, object.id, vma?.id ?? 0, run, hook, object, vma, stage);
}

type Hook = Exclude<keyof MappingPolicy, 'name' | 'pageTables'>;

// A getter that throws does so again when the hook is run, where its error is the hook's.
function has(policy: MappingPolicy, hook: Hook): boolean {
  try {
    return method(policy, hook) !== undefined;
  } catch {
    return true;
  }
}

// As a method of the policy: it may keep its state in `this`.
function run(hook: Hook, object: GemObject, vma: Vma | undefined, stage: BindStage | undefined): unknown {
  const { policy } = object.device;
  const code = method(policy, hook);
  if (typeof code !== 'function') throw invalidType(`policy.${hook}`, 'of type function', code);
  return code.call(policy, object, vma, stage);
}

// Each name is written out: the engine finds the property of a name in the source faster than that of a variable.
function method(policy: MappingPolicy, hook: Hook): unknown {
  switch (hook) {
    case 'getPages':
      return policy.getPages;
    case 'bind':
      return policy.bind;
    case 'unbind':
      return policy.unbind;
    case 'lastVma':
      return policy.lastVma;
    case 'putPages':
      return policy.putPages;
    case 'purge':
      return policy.purge;
    default:
      return policy[hook];
  }
}
