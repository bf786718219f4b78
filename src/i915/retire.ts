import { checkMaker, LIBRARY } from '../core/life.js';
import type { I915Device } from './device.js';
import type { GemObject } from './object.js';

/** Engines, in the order of the bits of GEM_BUSY (enum intel_ring_id). */
export const ENGINES = ['render', 'bsd', 'blt', 'vebox', 'bsd2'] as const;
/** What runs a batch: the render engine, video decoders, the blitter, video enhancement. */
export type EngineName = (typeof ENGINES)[number];

/**
 * Requests of the GPU. A request uses objects until it is retired; those of one engine run one after the other, in the
 * order in which they were made. Waiting for one retires everything before it on its engine, as the virtual clock costs
 * nothing.
 */
export class Request {
  /** Objects that it uses, each with a reference until it is retired. */
  readonly objects: GemObject[];
  /** Virtual time at which it is done, in ms. */
  readonly due: number;
  /** Number of the engine that runs it. @internal */
  readonly engine: number;
  /** Whether the GPU is done with it and its objects were given back. */
  retired = false;

  /** @internal */
  constructor(maker: typeof LIBRARY, objects: GemObject[], due: number, engine: number) {
    checkMaker(maker, 'Request');
    this.objects = objects;
    this.due = due;
    this.engine = engine;
  }
}

/** i915_add_request: the objects are in use, their vmas on the active lists, each with a reference more. */
export function addRequest(device: I915Device, objects: GemObject[], milliseconds: number, engine: number): Request {
  const queue = device.engines[engine];
  const { now } = device.clock;
  const free = queue.length > 0 ? queue[queue.length - 1].due : now;
  const due = Math.max(now, free) + milliseconds;
  const request = new Request(LIBRARY, objects, due, engine);
  for (const object of objects) {
    ++object.active;
    (object.lastRequests ??= [])[engine] = request;
    object.get();
    for (const vma of object.vmas) {
      if (vma.node !== 0) vma.vm.activeList.moveTail(vma.mmLink);
    }
  }
  queue.push(request);
  device.clock.schedule(due - now, () => device.hooks.call(() => retireUpTo(device, request)));
  return request;
}

/** i915_gem_object_wait_rendering: the GPU is done with the object. */
export function retireObject(object: GemObject): void {
  if (object.active === 0) return;
  for (const request of object.lastRequests!) {
    if (request !== undefined) retireUpTo(object.device, request);
  }
}

/** i915_gpu_idle: the GPU is done with everything. */
export function idle(device: I915Device): void {
  for (const queue of device.engines) {
    const last = queue.at(-1);
    if (last !== undefined) retireUpTo(device, last);
  }
}

/** i915_gem_retire_requests: what is done by now. */
export function retireDone(device: I915Device): void {
  for (const queue of device.engines) {
    while (queue.length > 0 && queue[0].due <= device.clock.now) retireUpTo(device, queue[0]);
  }
}

/** i915_gem_request_retire of all requests of the engine up to this one. */
export function retireUpTo(device: I915Device, request: Request): void {
  const queue = device.engines[request.engine];
  while (!request.retired) {
    const oldest = queue.shift()!;
    oldest.retired = true;
    // None is in use any more when the first is freed, which may run hooks.
    for (const object of oldest.objects) unused(object);
    for (const object of oldest.objects) object.put();
  }
}

function unused(object: GemObject): void {
  if (--object.active > 0) return;
  for (const vma of object.vmas) {
    if (vma.node !== 0) vma.vm.inactiveList.moveTail(vma.mmLink);
  }
}
