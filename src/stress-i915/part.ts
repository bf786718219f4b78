import { GemDmaError } from '../core/errors.js';
import { Process } from '../drm/process.js';
import { PhysBacking } from '../i915/backing/phys.js';
import type { I915Options } from '../i915/config.js';
import type { GpuContext } from '../i915/context.js';
import type { I915Device } from '../i915/device.js';
import { i915Driver } from '../i915/driver.js';
import type { GemObject } from '../i915/object.js';
import type { MappingPolicy } from '../i915/policy/policy.js';
import { Ppgtt } from '../i915/ppgtt.js';
import type { DrmFile } from '../i915/uapi/file.js';
import { UserBlock } from '../i915/uapi/memory.js';
import { Entities } from '../stress/engine/entities.js';
import { StressFailure } from '../stress/engine/failure.js';
import type { Operation } from '../stress/engine/operation.js';
import type { Random } from '../stress/engine/random.js';
import type { Contents } from '../stress/world/contents.js';
import { type Books, type Lent, WorldPart } from '../stress/world/part.js';
import type { World, WorldState } from '../stress/world/world.js';
import { newPolicy, type OwnPolicy } from './policy.js';

/** What a profile says of GPUs. */
export interface I915Setup {
  /** By their options. `policy` is set by the run's own option. */
  readonly gpus: readonly I915Options[];
}

/** Where the memory of clients lies. */
export const CLIENT_BASE = 0x10000;
export const CLIENT_ROOM = 1024;

/** A GEM object of the run, with what must be in it. */
export interface Bo {
  readonly object: GemObject;
  /** Shared by all objects that are the same memory (imports). */
  readonly contents: Contents;
  /** Where it lies in the process whose memory it is. */
  readonly userptr?: { readonly process: Process; readonly address: number };
}

/** An object at one moment, as far as an operation that was refused must leave it alone. */
interface BoState {
  id: number;
  pages: boolean;
  pinned: number;
  madv: number;
  held: number;
  live: number;
  bound: readonly number[];
}

/** The GPUs of a run, with the objects and contexts of one process. */
export class I915Part extends WorldPart {
  static {
    WorldPart.guard(I915Part);
  }

  /** The run's GPUs, in the order of the profile. */
  readonly gpus: readonly I915Device[];
  /** @internal */
  readonly objects = new Entities<Bo>();
  /** Contexts that operations name. */
  readonly contexts = new Entities<GpuContext>();
  /** The process whose memory userptr objects use. */
  readonly process: Process;
  /** The clients' memory. @internal */
  readonly memory = new UserBlock(CLIENT_ROOM, CLIENT_BASE);
  /** Open files that operations name. @internal */
  readonly clients = new Entities<DrmFile>();
  readonly #policy: OwnPolicy | undefined;

  /** @param policy a caller's, in place of those that the options name */
  constructor(world: World, { gpus }: I915Setup, policy: OwnPolicy | undefined) {
    super(world);
    this.#policy = policy;
    this.gpus = gpus.map((options) =>
      this.machine.addDriver(i915Driver, policy ? { ...options, policy: newPolicy(policy) } : options),
    );
    this.process = new Process(this.machine.ram);
  }

  // What GEM and the GPU's tables say is mapped.
  books(): Books {
    const books = { mappings: 0, entries: 0 };
    for (const gpu of this.gpus) {
      for (const list of [gpu.boundList, gpu.unboundList]) {
        for (const object of list.toArray()) {
          const live = liveMappings(object);
          books.mappings += live;
          books.entries += live * object.segments;
        }
      }
    }
    const more = this.lasting() + this.physBuffers();
    return { mappings: books.mappings + more, entries: books.entries + more };
  }

  // Page tables stay with their address space, whatever they were made for.
  override lasting(): number {
    return this.gpus
      .flatMap(({ vmList }) => vmList)
      .reduce((sum, vm) => sum + (vm instanceof Ppgtt ? vm.mappedPages : 0), 0);
  }

  // Coherent buffers of contiguous objects: each has one as long as it lives, and the GPU may keep it alive.
  private physBuffers(): number {
    const objects = new Set<GemObject>();
    for (const { object } of this.objects.values()) if (object.backing.kind === 'phys') objects.add(object);
    for (const { engines } of this.gpus) {
      for (const request of engines.flat()) {
        for (const object of request.objects) if (object.backing.kind === 'phys') objects.add(object);
      }
    }
    return objects.size;
  }

  override check(): void {
    for (const [id, { object }] of this.objects.entries()) checkObject(id, object);
  }

  teardown(): void {
    for (const gpu of this.gpus) gpu.idle();
    for (const [id, file] of this.clients.entries()) {
      this.clients.delete(id);
      closeClient(file);
    }
    for (const [id, { object, userptr }] of this.objects.entries()) {
      this.objects.delete(id);
      object.release();
      if (userptr) userptr.process.munmap(userptr.address, object.size);
    }
    for (const [id, context] of this.contexts.entries()) {
      this.contexts.delete(id);
      context.release();
    }
  }

  override empty(): void {
    for (const { liveObjects } of this.gpus) {
      if (liveObjects === 0) continue;
      throw new StressFailure('teardown', 'objects', `${liveObjects} objects live on when all was released`);
    }
  }

  state(): Record<string, unknown> {
    const objects = this.objects.entries().map(([id, { object }]): BoState => {
      const { pages, pagesPinCount: pinned, madv, refcount, active, maps, unmaps } = object;
      const bound = object.vmas.filter(({ node }) => node !== 0).map((vma) => vma.id);
      // A batch that the GPU is done with drops its references, which waiting for it may bring about at any time.
      const held = refcount - active;
      return { id, pages: pages !== 0, pinned, madv, held, live: maps - unmaps, bound };
    });
    const nodes = this.gpus.map(({ vmList }) => vmList.map(({ vmas }) => vmas.length));
    return { nodes, objects, contexts: this.contexts.size };
  }

  // Objects bound on the way stay bound, and pages that were got stay where they are. A batch has unbound what must move
  // before it knows whether there is another place.
  override rewind(before: WorldState, { op }: Operation): void {
    // Importers before what they borrow from, which was there first.
    for (const { id, pages, bound } of [...(before.objects as readonly BoState[])].reverse()) {
      const object = this.objects.get(id)?.object;
      if (!object) continue;
      for (const vma of object.vmas) {
        if (vma.node !== 0 && !bound.includes(vma.id)) vma.unbind();
        if (vma.node === 0 && bound.includes(vma.id) && op === 'exec') object.bind(vma.vm);
      }
      if (!pages && object.pages !== 0) object.putPages();
    }
  }

  /** Gives each GPU a new policy if the user's policy is a function. */
  override renew(): void {
    if (typeof this.#policy !== 'function') return;
    for (const gpu of this.gpus) (gpu as { policy: MappingPolicy }).policy = this.#policy();
  }

  override get objectCount(): number {
    return this.objects.size;
  }

  override pickObject(random: Random): number | undefined {
    return this.objects.pick(random);
  }

  /** Only memory of the driver: a userptr's pages go when their process unmaps them, in use or not. */
  override lend(id: number): Lent | undefined {
    const bo = this.objects.get(id);
    if (bo?.object.backing.kind !== 'shmem') return undefined;
    return { dmaBuf: bo.object.export(), size: bo.object.size, contents: bo.contents };
  }

  /** Compares bytes that were read from an object with what must be there. @internal */
  compare(who: 'cpu' | 'gpu', bo: Bo, offset: number, bytes: Uint8Array): void {
    const at = bo.contents.differs(offset, bytes);
    if (at < 0 || contentsLost(bo.object)) return;
    const expected = bo.contents.byteAt(offset + at);
    throw new StressFailure(
      'contents',
      who,
      `the ${who.toUpperCase()} reads ${bytes[at]} at byte ${offset + at} of ${bo.object}, where ${expected} was written`,
      { subject: this.objects.entries().find(([, other]) => other === bo)?.[0], index: at, expected },
    );
  }

  /** Does something that writes to an object: if it fails half way, its contents are unknown. EINVAL comes before. @internal */
  writing(bo: Bo, write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!GemDmaError.is(error, 'EINVAL')) bo.contents.forget();
      throw error;
    }
  }
}

/** A client ends, with all descriptors: what they stand for would live on. */
export function closeClient(file: DrmFile): void {
  for (let fd = 3; file.closeFd(fd); ++fd);
  file.close();
}

/** Whether the driver lost contents that it could not write back, as the kernel does. */
function contentsLost({ backing }: GemObject): boolean {
  return backing instanceof PhysBacking && backing.lost;
}

/** Mappings of an object's pages that are there, by the object's own counts: the driver's calls, or the attachment's. */
function liveMappings(object: GemObject): number {
  if (object.backing.mapping === 'sg') return object.maps - object.unmaps;
  return object.backing.mapping === 'attachment' && object.pages !== 0 ? 1 : 0;
}

function checkObject(id: number, object: GemObject): void {
  if (object.backing.mapping !== 'sg') return;
  const live = object.maps - object.unmaps;
  const bound = object.vmas.some((vma) => vma.node !== 0);
  const least = bound ? 1 : 0;
  const most = object.pages !== 0 ? 1 : 0;
  if (live >= least && live <= most) return;
  const where = bound ? 'bound' : most > 0 ? 'not bound' : 'without pages';
  throw new StressFailure('accounting', 'object', `${object} is ${where} and has ${live} live mappings`, {
    subject: id,
  });
}
