import { checkMaker, LIBRARY } from '../core/life.js';
import type { I915Device } from './device.js';
import type { GemObject } from './object.js';

/**
 * What the GPU is busy with. A request uses objects until it is retired; requests complete in the order in which they
 * were made. Waiting for one retires everything before it, as the virtual clock costs nothing.
 */
export class Request {
  /** Objects that it uses, each with a reference until it is retired. */
  readonly objects: GemObject[];
  /** Virtual time at which it is done, in ms. */
  readonly due: number;
  /** Whether the GPU is done with it and its objects were given back. */
  retired = false;

  /** @internal */
  constructor(maker: typeof LIBRARY, objects: GemObject[], due: number) {
    checkMaker(maker, 'Request');
    this.objects = objects;
    this.due = due;
  }
}

/** i915_add_request: the objects are in use, their vmas on the active lists, each with a reference more. */
export function addRequest(device: I915Device, objects: GemObject[], milliseconds: number): Request {
  const request = new Request(LIBRARY, objects, device.clock.now + milliseconds);
  for (const object of objects) {
    ++object.active;
    object.get();
    for (const vma of object.vmas) {
      if (vma.node !== 0) vma.vm.activeList.moveTail(vma.mmLink);
    }
  }
  device.requests.push(request);
  device.clock.schedule(milliseconds, () => device.hooks.call(() => retireUpTo(device, request)));
  return request;
}

/** i915_gem_object_wait_rendering: the GPU is done with the object. */
export function retireObject(object: GemObject): void {
  const { device } = object;
  while (object.active > 0) retireUpTo(device, device.requests[0]);
}

/** i915_gpu_idle and i915_gem_retire_requests: the GPU is done with everything. */
export function idle(device: I915Device): void {
  const last = device.requests.at(-1);
  if (last !== undefined) retireUpTo(device, last);
}

/** i915_gem_retire_requests: what is done by now. */
export function retireDone(device: I915Device): void {
  while (device.requests.length > 0 && device.requests[0].due <= device.clock.now)
    retireUpTo(device, device.requests[0]);
}

function retireUpTo(device: I915Device, request: Request): void {
  while (!request.retired) {
    const oldest = device.requests.shift()!;
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
