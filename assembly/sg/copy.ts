// Copies between linear memory and a table's pages, as pread and pwrite do, page by page. Mappings do not matter.

import { EINVAL } from '../memory/errno';
import { physRead, physWrite } from '../ram/contents';
import { PAGE_SHIFT, PAGE_SIZE, STATE_CONTENT, frameState, ramOf } from '../ram/ram';
import { SgTable, sgPfn } from './sg-table';

/** Bytes of a copy in the page that has byte `at`, with n bytes left to copy. */
// @ts-ignore: decorator
@inline
function part(at: u64, n: u32): u32 {
  return min(n, PAGE_SIZE - (<u32>at & (PAGE_SIZE - 1)));
}

// @ts-ignore: decorator
@inline
function physAt(sgt: SgTable, at: u64): u64 {
  const page = <u32>(at >> PAGE_SHIFT);
  return (<u64>sgPfn(sgt, page) << PAGE_SHIFT) | (at & (PAGE_SIZE - 1));
}

/** Walks n bytes of a table from byte `offset` on, page by page, copying each part to or from `mem`. */
function copy(sgt: SgTable, offset: u64, mem: usize, n: u32, write: bool): i32 {
  if (sgt.pfns == 0 || offset > sgt.bytes || offset + n > sgt.bytes) return EINVAL;
  let at = offset + sgt.offset;
  const ctx = sgt.ctx;
  while (n != 0) {
    const bytes = part(at, n);
    const rc = write ? physWrite(ctx, physAt(sgt, at), mem, bytes) : physRead(ctx, physAt(sgt, at), mem, bytes);
    if (rc < 0) return rc;
    mem += bytes;
    at += bytes;
    n -= bytes;
  }
  return 0;
}

/**
 * Copies n bytes from byte `offset` of a table in pages form to linear memory.
 * @returns 0; -EINVAL for another form or bytes beyond the table; -EFAULT where a page is not RAM
 */
export function sgRead(sgt: SgTable, offset: u64, dest: usize, n: u32): i32 {
  return copy(sgt, offset, dest, n, false);
}

/** Copies n bytes from linear memory to byte `offset` of a table. Returns as sgRead, or -ENOMEM: what fitted is written. */
export function sgWrite(sgt: SgTable, offset: u64, src: usize, n: u32): i32 {
  return copy(sgt, offset, src, n, true);
}

/** The first page from `page` on that was ever written (pages form), or the table's number of pages. */
export function sgNextWritten(sgt: SgTable, page: u32): u32 {
  const ram = ramOf(sgt.ctx);
  while (page < sgt.pageCount && (frameState(ram, sgPfn(sgt, page)) & STATE_CONTENT) == 0) ++page;
  return page;
}
