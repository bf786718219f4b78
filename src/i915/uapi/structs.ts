import { checkBytes, checkObject } from '../../core/arguments.js';
import { invalidValue } from '../../core/errors.js';

/**
 * Layouts of the structs that go with requests: facts of the interface (include/uapi/drm/drm.h, i915_drm.h), little endian,
 * 64 bit. `name:bytes` in order; a field lies at the next multiple of its size, and the struct ends at a multiple of its
 * largest field. A field whose name begins with `pad` is padding. `n:4x3` is an array.
 */
const LAYOUTS = {
  version: 'version_major:4 version_minor:4 version_patchlevel:4 name_len:8 name:8 date_len:8 date:8 desc_len:8 desc:8',
  unique: 'unique_len:8 unique:8',
  auth: 'magic:4',
  set_version: 'drm_di_major:4 drm_di_minor:4 drm_dd_major:4 drm_dd_minor:4',
  gem_close: 'handle:4 pad:4',
  gem_flink: 'handle:4 name:4',
  gem_open: 'name:4 handle:4 size:8',
  get_cap: 'capability:8 value:8',
  set_client_cap: 'capability:8 value:8',
  prime_handle: 'handle:4 flags:4 fd:4',
  syncobj_create: 'handle:4 flags:4',
  syncobj_destroy: 'handle:4 pad:4',
  syncobj_handle: 'handle:4 flags:4 fd:4 pad:4',
  syncobj_wait: 'handles:8 timeout_nsec:8 count_handles:4 flags:4 first_signaled:4 pad:4 deadline_nsec:8',
  syncobj_array: 'handles:8 count_handles:4 pad:4',
  syncobj_timeline_wait:
    'handles:8 points:8 timeout_nsec:8 count_handles:4 flags:4 first_signaled:4 pad:4 deadline_nsec:8',
  syncobj_timeline_array: 'handles:8 points:8 count_handles:4 flags:4',
  syncobj_transfer: 'src_handle:4 dst_handle:4 src_point:8 dst_point:8 flags:4 pad:4',
  getparam: 'param:4 value:8',
  gem_busy: 'handle:4 busy:4',
  gem_create: 'size:8 handle:4 pad:4',
  gem_create_ext: 'size:8 handle:4 flags:4 extensions:8',
  gem_pread: 'handle:4 pad:4 offset:8 size:8 data_ptr:8',
  gem_mmap: 'handle:4 pad:4 offset:8 size:8 addr_ptr:8 flags:8',
  gem_mmap_gtt: 'handle:4 pad:4 offset:8',
  gem_mmap_offset: 'handle:4 pad:4 offset:8 flags:8 extensions:8',
  gem_set_domain: 'handle:4 read_domains:4 write_domain:4',
  gem_sw_finish: 'handle:4',
  gem_set_tiling: 'handle:4 tiling_mode:4 stride:4 swizzle_mode:4',
  gem_get_tiling: 'handle:4 tiling_mode:4 swizzle_mode:4 phys_swizzle_mode:4',
  gem_get_aperture: 'aper_size:8 aper_available_size:8',
  gem_madvise: 'handle:4 madv:4 retained:4',
  gem_execbuffer2:
    'buffers_ptr:8 buffer_count:4 batch_start_offset:4 batch_len:4 DR1:4 DR4:4 num_cliprects:4 cliprects_ptr:8 flags:8 rsvd1:8 rsvd2:8',
  gem_exec_object2: 'handle:4 relocation_count:4 relocs_ptr:8 alignment:8 offset:8 flags:8 rsvd1:8 rsvd2:8',
  gem_relocation_entry: 'target_handle:4 delta:4 offset:8 presumed_offset:8 read_domains:4 write_domain:4',
  gem_exec_fence: 'handle:4 flags:4',
  gem_wait: 'bo_handle:4 flags:4 timeout_ns:8',
  gem_context_create: 'ctx_id:4 pad:4',
  gem_context_create_ext: 'ctx_id:4 flags:4 extensions:8',
  gem_context_destroy: 'ctx_id:4 pad:4',
  gem_caching: 'handle:4 caching:4',
  reg_read: 'offset:8 val:8',
  reset_stats: 'ctx_id:4 flags:4 reset_count:4 batch_active:4 batch_pending:4 pad:4',
  gem_userptr: 'user_ptr:8 user_size:8 flags:4 handle:4',
  gem_context_param: 'ctx_id:4 size:4 param:8 value:8',
  query: 'num_items:4 flags:4 items_ptr:8',
  query_item: 'query_id:8 length:4 flags:4 data_ptr:8',
  gem_vm_control: 'extensions:8 flags:4 vm_id:4',
  user_extension: 'next_extension:8 name:4 flags:4 rsvd:4x4',
  timeline_fences: 'next_extension:8 name:4 ext_flags:4 rsvd:4x4 fence_count:8 handles_ptr:8 values_ptr:8',
} as const;

/** A struct of the interface, such as `gem_create`, by its name without the prefixes of the driver. */
export type StructName = keyof typeof LAYOUTS;

/** Names of a struct's fields; padding has none. `Text` is the rest of its layout. */
export type FieldName<
  Name extends StructName,
  Text extends string = (typeof LAYOUTS)[Name],
> = Text extends `${infer First} ${infer Rest}`
  ? FieldName<Name, First> | FieldName<Name, Rest>
  : Text extends `pad:${string}`
    ? never
    : Text extends `${infer Field}:${string}`
      ? Field
      : never;

/** One field: where it lies, its bytes (4 or 8), and how many there are. */
interface Field {
  readonly at: number;
  readonly bytes: number;
  readonly count: number;
}

interface Layout {
  readonly size: number;
  readonly fields: ReadonlyMap<string, Field>;
}

const layouts = new Map<string, Layout>();

function layoutOf(name: StructName): Layout {
  let layout = layouts.get(name);
  if (layout !== undefined) return layout;
  const text = Object.hasOwn(LAYOUTS, name) ? LAYOUTS[name] : undefined;
  if (text === undefined) throw invalidValue('name', `one of ${Object.keys(LAYOUTS).join(', ')}`, name);
  const fields = new Map<string, Field>();
  let at = 0;
  let widest = 4;
  for (const field of text.split(' ')) {
    const [, label, bytes, count = '1'] = /^(\w+):(\d)(?:x(\d))?$/.exec(field)!;
    const width = Number(bytes);
    widest = Math.max(widest, width);
    at = Math.ceil(at / width) * width;
    if (label !== 'pad') fields.set(label, { at, bytes: width, count: Number(count) });
    at += width * Number(count);
  }
  layout = { size: Math.ceil(at / widest) * widest, fields };
  layouts.set(name, layout);
  return layout;
}

/** Bytes of a struct. */
export function structSize(name: StructName): number {
  return layoutOf(name).size;
}

/** Where the fields of a struct lie, in bytes from its beginning. */
export function offsetsOf<Name extends StructName>(name: Name): Readonly<Record<FieldName<Name>, number>> {
  const { fields } = layoutOf(name);
  return Object.fromEntries([...fields].map(([label, { at }]) => [label, at])) as Record<FieldName<Name>, number>;
}

/**
 * The bytes of a struct, for `file.ioctl`.
 * @param values of its fields; what is left out is 0. Negative numbers and BigInts are taken modulo the field's size
 * @throws TypeError for a struct or a field that there is not, or a value that is no whole number
 * @example packStruct('gem_create', { size: 4096 })
 */
export function packStruct<Name extends StructName>(
  name: Name,
  values: { readonly [Field in FieldName<Name>]?: number | bigint } = {},
): Uint8Array {
  const { size, fields } = layoutOf(name);
  checkObject('values', values);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [label, value] of Object.entries(values) as [string, number | bigint | undefined][]) {
    const field = fields.get(label);
    if (field === undefined) throw invalidValue(`values.${label}`, `a field of ${name}`, value);
    if (value === undefined) continue;
    if (typeof value !== 'bigint' && !Number.isInteger(value)) {
      throw invalidValue(`values.${label}`, 'a whole number', value);
    }
    if (field.bytes === 8) view.setBigUint64(field.at, BigInt.asUintN(64, BigInt(value)), true);
    else view.setUint32(field.at, Number(BigInt.asUintN(32, BigInt(value))), true);
  }
  return bytes;
}

/**
 * The fields of a struct's bytes. What the bytes do not hold is 0.
 * @returns numbers; BigInts above 2^53
 * @example unpackStruct('gem_create', buffer).handle
 */
export function unpackStruct<Name extends StructName>(
  name: Name,
  bytes: Uint8Array,
): Record<FieldName<Name>, number | bigint> {
  const { size, fields } = layoutOf(name);
  const whole = new Uint8Array(size);
  whole.set(checkBytes('bytes', bytes).subarray(0, size));
  const view = new DataView(whole.buffer);
  const values: Record<string, number | bigint> = {};
  for (const [label, { at, bytes: width }] of fields) {
    const value = width === 8 ? view.getBigUint64(at, true) : view.getUint32(at, true);
    values[label] = typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  return values as Record<FieldName<Name>, number | bigint>;
}
