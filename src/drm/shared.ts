import { GemDmaError } from '../core/errors.js';
import type { Life, Timeline } from '../core/life.js';
import { notMade } from '../core/life.js';
import { Living } from '../core/living.js';

/**
 * An object that its user holds by handles and the driver by references (drm_gem_object, dma_buf). A handle is a reference
 * that only the user gives back: without one every method refuses, though the GPU or an importer may keep the object alive.
 */
export abstract class Shared extends Living {
  static {
    Living.guard(Shared, ['alive', 'release', 'enter', 'enterFreed', 'get', 'put', 'finished', 'freed', 'reopen']);
  }

  /** @internal */
  static override lifeOf(one: Shared, call: string): Life {
    if (typeof one !== 'object' || one === null || !(#life in one)) throw notMade(call);
    return one.#life;
  }

  readonly #life: Life;
  /** Handles of the user. */
  handles = 1;
  /** All references. With the last one it is freed. */
  refcount = 1;

  /** @internal */
  constructor(timeline: Timeline, kind: string, number = 0) {
    super(timeline, kind, number);
    this.#life = Living.lifeOf(this, kind);
  }

  /** Whether the user may use it. */
  override get alive(): boolean {
    return Shared.lifeOf(this, 'alive').alive && this.handles > 0;
  }

  /** @internal */
  override enter(call: string): void {
    Shared.lifeOf(this, call).enter(call);
    if (this.handles <= 0) this.refuseReleased(call);
  }

  /** The user has no handle. */
  protected refuseReleased(call: string): never {
    throw new GemDmaError('ENODEV', call, `the ${this.what} was released`, { reason: 'OBJECT_DESTROYED' });
  }

  /** @internal For what may be done without a handle, while it is there. */
  enterFreed(call: string): void {
    Shared.lifeOf(this, call).enter(call);
  }

  /** @internal Another reference: an importer, the GPU, a worker. */
  get(): void {
    ++this.refcount;
  }

  /** @internal Drops a reference. With the last one it is freed, or once the call is over that works on it. */
  put(): void {
    if (--this.refcount !== 0) return;
    if (this.#life.underWay) this.#life.afterwards(this);
    else this.freed();
  }

  /** @internal The call that worked on it is over: it is freed, if nobody took another reference. */
  finished(): void {
    if (this.refcount === 0 && this.#life.alive) this.freed();
  }

  /** @internal */
  protected freed(): void {
    const life = this.#life;
    const outermost = life.begin();
    try {
      this.free();
    } finally {
      life.end();
      life.finish(outermost);
    }
  }

  /** @internal Another handle, of what is still there. */
  reopen(): void {
    ++this.handles;
    ++this.refcount;
  }

  /** Another handle. */
  reference(): void {
    this.enter('reference');
    this.reopen();
  }

  /**
   * Gives one handle back.
   * @throws GemDmaError ENODEV when there is none; EBUSY from within a hook, for the last one of an object that the call which
   *   runs the hook works on
   */
  release(): void {
    const life = Shared.lifeOf(this, 'release');
    life.enter('release');
    if (this.handles <= 0) this.refuseReleased('release');
    if (this.handles === 1) life.checkIdle('release');
    --this.handles;
    this.put();
  }

  /** Drops the reference that the creator holds, if it still does. */
  [Symbol.dispose](): void {
    if (this.alive) this.release();
  }

  /** Called with the last reference: drops everything that it holds. */
  protected abstract free(): void;
}
