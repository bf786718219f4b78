import { PAGE_SIZE } from '../../core/generated/constants.js';
import { RecordingError } from '../../files/recording-error.js';
import { DEFAULT_PROFILE, profileOf } from '../../i915/uapi/profiles.js';
import { IOCTL } from '../../i915/uapi/requests.js';
import { offsetsOf, packStruct, structSize } from '../../i915/uapi/structs.js';
import type { IoctlStep, Stream, StreamStep } from './stream.js';

/**
 * What IGT's gem_exec_tracer writes: a word with the magic and one with the version, then records by their first byte, all
 * numbers little endian.
 *
 *   0 object (u32 handle, u64 size)      1 object gone (u32)
 *   2 context (u32)                      3 context gone (u32)
 *   4 batch (u32 objects, u64 flags, u32 context), then per object: u32 handle, u32 relocations, u64 alignment, u64 offset,
 *     u64 flags, u64 rsvd1, u64 rsvd2, and 32 bytes for each relocation
 *   5 wait (u32 handle)
 *
 * It has no answers and no contents. Each record becomes the request that it was, with the handles and ids that the replay was
 * given in the place of those of the recorded client.
 */
export const EXEC_TRACE_MAGIC = 0xdeadbeef;

const OBJECT = offsetsOf('gem_exec_object2');
const OBJECT_SIZE = structSize('gem_exec_object2');
const RELOC = offsetsOf('gem_relocation_entry');
const RELOC_SIZE = 32;
/** Where lists and relocations are, for the requests: any address will do. */
const LIST = 0x10000;
const RELOCATIONS = 0x100000000;
const HANDLE_LUT = 1 << 12;
/** Flags that name fences, of which the trace says nothing. */
const FENCES = (1 << 16) | (1 << 17) | (1 << 19) | (1 << 20) | (1 << 21);

/** Bytes of the fixed part of each record. */
const RECORD = [13, 5, 5, 5, 17, 5];

export function execTrace(file: string, bytes: Uint8Array): Stream {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 2;
  let modern = false;
  for (const at of records(file, view)) {
    ++count;
    if (view.getUint8(at) === 4 && isNewer(view, at)) modern = true;
  }
  return { format: 'exec-trace', length: count, steps: steps(file, view), answered: false, modern };
}

// Flags of the batch or of an object that Linux 4.2 did not know.
function isNewer(view: DataView, at: number): boolean {
  const { execFlags, objectFlags } = profileOf(DEFAULT_PROFILE);
  if (view.getUint32(at + 5, true) > execFlags) return true;
  let from = at + 17;
  for (let n = view.getUint32(at + 1, true); n > 0; --n) {
    if (view.getUint32(from + 24, true) > objectFlags) return true;
    from += 48 + view.getUint32(from + 4, true) * RELOC_SIZE;
  }
  return false;
}

// Where each record begins, checked to be whole.
function* records(file: string, view: DataView): Generator<number> {
  const short = (at: number): RecordingError => new RecordingError(file, 0, `cut off in the record at byte ${at}`);
  if (view.byteLength < 8) throw short(0);
  for (let at = 8; at < view.byteLength; ) {
    const op = view.getUint8(at);
    const fixed = RECORD[op];
    if (fixed === undefined) throw new RecordingError(file, 0, `record ${op} at byte ${at} is not known`);
    if (at + fixed > view.byteLength) throw short(at);
    let end = at + fixed;
    if (op === 4) {
      for (let n = view.getUint32(at + 1, true); n > 0; --n) {
        if (end + 48 > view.byteLength) throw short(at);
        end += 48 + view.getUint32(end + 4, true) * RELOC_SIZE;
        if (end > view.byteLength) throw short(at);
      }
    }
    yield at;
    at = end;
  }
}

function* steps(file: string, view: DataView): Generator<StreamStep> {
  yield { kind: 'open', file: 1, render: false };
  // Handles and context ids of the recorded client to those that the replay was given.
  const handles = new Map<number, number>();
  const contexts = new Map<number, number>([[0, 0]]);
  for (const at of records(file, view)) {
    const op = view.getUint8(at);
    const id = view.getUint32(at + 1, true);
    switch (op) {
      case 0: {
        const struct = packStruct('gem_create', { size: view.getBigUint64(at + 5, true) });
        yield request(IOCTL.I915_GEM_CREATE, struct);
        handles.set(id, u32(struct, 8));
        break;
      }
      case 1:
        yield request(IOCTL.GEM_CLOSE, packStruct('gem_close', { handle: handles.get(id) ?? id }));
        handles.delete(id);
        break;
      case 2: {
        const struct = packStruct('gem_context_create');
        yield request(IOCTL.I915_GEM_CONTEXT_CREATE, struct);
        contexts.set(id, u32(struct, 0));
        break;
      }
      case 3:
        yield request(
          IOCTL.I915_GEM_CONTEXT_DESTROY,
          packStruct('gem_context_destroy', { ctx_id: contexts.get(id) ?? id }),
        );
        contexts.delete(id);
        break;
      case 4:
        yield batch(view, at, handles, contexts);
        break;
      default:
        yield request(
          IOCTL.I915_GEM_WAIT,
          packStruct('gem_wait', { bo_handle: handles.get(id) ?? id, timeout_ns: -1n }),
        );
    }
  }
  yield { kind: 'close', file: 1 };
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function request(number: number, struct: Uint8Array, memory: IoctlStep['memory'] = []): IoctlStep {
  return { kind: 'ioctl', file: 1, request: number, struct, memory, result: null, after: null, value: 0 };
}

function batch(
  view: DataView,
  at: number,
  handles: ReadonlyMap<number, number>,
  contexts: ReadonlyMap<number, number>,
): IoctlStep {
  const count = view.getUint32(at + 1, true);
  const flags = view.getUint32(at + 5, true);
  const context = view.getUint32(at + 13, true);
  const list = new Uint8Array(count * OBJECT_SIZE);
  const out = new DataView(list.buffer);
  const relocations: [number, Uint8Array][] = [];
  let from = at + 17;
  let pointer = RELOCATIONS;
  for (let i = 0; i < count; ++i) {
    const to = i * OBJECT_SIZE;
    const handle = view.getUint32(from, true);
    const n = view.getUint32(from + 4, true);
    out.setUint32(to + OBJECT.handle, handles.get(handle) ?? handle, true);
    out.setUint32(to + OBJECT.relocation_count, n, true);
    for (const [j, field] of (['alignment', 'offset', 'flags', 'rsvd1', 'rsvd2'] as const).entries()) {
      out.setBigUint64(to + OBJECT[field], view.getBigUint64(from + 8 + j * 8, true), true);
    }
    from += 48;
    if (n > 0) {
      const bytes = Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset + from, n * RELOC_SIZE));
      if ((flags & HANDLE_LUT) === 0) rename(bytes, handles);
      out.setBigUint64(to + OBJECT.relocs_ptr, BigInt(pointer), true);
      relocations.push([pointer, bytes]);
      pointer += bytes.length + PAGE_SIZE;
      from += bytes.length;
    }
  }
  const struct = packStruct('gem_execbuffer2', {
    buffers_ptr: LIST,
    buffer_count: count,
    // What the batch waited for is not recorded.
    flags: flags & ~FENCES,
    rsvd1: contexts.get(context) ?? context,
  });
  return request(IOCTL.I915_GEM_EXECBUFFER2, struct, [[LIST, list], ...relocations]);
}

function rename(bytes: Uint8Array, handles: ReadonlyMap<number, number>): void {
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += RELOC_SIZE) {
    const handle = view.getUint32(at + RELOC.target_handle, true);
    view.setUint32(at + RELOC.target_handle, handles.get(handle) ?? handle, true);
  }
}

/** Whether a file's bytes, unpacked, are such a trace. */
export function isExecTrace(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) === EXEC_TRACE_MAGIC;
}
