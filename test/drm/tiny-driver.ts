import type { DmaDevice } from '../../src/dma/device.js';
import { DrmDevice, type DrmHook } from '../../src/drm/device.js';
import type { DeviceDriver, DriverHost } from '../../src/drm/driver.js';
import { ENOMEM } from '../../src/drm/errno.js';
import { exportObject } from '../../src/drm/gem-export.js';
import { DrmGemObject, type GemBacking, pinPages, unpinPages } from '../../src/drm/gem-object.js';
import { ShmemFile } from '../../src/drm/shmem-file.js';

declare module '../../src/events/events.js' {
  interface EventFields {
    tiny_pin: { length: number };
  }
}

/** A GEM driver over shmem files that maps an object while it is pinned (compare drm_gem_shmem_helper.c). */
export class TinyDevice extends DrmDevice {
  constructor(host: DriverHost, device: DmaDevice) {
    super(host, device, ['none', 'export'] satisfies DrmHook[], [{ kind: 'tiny_pin' }]);
    host.reclaim.register({ count: () => this.idlePages().length, scan: (target) => this.shrink(target) });
  }
  create(pages: number): TinyObject {
    return new TinyObject(this, pages * 4096);
  }
  private idlePages(): TinyObject[] {
    return (this.liveList.toArray() as TinyObject[]).filter(
      (object) => object.pages !== 0 && object.pagesPinCount === 0,
    );
  }
  private shrink(target: number): number {
    const victims = this.idlePages().slice(0, target);
    for (const victim of victims) victim.putPages();
    return victims.reduce((sum, { size }) => sum + size / 4096, 0);
  }
}

export class TinyObject extends DrmGemObject<TinyDevice> {
  readonly backing: GemBacking<TinyObject> = new TinyBacking(new ShmemFile(this.device, this.size));
  gemPin(): number {
    const rc = this.pages === 0 ? this.backing.getPages(this) : 0;
    if (rc === 0) pinPages(this);
    if (rc === 0 && this.device.events.recording) this.device.tell('tiny_pin', this.id, this.size);
    return rc;
  }
  gemUnpin(): void {
    unpinPages(this);
  }
  putPages(): void {
    this.backing.putPages(this);
    this.pages = 0;
  }
  protected free(): void {
    if (this.pages !== 0) this.putPages();
    this.backing.release(this);
    this.liveLink.remove();
  }
  export() {
    return exportObject(this);
  }
}

class TinyBacking implements GemBacking<TinyObject> {
  readonly kind = 'shmem';
  constructor(private readonly file: ShmemFile) {}
  getPages(object: TinyObject): number {
    const table = this.file.get();
    if (table === 0) return -ENOMEM;
    if (object.device.mapSg(table) > 0) object.pages = table;
    else this.file.put();
    return object.pages === 0 ? -ENOMEM : 0;
  }
  putPages(object: TinyObject): void {
    if (object.pages !== 0) object.device.unmapSg(object.pages);
    this.file.put();
  }
  release(): void {
    this.file.truncate();
  }
}

export const tiny: DeviceDriver<object, TinyDevice> = {
  name: 'tiny',
  limits: { maskBits: 40, maxSegment: 0xffffffff },
  probe: (host, device) => new TinyDevice(host, device),
};
