import { checkObject, checkOptions } from '../core/arguments.js';
import { checkInteger, invalidValue } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { GemObject } from './object.js';

/**
 * What the global GTT shows of an object (struct i915_ggtt_view). The normal view, written `undefined`, shows all of
 * it in order. The others have a list of pages of their own, with the DMA addresses that the object had when the view
 * was bound; sizes and offsets count pages of 4 KiB.
 *
 * - rotated: for scanout turned by 90 degrees. Column by column, the bottom row of each first.
 * - partial: `size` pages from `offset` on, for CPU mappings of objects larger than the aperture.
 */
export type View =
  | {
      /** Which view: `rotated` or `partial`. */
      readonly type: 'rotated';
      /** Pages of a row of the object. */
      readonly width: number;
      /** Rows of pages. */
      readonly height: number;
    }
  | {
      /** Which view: `rotated` or `partial`. */
      readonly type: 'partial';
      /** First page of the object that it shows. */
      readonly offset: number;
      /** Pages that it shows. */
      readonly size: number;
    };

/** Bytes that a view takes in the GTT. */
export function viewSize(object: GemObject, view: View | undefined): number {
  if (view === undefined) return object.size;
  return (view.type === 'rotated' ? view.width * view.height : view.size) * PAGE_SIZE;
}

/** i915_ggtt_view_equal: an object has one rotated view, whatever its geometry. */
export function sameView(a: View | undefined, b: View | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.type !== b.type) return false;
  return a.type !== 'partial' || b.type !== 'partial' || (a.offset === b.offset && a.size === b.size);
}

/** The view as plain values. Throws ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE unless the object has the pages that it shows. */
export function readView(object: GemObject, given: View): View {
  const pages = object.size / PAGE_SIZE;
  checkObject('view', given);
  const { type, ...rest } = given;
  if (type === 'rotated') {
    const { width, height } = checkOptions('view', rest as View & { type: 'rotated' }, ['width', 'height']);
    checkInteger('view.width', width, 1, pages);
    checkInteger('view.height', height, 1, Math.floor(pages / width));
    return { type, width, height };
  }
  if (type === 'partial') {
    const { offset, size } = checkOptions('view', rest as View & { type: 'partial' }, ['offset', 'size']);
    checkInteger('view.offset', offset, 0, pages - 1);
    checkInteger('view.size', size, 1, pages - offset);
    return { type, offset, size };
  }
  throw invalidValue('view.type', "'rotated' or 'partial'", type);
}
