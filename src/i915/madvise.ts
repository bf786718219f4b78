/** obj.madv: what userspace said about the contents, and that they are gone. */
export const WILLNEED = 0;
export const DONTNEED = 1;
export const PURGED = 2;
export const MADV_NAMES = ['willneed', 'dontneed', 'purged'] as const;
/** The user's advice on an object's pages: needed, or may be purged (I915_MADV_*). */
export type Madv = (typeof MADV_NAMES)[number];
