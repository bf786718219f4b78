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
  const end = operations + <usize>count * MM_OP_SIZE;
  let at = operations;
  for (; at < end; at += MM_OP_SIZE) {
    const kind = load<u32>(at);
    let got: i64;
    if (kind == MM_OP_INSERT) {
      const size = load<u64>(at, 16);
      const alignment = load<u64>(at, 24);
      const rc = mmInsertNode(mm, size, alignment, load<u32>(at, 12), load<u64>(at, 32), load<u64>(at, 40), load<u32>(at, 8));
      got = rc > 0 ? entered(nodes, at, rc) : rc;
    } else if (kind == MM_OP_RESERVE) {
      const rc = mmReserveNode(mm, load<u64>(at, 32), load<u64>(at, 16), load<u32>(at, 12));
      got = rc > 0 ? entered(nodes, at, rc) : rc;
    } else {
      const slot = nodes + (<usize>load<u32>(at, 4) << 2);
      const node: usize = load<u32>(slot);
      store<u32>(slot, 0);
      got = node == 0 ? ENOENT : mmRemove(node);
    }
    if (got != load<i64>(at, 48)) {
      store<i64>(at, got, 56);
      break;
    }
  }
  return <u32>(at - operations) / MM_OP_SIZE;
}

// Enters an operation's node into the table; returns its start.
// @ts-ignore: decorator
@inline
function entered(nodes: usize, operation: usize, node: i32): i64 {
  store<u32>(nodes + (<usize>load<u32>(operation, 4) << 2), <u32>node);
  return <i64>changetype<MmNode>(<usize>node).start;
}
