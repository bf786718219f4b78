import { PAGE_SIZE } from '../core/generated/constants.js';
import { EFAULT, EINVAL, ENOENT, ENOTTY, resultName } from '../i915/uapi/errno.js';
import type { DrmFile } from '../i915/uapi/file.js';
import type { IdTable } from '../i915/uapi/ids.js';
import { PROFILE_NAMES } from '../i915/uapi/profiles.js';
import { IOCTL, IOCTL_NAMES, type IoctlName, requestInfo } from '../i915/uapi/requests.js';
import { packStruct, type StructName, structSize, unpackStruct } from '../i915/uapi/structs.js';
import { StressFailure } from '../stress/engine/failure.js';
import type { Random } from '../stress/engine/random.js';
import { CLIENT_BASE as BASE, closeClient, CLIENT_ROOM as ROOM } from './part.js';
import type { Kind, OperationOf } from './types.js';

/**
 * Requests of clients of both profiles: structs as a client would fill them in, and such with wrong words, sizes and
 * numbers. A request never throws; where its result follows from its struct and the file's handles alone, it is that one.
 */

const DATA = BASE + 768;
/** Words that are wrong in many places. */
const EDGES = [0, 1, 2, 7, PAGE_SIZE - 1, PAGE_SIZE + 1, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff];
/** Most handles and contexts of a client. */
const MOST_HANDLES = 40;
const MOST_CONTEXTS = 4;

type Fields = Record<string, number>;

/** What a client would put into a struct; the rest is 0. */
function fieldsOf(name: IoctlName, file: DrmFile, random: Random, memory: number[]): Fields {
  const handle = pick(idsOf(file.objects), random) ?? 1;
  const size = file.objects.get(handle)?.size ?? PAGE_SIZE;
  const context = pick(idsOf(file.contexts), random) ?? 0;
  const syncobj = pick(idsOf(file.syncobjs), random) ?? 1;
  switch (name) {
    case 'I915_GEM_CREATE':
    case 'I915_GEM_CREATE_EXT':
      return { size: (1 + random.below(16)) * PAGE_SIZE };
    case 'I915_GEM_PREAD':
    case 'I915_GEM_PWRITE':
      return { handle, offset: random.below(size), size: 1 + random.below(64), data_ptr: DATA };
    case 'I915_GEM_MMAP':
      return { handle, size: PAGE_SIZE };
    case 'I915_GEM_SET_DOMAIN':
      return random.oneIn(2) ? { handle, read_domains: 0x40, write_domain: 0x40 } : { handle, read_domains: 1 };
    case 'I915_GEM_SET_TILING':
      return { handle, tiling_mode: random.below(3), stride: 512 * (1 + random.below(4)) };
    case 'I915_GEM_SET_CACHING':
      return { handle, caching: random.below(3) };
    case 'I915_GEM_MADVISE':
      return { handle, madv: random.oneIn(8) ? 1 : 0 };
    case 'I915_GEM_WAIT':
      return { bo_handle: handle, timeout_ns: random.below(1e6) };
    case 'I915_GEM_EXECBUFFER2':
    case 'I915_GEM_EXECBUFFER2_WR':
      return { ...batch(file, random, memory), rsvd1: context };
    case 'I915_GEM_CONTEXT_DESTROY':
    case 'I915_GET_RESET_STATS':
      return { ctx_id: context };
    case 'I915_GEM_CONTEXT_GETPARAM':
    case 'I915_GEM_CONTEXT_SETPARAM':
      return { ctx_id: context, param: 1 + random.below(12), value: random.below(20) };
    case 'I915_GETPARAM':
      return { param: random.below(60), value: DATA };
    case 'GEM_OPEN':
      return { name: 1 + random.below(3) };
    case 'PRIME_FD_TO_HANDLE':
      return { fd: 3 + random.below(3) };
    case 'SYNCOBJ_WAIT':
    case 'SYNCOBJ_RESET':
    case 'SYNCOBJ_SIGNAL':
      put(memory, 768, packStruct('gem_exec_fence', { handle: syncobj }));
      return { handles: DATA, count_handles: 1 };
    case 'SYNCOBJ_DESTROY':
      return { handle: syncobj };
    case 'I915_QUERY':
      put(memory, 0, packStruct('query_item', { query_id: 1 + random.below(7), length: 512, data_ptr: BASE + 64 }));
      return { num_items: 1, items_ptr: BASE };
    default:
      return { handle };
  }
}

// A batch of up to four objects, with a relocation in the first.
function batch(file: DrmFile, random: Random, memory: number[]): Fields {
  const all = idsOf(file.objects);
  const count = Math.max(1, Math.min(all.length, 1 + random.below(4)));
  for (let i = 0; i < count; ++i) {
    const handle = all.splice(random.below(all.length), 1)[0] ?? 1;
    const relocation_count = i === 0 && random.oneIn(3) ? 1 : 0;
    put(memory, i * 56, packStruct('gem_exec_object2', { handle, relocation_count, relocs_ptr: DATA }));
    if (relocation_count === 1) {
      put(memory, 768, packStruct('gem_relocation_entry', { target_handle: handle, offset: 8, presumed_offset: 1 }));
    }
  }
  return { buffers_ptr: BASE, buffer_count: count, flags: random.below(4) };
}

function put(memory: number[], at: number, bytes: Uint8Array): void {
  while (memory.length < at + bytes.length) memory.push(0);
  for (let i = 0; i < bytes.length; ++i) memory[at + i] = bytes[i];
}

function idsOf(table: IdTable<unknown>): number[] {
  return [...table].map(([id]) => id);
}

function pick(ids: readonly number[], random: Random): number | undefined {
  return ids.length === 0 ? undefined : ids[random.below(ids.length)];
}

/** A word of a struct or of memory becomes another one. */
function spoil(bytes: number[], random: Random): void {
  if (bytes.length < 4) return;
  const at = random.below(bytes.length >> 2) * 4;
  const value = random.oneIn(2) ? EDGES[random.below(EDGES.length)] : random.u32();
  for (let i = 0; i < 4; ++i) bytes[at + i] = (value >>> (i * 8)) & 0xff;
}

/** Clients of a GPU at a time. */
const MOST_CLIENTS = 2;

const client: Kind<'client'> = {
  name: 'client',
  generate: (part, random) => {
    if (part.clients.size >= part.gpus.length * MOST_CLIENTS) return null;
    return { op: 'client', id: part.newId(), gpu: random.below(part.gpus.length), profile: random.below(2) };
  },
  apply: (part, { id, gpu, profile }) => {
    part.clients.add(id, part.gpus[gpu].open({ profile: PROFILE_NAMES[profile], process: part.process }));
    return true;
  },
  print: ({ id, gpu, profile }) => [
    `const file${id} = gpu${gpu}.open({ profile: '${PROFILE_NAMES[profile]}', process });`,
  ],
};

const clientClose: Kind<'clientClose'> = {
  name: 'clientClose',
  generate: (part, random) => {
    const id = part.clients.pick(random);
    return id === undefined ? null : { op: 'clientClose', client: id };
  },
  apply: (part, operation) => {
    const file = part.clients.get(operation.client);
    if (!file) return false;
    part.clients.delete(operation.client);
    closeClient(file);
    return true;
  },
  print: (operation) => [
    `for (let fd = 3; file${operation.client}.closeFd(fd); ++fd);`,
    `file${operation.client}.close();`,
  ],
};

const ioctl: Kind<'ioctl'> = {
  name: 'ioctl',
  generate: (part, random) => {
    const id = part.clients.pick(random);
    if (id === undefined) return null;
    const file = part.clients.get(id)!;
    const memory: number[] = [];
    let name = IOCTL_NAMES[random.below(IOCTL_NAMES.length)];
    // Batches are what most of a stream consists of.
    if (random.oneIn(3)) name = file.profile.requests[0x69]!.name;
    const handles = file.handleCount;
    if (handles > MOST_HANDLES) name = 'GEM_CLOSE';
    else if (handles < 3) name = 'I915_GEM_CREATE';
    if (file.contexts.count > MOST_CONTEXTS && /CONTEXT_CREATE|VM_CREATE/.test(name)) name = 'I915_GEM_CONTEXT_DESTROY';
    const { struct: kind } = requestInfo(name);
    const fields = fieldsOf(name, file, random, memory);
    const struct = kind === undefined ? [] : [...packStruct(kind, known(kind, fields))];
    let request = IOCTL[name];
    while (random.oneIn(3)) spoil(random.oneIn(3) ? memory : struct, random);
    if (random.oneIn(20)) {
      const size = random.below(80);
      request = request - ((request >>> 16) & 0x3fff) * 0x10000 + size * 0x10000;
      while (struct.length < size) struct.push(random.below(256));
    }
    if (random.oneIn(20))
      request = (request & ~0xffff) + (random.oneIn(2) ? 0x6400 : random.below(256) * 256) + random.below(256);
    if (random.oneIn(30)) struct.splice(random.below(struct.length + 1));
    return { op: 'ioctl', client: id, request: request >>> 0, struct, memory: memory.slice(0, ROOM) };
  },
  apply: (part, operation) => {
    const { request } = operation;
    const file = part.clients.get(operation.client);
    if (!file) return false;
    const expected = resultOf(file, operation);
    const block = part.memory;
    block.bytes.fill(0);
    block.bytes.set(operation.memory);
    const rc = file.ioctl(request, Uint8Array.from(operation.struct), block);
    if (expected === undefined ? RESULTS.has(rc) : rc === expected) return true;
    const wanted = expected === undefined ? 'one that the kernel has' : resultName(expected);
    throw new StressFailure(
      'error',
      'ioctl',
      `request 0x${request.toString(16)} returns ${resultName(rc)}, not ${wanted}`,
    );
  },
  print: ({ client: id, request, struct, memory }) => [
    `memory.bytes.fill(0);${memory.length > 0 ? ` memory.bytes.set([${memory.join(',')}]);` : ''}`,
    `file${id}.ioctl(0x${request.toString(16)}, Uint8Array.of(${struct.join(',')}), memory);`,
  ],
  *simpler(operation) {
    if (operation.memory.some((byte) => byte !== 0)) yield { ...operation, memory: [] };
  },
};

// The fields that a struct has.
function known(kind: StructName, fields: Fields): Fields {
  const all = Object.entries(fields).filter(([field]) => field in fieldsByStruct(kind));
  return Object.fromEntries(all);
}

const structs = new Map<StructName, Record<string, unknown>>();

function fieldsByStruct(kind: StructName): Record<string, unknown> {
  let fields = structs.get(kind);
  if (fields === undefined) {
    fields = unpackStruct(kind, new Uint8Array(structSize(kind)));
    structs.set(kind, fields);
  }
  return fields;
}

/** What requests return: 0, and these. */
const ERRNOS = [1, 2, 5, 7, 9, 11, 12, 13, 14, 16, 19, 22, 25, 28, 62, 95];
const RESULTS = new Set([0, 6].concat(ERRNOS).map((errno) => -errno + 0));

/** Requests that fail for an unknown handle alone. */
const LOOKUPS: readonly IoctlName[] = [
  'I915_GEM_BUSY',
  'I915_GEM_SW_FINISH',
  'I915_GEM_GET_TILING',
  'I915_GEM_GET_CACHING',
  'GEM_FLINK',
];

// The result, where it follows from the struct and the handles: the kernel's rules once more.
function resultOf(file: DrmFile, { request, struct }: OperationOf<'ioctl'>): number | undefined {
  if (((request >>> 8) & 0xff) !== 0x64) return -ENOTTY;
  const entry = file.profile.requests[request & 0xff];
  if (entry === undefined) return -EINVAL;
  const asked = (request >>> 16) & 0x3fff;
  const both = (request & entry.request) >>> 30;
  if (both !== 0 && asked > struct.length) return (both & 1) !== 0 ? -EFAULT : undefined;
  const bytes = new Uint8Array(Math.max(entry.size, 4));
  if ((both & 1) !== 0) bytes.set(struct.slice(0, Math.min(asked, bytes.length)));
  const first = new DataView(bytes.buffer).getUint32(0, true);
  if (LOOKUPS.includes(entry.name)) return file.objects.get(first) === undefined ? -ENOENT : 0;
  switch (entry.name) {
    case 'GEM_CLOSE':
      return file.objects.get(first) === undefined ? -EINVAL : 0;
    case 'I915_GEM_THROTTLE':
      return 0;
    case 'I915_GEM_MMAP_GTT':
      return file.objects.get(first) === undefined ? -ENOENT : undefined;
    case 'SYNCOBJ_DESTROY': {
      const pad = new DataView(bytes.buffer).getUint32(4, true);
      return pad !== 0 || file.syncobjs.get(first) === undefined ? -EINVAL : 0;
    }
    default:
      return undefined;
  }
}

export const ioctlOperations = [client, clientClose, ioctl];
