import { checkOptions, optionNames } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { Process } from '../drm/process.js';
import type { DriverName } from '../i915/policy/index.js';
import { Machine } from '../machine.js';
import { literal } from '../stress/config/literal.js';
import type { Sources } from '../stress/config/sources.js';
import type { Vocabulary } from '../stress/vocabulary.js';
import { accessOperations } from './access.js';
import { bindingOperations } from './bindings.js';
import { objectOperations } from './objects.js';
import { I915Part, type I915Setup } from './part.js';
import { newPolicy, type PolicySource, policyImport } from './policy.js';
import { PROFILES } from './profiles.js';

/** What is under test in a run with i915. */
export interface I915StressOptions {
  /** Mapping policy of the GPUs by preset. */
  driver: DriverName;
  /** A mapping policy of your own, in place of `driver`. */
  policy?: PolicySource;
  /** Where that policy is, for programs that are printed. */
  sources?: Sources;
}

/** Everything that processes do with the objects of i915, under a mapping policy. */
export function i915Vocabulary(options: I915StressOptions): Vocabulary<I915Part> {
  const names = optionNames<I915StressOptions>({ driver: true, policy: true, sources: true });
  const { driver, policy, sources } = checkOptions('options', options, names);
  return {
    name: 'i915',
    kinds: [...objectOperations, ...bindingOperations, ...accessOperations],
    setup: 'gpus',
    limits: ['objects', 'contexts'],
    profiles: PROFILES,
    checkSetup(name, gpus) {
      if (!Array.isArray(gpus)) throw invalidType(name, 'an array of options of i915', gpus);
    },
    configure: (profile) => ({
      driver: policy === undefined ? driver : newPolicy(policy).name,
      gpus: setupOf(profile).gpus.map((gpu) => (policy ? gpu : { ...gpu, driver })),
    }),
    open: (world) => new I915Part(world, setupOf(world.config), policy),
    hasOwnState: policy !== undefined,
    ids: ['bo', 'ctx'],
    idLists: ['bos'],
    ends: {
      create: (id) => ({ op: 'close', bo: id }),
      stolen: (id) => ({ op: 'close', bo: id }),
      userptr: (id) => ({ op: 'close', bo: id }),
      import: (id) => ({ op: 'close', bo: id }),
      context: (id) => ({ op: 'contextClose', ctx: id }),
    },
    program: {
      exports: { Machine, Process },
      ...(policy && { imports: policyImport(sources), values: { policy } }),
      setup: (config, named) => [
        ...setupOf(config).gpus.flatMap((options, i) => {
          if (!named(`gpu${i}`)) return [];
          const own = typeof policy === 'function' ? 'policy: policy()' : 'policy';
          const all = policy ? `{ ...${literal(options)}, ${own} }` : literal(options);
          return [`const gpu${i} = machine.addI915(${all});`];
        }),
        ...(named('process') ? ['const process = new Process(machine.ram);'] : []),
      ],
    },
  };
}

function setupOf(profile: object): I915Setup {
  return profile as I915Setup;
}
