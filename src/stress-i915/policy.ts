import { oneOf } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { i915Policy } from '../i915/config.js';
import { POLICIES, POLICY_NAMES, type PolicyName } from '../i915/policy/index.js';
import type { MappingPolicy } from '../i915/policy/policy.js';
import { stringLiteral } from '../stress/config/literal.js';
import type { Sources } from '../stress/config/sources.js';

/**
 * A mapping policy: a preset by name, a value, or a function that makes a new one. Prefer the function for a policy that
 * keeps state of its own: each GPU of each machine gets a new policy, so that one run cannot see another's state.
 */
export type PolicySource = PolicyName | OwnPolicy;

/** A caller's policy. */
export type OwnPolicy = MappingPolicy | (() => MappingPolicy);

/** A policy of a source. @throws TypeError unless the source names, is or makes one, and for a hook that is no plain function */
export function newPolicy(source: PolicySource): MappingPolicy {
  if (typeof source === 'string') return POLICIES[oneOf('policy', source, POLICY_NAMES)];
  const policy: unknown = typeof source === 'function' ? source() : source;
  if (typeof policy !== 'object' || policy === null || typeof (policy as MappingPolicy).name !== 'string') {
    throw invalidType(
      'policy',
      'the name of a preset, a MappingPolicy with a name, or a function that makes one',
      policy,
    );
  }
  return i915Policy({ policy: policy as MappingPolicy });
}

/** The lines by which a program has the policy as `policy`. */
export function policyImport({ policy }: Sources = {}): string[] {
  if (policy === undefined) {
    return [
      '// The policy is a value of the program that called stress(). Export it from a module, and name that here:',
      "import { policy } from './policy.js';",
    ];
  }
  const { module, name } = splitSource(policy);
  const imported = name === 'default' ? 'policy' : `{ ${name === 'policy' ? name : `${name} as policy`} }`;
  return [
    ...(/\.[mc]?ts$/.test(module) ? ['// The policy is TypeScript, which Node reads from 22.18 on.'] : []),
    `import ${imported} from ${stringLiteral(module)};`,
  ];
}

/** `FILE#name` as a module and the name of its export, by default the default export. */
export function splitSource(source: string): { module: string; name: string } {
  const [, module, name] = /^(.*?)(?:#([A-Za-z_$][\w$]*))?$/s.exec(source)!;
  return { module, name: name ?? 'default' };
}
