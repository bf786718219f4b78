/**
 * A syncobj (drm_syncobj.c): a fence that is replaced, or a timeline of points. A fence is the virtual time at which it is done;
 * `Infinity` is none.
 */
export class Syncobj {
  /** When the fence is done, in ms; undefined while there is none. */
  due: number | undefined;
  /** Points of a timeline in the order in which they came, ascending, and when each is done. */
  points: { readonly point: number; readonly due: number }[] = [];

  constructor(due?: number) {
    this.due = due;
  }

  /** Another fence takes the place of what there was. */
  replace(due: number | undefined): void {
    this.due = due;
    this.points = [];
  }

  /** dma_fence_chain: a point, done once those before it are. Point 0 is no point: the fence as such. */
  add(point: number, due: number): void {
    if (point === 0) {
      this.replace(due);
      return;
    }
    const last = this.points.at(-1);
    const whole = Math.max(due, last?.due ?? 0);
    if (last === undefined || point > last.point) this.points.push({ point, due: whole });
    this.due = whole;
    if (this.points.length > 64) this.points.splice(0, 32);
  }

  /** When a point is done (0: the fence as such); undefined where none has been submitted. */
  at(point: number): number | undefined {
    if (point === 0) return this.due;
    const found = this.points.find((candidate) => candidate.point >= point);
    return found?.due;
  }

  /** The newest point that is done. */
  value(now: number): number {
    let value = 0;
    for (const { point, due } of this.points) if (due <= now) value = Math.max(value, point);
    return value;
  }

  /** The newest point that was submitted. */
  get last(): number {
    return this.points.at(-1)?.point ?? 0;
  }
}
