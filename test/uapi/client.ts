import {
  type DrmFile,
  type FieldName,
  type I915Device,
  IOCTL,
  type IoctlName,
  Machine,
  type OpenOptions,
  packStruct,
  type StructName,
  UserBlock,
  unpackStruct,
} from '../../src/index.js';

export type I915Options = Parameters<Machine['addI915']>[0];

/** A client of the interface: requests by name, with the fields of their structs. */
export class Client {
  readonly machine: Machine;
  readonly gpu: I915Device;
  readonly memory = new UserBlock();
  readonly file: DrmFile;

  constructor(options: I915Options = {}, open: OpenOptions = {}, machine = new Machine({ ram: '64MiB' })) {
    this.machine = machine;
    this.gpu = machine.addI915(options);
    this.file = this.gpu.open({ memory: this.memory, ...open });
  }

  /** A request of the client's file, or of another one. The result, with the struct's fields. */
  call<Name extends StructName>(
    name: IoctlName,
    struct: Name,
    fields: { readonly [Field in FieldName<Name>]?: number | bigint } = {},
    file = this.file,
  ): { rc: number } & Record<FieldName<Name>, number | bigint> {
    const buffer = packStruct(struct, fields);
    const rc = file.ioctl(IOCTL[name], buffer);
    return { rc, ...unpackStruct(struct, buffer) };
  }

  create(size: number, file = this.file): number {
    const { rc, handle } = this.call('I915_GEM_CREATE', 'gem_create', { size }, file);
    if (rc !== 0) throw new Error(`create: ${rc}`);
    return Number(handle);
  }

  /** Places objects of a batch in the client's memory, and runs it. */
  exec(
    objects: readonly { readonly [Field in FieldName<'gem_exec_object2'>]?: number | bigint }[],
    fields: { readonly [Field in FieldName<'gem_execbuffer2'>]?: number | bigint } = {},
  ): { rc: number; offsets: number[] } {
    const list = objects.map((object) => packStruct('gem_exec_object2', object));
    const at = this.memory.place(new Uint8Array(list.flatMap((bytes) => [...bytes])));
    const { rc } = this.call('I915_GEM_EXECBUFFER2', 'gem_execbuffer2', {
      buffers_ptr: at,
      buffer_count: list.length,
      ...fields,
    });
    const offsets = list.map((_, i) =>
      Number(unpackStruct('gem_exec_object2', this.memory.read(at + i * 56, 56)!).offset),
    );
    return { rc, offsets };
  }

  pwrite(handle: number, offset: number, bytes: Uint8Array): number {
    const fields = { handle, offset, size: bytes.length, data_ptr: this.memory.place(bytes) };
    return this.call('I915_GEM_PWRITE', 'gem_pread', fields).rc;
  }

  pread(handle: number, offset: number, size: number): Uint8Array {
    const data_ptr = this.memory.place(new Uint8Array(size));
    const { rc } = this.call('I915_GEM_PREAD', 'gem_pread', { handle, offset, size, data_ptr });
    if (rc !== 0) throw new Error(`pread: ${rc}`);
    return Uint8Array.from(this.memory.read(data_ptr, size)!);
  }
}
