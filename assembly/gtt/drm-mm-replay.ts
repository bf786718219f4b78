// A batch of drm_mm operations in one call, for replaying recordings and for measuring without the boundary's cost.
//
//   operation   +0 u32 kind   +4 u32 id   +8 u32 mode   +12 u32 color
//               +16 u64 size   +24 u64 alignment   +32 u64 lo, or the start of a reservation   +40 u64 hi
//               +48 i64 expected: the start, or a negative errno   +56 i64 got, written when it differs

import { ENOENT } from '../errno';
import { mmInsertNode, mmRemove, mmReserveNode } from './drm-mm';
import { Mm, MmNode } from './drm-mm-node';

export const MM_OP_SIZE: u32 = 64;
export const MM_OP_INSERT: u32 = 0;
export const MM_OP_RESERVE: u32 = 1;
export const MM_OP_REMOVE: u32 = 2;

/**
 * Runs operations until one comes out otherwise than expected.
 * @param nodes a u32 for each id, zeros: the nodes that the batch holds
 * @returns operations that came out as expected; `count` when all did
 */
export function mmReplay(mm: Mm, operations: usize, count: u32, nodes: usize): u32 {
  for (let i: u32 = 0; i < count; ++i) {
    const at = operations + <usize>i * MM_OP_SIZE;
    const kind = load<u32>(at);
    const slot = nodes + (<usize>load<u32>(at, 4) << 2);
    let got: i64;
    if (kind == MM_OP_REMOVE) {
      const node: usize = load<u32>(slot);
      store<u32>(slot, 0);
      got = node == 0 ? ENOENT : mmRemove(node);
    } else {
      const size = load<u64>(at, 16);
      const lo = load<u64>(at, 32);
      const color = load<u32>(at, 12);
      const rc = kind == MM_OP_INSERT
        ? mmInsertNode(mm, size, load<u64>(at, 24), color, lo, load<u64>(at, 40), load<u32>(at, 8))
        : mmReserveNode(mm, lo, size, color);
      got = rc;
      if (rc > 0) {
        store<u32>(slot, <u32>rc);
        got = <i64>changetype<MmNode>(<usize>rc).start;
      }
    }
    if (got != load<i64>(at, 48)) {
      store<i64>(at, got, 56);
      return i;
    }
  }
  return count;
}
