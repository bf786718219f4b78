import { checkOptions, optionNames } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { Process } from '../drm/process.js';
import { UserBlock } from '../i915/uapi/memory.js';
import { Machine } from '../machine-drivers/machine.js';
import { literal } from '../stress/config/literal.js';
import type { Sources } from '../stress/config/sources.js';
import type { Vocabulary } from '../stress/world/vocabulary.js';
import { accessOperations } from './access.js';
import { bindingOperations } from './bindings.js';
import { ioctlOperations } from './ioctls.js';
import { objectOperations } from './objects.js';
import { CLIENT_BASE, CLIENT_ROOM, I915Part, type I915Setup } from './part.js';
import { newPolicy, type PolicySource, policyImport } from './policy.js';
import { PROFILES } from './profiles.js';

/** What is under test in a run with i915. */
export interface I915StressOptions {
  /** Mapping policy of the GPUs. */
  policy: PolicySource;
  /** Where a policy of your own is, for programs that are printed. */
  sources?: Sources;
}

/**
 * Everything that processes do with the objects of i915, under a mapping policy.
 * @throws TypeError naming the option at fault
 */
export function i915Vocabulary(options: I915StressOptions): Vocabulary<I915Part> {
  const names = optionNames<I915StressOptions>({ policy: true, sources: true });
  const { policy, sources } = checkOptions('options', options, names);
  const own = typeof policy === 'string' ? undefined : policy;
  return {
    name: 'i915',
    kinds: [...objectOperations, ...bindingOperations, ...accessOperations, ...ioctlOperations],
    setup: 'gpus',
    limits: ['objects', 'contexts'],
    profiles: PROFILES,
    checkSetup(name, gpus) {
      if (!Array.isArray(gpus)) throw invalidType(name, 'an array of options of i915', gpus);
    },
    configure: (profile) => ({
      subject: newPolicy(policy).name,
      gpus: setupOf(profile).gpus.map((gpu) => (typeof policy === 'string' ? { ...gpu, policy } : gpu)),
    }),
    open: (world) => new I915Part(world, setupOf(world.config), own),
    hasOwnState: own !== undefined,
    ids: ['bo', 'ctx', 'client'],
    idLists: ['bos'],
    ends: {
      create: (id) => ({ op: 'close', bo: id }),
      stolen: (id) => ({ op: 'close', bo: id }),
      userptr: (id) => ({ op: 'close', bo: id }),
      import: (id) => ({ op: 'close', bo: id }),
      context: (id) => ({ op: 'contextClose', ctx: id }),
      client: (id) => ({ op: 'clientClose', client: id }),
    },
    program: {
      exports: { Machine, Process, UserBlock },
      ...(own && { imports: policyImport(sources), values: { policy: own } }),
      setup: (config, named) => [
        ...setupOf(config).gpus.flatMap((options, i) => {
          if (!named(`gpu${i}`)) return [];
          const value = typeof own === 'function' ? 'policy: policy()' : 'policy';
          const all = own ? `{ ...${literal(options)}, ${value} }` : literal(options);
          return [`const gpu${i} = machine.addI915(${all});`];
        }),
        ...(named('memory') ? [`const memory = new UserBlock(${CLIENT_ROOM}, ${CLIENT_BASE});`] : []),
        ...(named('process') ? ['const process = new Process(machine.ram);'] : []),
      ],
    },
  };
}

function setupOf(profile: object): I915Setup {
  return profile as I915Setup;
}
