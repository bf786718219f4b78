// A batch of drm_mm operations in one call, for replaying recordings and for measuring without the boundary's cost.

import { ENOENT } from '../memory/errno';
import { mmInsert, mmRemove, mmReserve } from './drm-mm';
import { Mm, MmNode } from './drm-mm-node';

export const MM_OP_INSERT: u32 = 0;
export const MM_OP_RESERVE: u32 = 1;
export const MM_OP_REMOVE: u32 = 2;

/** One operation, written by the host. */
// @ts-ignore: decorator
@unmanaged
export class MmOperation {
  /** MM_OP_* */
  kind: u32;
  /** Of the node, in the caller's table. */
  id: u32;
  mode: u32;
  color: u32;
  size: u64;
  alignment: u64;
  /** Of the range allowed, or the start of a reservation. */
  lo: u64;
  hi: u64;
  /** The start, or a negative errno. */
  expected: i64;
  /** Written when it differs. */
  got: i64;
}

/**
 * Runs operations until one comes out otherwise than expected.
 * @param nodes a u32 for each id, zeros: the nodes that the batch holds
 * @returns operations that came out as expected; `count` when all did
 */
export function mmReplay(mm: Mm, operations: usize, count: u32, nodes: usize): u32 {
  const size = offsetof<MmOperation>();
  const end = operations + <usize>count * size;
  let at = operations;
  for (; at < end; at += size) {
    const operation = changetype<MmOperation>(at);
    let got: i64;
    if (operation.kind == MM_OP_INSERT) {
      const rc = mmInsert(
        mm, operation.size, operation.alignment, operation.color, operation.lo, operation.hi, operation.mode,
      );
      got = rc > 0 ? entered(nodes, operation, rc) : rc;
    } else if (operation.kind == MM_OP_RESERVE) {
      const rc = mmReserve(mm, operation.lo, operation.size, operation.color);
      got = rc > 0 ? entered(nodes, operation, rc) : rc;
    } else {
      const slot = nodes + (<usize>operation.id << 2);
      const node: usize = load<u32>(slot);
      store<u32>(slot, 0);
      got = node == 0 ? ENOENT : mmRemove(changetype<MmNode>(node));
    }
    if (got != operation.expected) {
      operation.got = got;
      break;
    }
  }
  return <u32>((at - operations) / size);
}

// Enters an operation's node into the table; returns its start.
// @ts-ignore: decorator
@inline
function entered(nodes: usize, operation: MmOperation, node: i32): i64 {
  store<u32>(nodes + (<usize>operation.id << 2), <u32>node);
  return <i64>changetype<MmNode>(<usize>node).start;
}
