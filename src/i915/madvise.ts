/** obj.madv: what userspace said about the contents, and that they are gone. */
export const WILLNEED = 0;
export const DONTNEED = 1;
export const PURGED = 2;
export const MADV_NAMES = ['willneed', 'dontneed', 'purged'] as const;
export type Madv = (typeof MADV_NAMES)[number];
