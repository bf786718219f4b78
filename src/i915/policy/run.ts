import type { GemObject } from '../object.js';
import type { Vma } from '../vma.js';
import type { BindStage, MappingPolicy } from './policy.js';

/** Runs a hook that can refuse; 0 without a hook. Returns 0 or a negative errno. */
export function askPolicy(hook: 'getPages' | 'bind', object: GemObject, vma?: Vma): number {
  const { hooks, policy } = object.device;
  const code = codeOf(policy, hook);
  if (code === undefined) return 0;
  // As a method of the policy: it may keep its state in `this`.
  return hooks.ask(
    moment(hooks.moments, hook),
    object.id,
    vma === undefined ? 0 : vma.id,
    code,
    policy,
    object,
    vma,
    undefined,
  );
}

/** Runs a hook that cannot refuse, if the policy has it. */
export function tellPolicy(
  hook: 'bindFailed' | 'unbind' | 'lastVma' | 'putPages' | 'purge' | 'invalidate',
  object: GemObject,
  vma?: Vma,
  stage?: BindStage,
): void {
  const { hooks, policy } = object.device;
  const code = codeOf(policy, hook);
  if (code === undefined) return;
  hooks.notify(
    moment(hooks.moments, hook),
    object.id,
    vma === undefined ? 0 : vma.id,
    code,
    policy,
    object,
    vma,
    stage,
  );
}

type Moments = GemObject['device']['hooks']['moments'];

type Hook = Exclude<keyof MappingPolicy, 'name' | 'pageTables' | 'snapshot' | 'restore'>;

// The error of a getter is the hook's.
function codeOf(policy: MappingPolicy, hook: Hook): unknown {
  try {
    return property(policy, hook);
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

// Each name is written out: the engine finds the property of a name in the source faster than that of a variable.
function property(policy: MappingPolicy, hook: Hook): unknown {
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

function moment(moments: Moments, hook: Hook): Moments[Hook] {
  switch (hook) {
    case 'getPages':
      return moments.getPages;
    case 'bind':
      return moments.bind;
    case 'unbind':
      return moments.unbind;
    case 'lastVma':
      return moments.lastVma;
    case 'putPages':
      return moments.putPages;
    default:
      return moments[hook];
  }
}
